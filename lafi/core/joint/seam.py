"""Where a transformer's block calls its attention, and how another function is put there.

The block's own code is run among other globals, in which the attention's name means another
function: nothing of the host's is copied or changed, no other block is touched, and to delete the
instance's attribute restores it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any

from torch import nn

from ...errors import LafiError

MARK = "__lafi__"


@dataclass(frozen=True)
class Seam:
    """A function that a block's code calls by a global name.

    Attributes:
        module: whose method it is.
        method: the method in whose code the call stands.
        through: functions between, where the method does not call it itself.
        function: the attention's name.
        calls: names of the calls, in order.
    """

    module: nn.Module
    method: str = "forward"
    through: tuple[str, ...] = ()
    function: str = "attention"
    calls: tuple[str, ...] = ("attn",)

    @property
    def names(self) -> tuple[str, ...]:
        """What is called by name, from the method on."""
        return (*self.through, self.function)

    @property
    def taken(self) -> bool:
        """Whether the instance has a method of its own already."""
        return self.method in vars(self.module)

    def functions(self) -> list[Any]:
        """The class's method, and what is called from it, up to the attention.

        Raises:
            LafiError: `unsupported_model` where the code does not call it, or is not Python's.
        """
        kind = type(self.module)
        found = [getattr(kind, self.method, None)]
        compiled = getattr(self.module, "_compiled_call_impl", None) is not None
        for name in self.names:
            code, known = (getattr(found[-1], each, {}) for each in ("__code__", "__globals__"))
            if compiled or name not in getattr(code, "co_names", ()) or name not in known:
                raise LafiError(
                    "unsupported_model",
                    f"a block ({kind.__name__}) is compiled, or computes its attention elsewhere.",
                    "Switch off what compiles or quantises the model (torch.compile, Nunchaku), or "
                    "switch LAFI off.",
                )
            found.append(known[name])
        return found

    def put(self, ours: Callable[..., Any]) -> None:
        """Lets the block call another function, with the same arguments."""
        *functions, _ = self.functions()
        for function, name in zip(reversed(functions), reversed(self.names), strict=True):
            ours = _among(function, {name: ours})
        setattr(ours, MARK, True)
        static = isinstance(inspect.getattr_static(type(self.module), self.method), staticmethod)
        setattr(self.module, self.method, ours if static else MethodType(ours, self.module))

    def restore(self) -> None:
        """Takes it away, unless another extension has put its own in place since."""
        if is_ours(vars(self.module).get(self.method)):
            delattr(self.module, self.method)


def is_ours(method: Any) -> bool:
    """Whether a module's method is one that `Seam.put` has put there."""
    return bool(getattr(method, MARK, False))


def _among(function: FunctionType, names: dict[str, Any]) -> FunctionType:
    """A function's own code among globals of which some are others."""
    found = FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    found.__kwdefaults__ = function.__kwdefaults__
    return found
