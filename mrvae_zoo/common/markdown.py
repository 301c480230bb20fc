"""Tables in Markdown."""

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """Return a table; `align` has an l or an r per column."""
    rule = ["---" if side == "l" else "---:" for side in align]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))
