"""A function captured as a CUDA graph: all its kernels are launched at once, whatever Python would take."""

from collections.abc import Callable

import torch

WARM_UPS = 3  # calls before the capture, in which compilers and libraries make what they need


class Captured:
    """A function of no arguments that works on tensors in place, and becomes one CUDA graph after some calls.

    Every call has the effect of a call of the function. It may read and change only tensors that stay where they are,
    and may not wait for the device.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        self.function = function
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.stream = torch.cuda.Stream()

    def __call__(self) -> None:
        """Call the function, or replay what it did."""
        if self.graph is None and self.calls < WARM_UPS:
            self.calls += 1
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                self.function()
            torch.cuda.current_stream().wait_stream(self.stream)
            return
        if self.graph is None:
            graph = torch.cuda.CUDAGraph()
            # Other threads, such as the one that writes states, may use the GPU meanwhile.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self.function()
            self.graph = graph
        self.graph.replay()
