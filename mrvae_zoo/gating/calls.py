"""Calls of a foreign module's methods: what they are given, what they compute with, and how they are intercepted."""

import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from types import MethodType
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

FORWARD = "__call__"


@dataclass(frozen=True)
class Call:
    """A call of one method.

    Attributes:
        method: The name of the method.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
    """

    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def on(self, module: nn.Module) -> Any:
        """Make the call on a module."""
        return getattr(module, self.method)(*self.args, **self.kwargs)

    @property
    def x(self) -> Tensor | None:
        """The first argument that is a tensor."""
        return next((one for one in (*self.args, *self.kwargs.values()) if isinstance(one, Tensor)), None)

    def with_x(self, x: Tensor) -> "Call":
        """Return the same call with another first tensor."""
        args, kwargs = list(self.args), dict(self.kwargs)
        for arguments in (args, kwargs):
            for key in range(len(args)) if arguments is args else list(kwargs):
                if isinstance(arguments[key], Tensor):  # type: ignore[index]
                    arguments[key] = x  # type: ignore[index]
                    return replace(self, args=tuple(args), kwargs=kwargs)
        return self

    def key(self, module: nn.Module) -> str:
        """Return a key for everything that the call may depend on besides the numbers in tensors."""
        switches = {name: value for name, value in vars(module).items() if isinstance(value, bool | int | float | str)}
        switches.pop("training", None)
        return describe((self.method, self.args, self.kwargs, switches))


def describe(value: Any) -> str:
    """Return a key for everything in a value but the numbers in tensors."""
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {value.dtype} {value.device}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {describe(item)}' for key, item in value.items())}}}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(describe, value))}]"
    return repr(value) if isinstance(value, bool | int | float | str | None) else type(value).__qualname__


class Reads(TorchFunctionMode):
    """Records which of some named layers have a weight or bias that functions of torch compute with."""

    def __init__(self, layers: Iterable[tuple[str, nn.Module]]) -> None:
        super().__init__()
        self.owners = {id(parameter): name for name, layer in layers for parameter in layer.parameters(recurse=False)}
        self.names: set[str] = set()

    def __torch_function__(
        self, func: Callable[..., Any], _: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call the function, and look at what it was given; to ask a tensor for its dtype is not to compute with it."""
        result = func(*args, **(kwargs or {}))
        if any(isinstance(part, Tensor) for part in pytree.tree_leaves(result)):
            given = map(id, pytree.tree_leaves((args, kwargs)))
            self.names.update(self.owners[one] for one in given if one in self.owners)
        return result


def through(module: nn.Module, call: Callable[[Call], Any]) -> nn.Module:
    """Return another face of a module, of its class and with its attributes, whose public methods go to `call`.

    The methods of `nn.Module` itself, like `eval`, are the module's own, and so is what a method calls inside.
    """
    cls = type(module)

    def attribute(_: Any, name: str) -> Any:
        value = getattr(module, name)
        own = isinstance(value, MethodType) and value.__self__ is module and not hasattr(nn.Module, name)
        if name.startswith("_") or not (own or name == "forward"):
            return value
        return lambda *args, **kwargs: call(Call(name, args, kwargs))

    def forward(_: Any, *args: Any, **kwargs: Any) -> Any:
        return call(Call(FORWARD, args, kwargs))

    overridden = {"__getattribute__": attribute, FORWARD: forward}
    kind = types.new_class(cls.__name__, (cls,), exec_body=lambda names: names.update(overridden))
    face: nn.Module = object.__new__(kind)
    object.__setattr__(face, "__dict__", vars(module))  # what is set on the face is set on the module
    return face
