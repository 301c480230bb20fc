"""What torchrun and `accelerate launch` set in environment variables. Needs no torch."""

import os


def is_main_process() -> bool:
    """Whether this process is the main one."""
    return process_count() == 1 or os.environ.get("RANK", "0") == "0"


def process_count() -> int:
    """Return the number of processes."""
    count = os.environ.get("WORLD_SIZE", "1")
    if not count.isdecimal() or int(count) < 1:
        raise ValueError(f"the variable WORLD_SIZE={count!r} should be a number of processes, at least 1")
    return int(count)
