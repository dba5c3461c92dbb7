"""What decides a UNet's answers, as far as it can be seen from outside: modules and weights.

Only for what the reference's own pass meets: patches of the UNet as a whole and HyperTile do not
reach it (`alone`).
"""

from __future__ import annotations

import hashlib
import struct
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..core.joint.seam import is_ours

# Packages of the hosts and their models; classes from elsewhere are other extensions'.
KNOWN = ("torch", "ldm", "sgm", "modules", "backend", "ldm_patched", "lafi")
# Forge's way to move a layer to the GPU while it computes.
SWAPPED = "DynamicSwap_"
HYPERTILE = "__webui_hypertile_params"


def modules_below(unet: nn.Module) -> Iterator[nn.Module]:
    """All modules but the root, always in the same order; faster than `nn.Module.modules`."""
    stack = list(unet._modules.values())
    while stack:
        module = stack.pop()
        if module is not None:
            yield module
            stack.extend(module._modules.values())


def structure(unet: nn.Module) -> Hashable | None:
    """Classes of all modules, what they run, and the settings of others' modules among them (token
    merging, Kohya HRFix). None if a module runs a function that does not tell what it does."""
    seen = []
    classes = {type(unet)}
    for module in modules_below(unet):
        kind = type(module)
        classes.add(kind)
        own = vars(module)
        patched = any(_patched(module, name) for name in ("forward", "_forward") if name in own)
        if patched and HYPERTILE not in own:
            return None
        foreign = kind.__module__.partition(".")[0] not in KNOWN
        seen.append((kind.__name__.removeprefix(SWAPPED), _settings(own) if foreign else ()))
    runs = sorted({(each.__name__, _function(each, "forward"), _function(each, "_forward"))
                   for each in classes})  # fmt: skip
    merging: dict[str, Any] = getattr(unet, "_tome_info", {}).get("args", {})
    if merging.get("use_rand"):
        return None
    # Its generator is another one for every picture, and draws nothing then.
    chosen = sorted((key, repr(value)) for key, value in merging.items() if key != "generator")
    return _hash(seen, runs, chosen)


def _patched(module: nn.Module, name: str) -> bool:
    """Whether a module runs something else than its class says; some put the same back, and LAFI's
    own leave the reference's pass as it is."""
    if is_ours(vars(module)[name]):
        return False
    function = getattr(vars(module)[name], "__func__", None)
    return function is None or function is not getattr(type(module), name, None)


def _function(kind: type, name: str) -> str:
    function = getattr(kind, name, None)
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"


def _settings(own: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, repr(value))
        for name, value in sorted(own.items())
        if name != "training" and isinstance(value, bool | int | float | str | tuple)
    )


class Weights:
    """The weights of a UNet in one pass, by their versions and a value of each."""

    def __init__(self) -> None:
        self._known: tuple[Hashable, str] | None = None

    def __call__(self, unet: nn.Module) -> Hashable:
        """Looks at the values again where something was written in place (a LoRA that is merged
        when its layer first runs)."""
        parameters = [
            p for m in modules_below(unet) for p in m._parameters.values() if p is not None
        ]
        version = sum(0 if each.is_inference() else each._version for each in parameters)
        written = (id(unet), len(parameters), version)
        if self._known is None or self._known[0] != written:
            self._known = (written, sample(parameters))
        return (version, self._known[1])


def sample(tensors: Iterable[Tensor]) -> str:
    """A short hash of one value of each tensor, wherever they are; written without a trace (through
    ``.data``) they show here."""
    groups: dict[tuple[torch.device, torch.dtype], list[tuple[int, Tensor]]] = defaultdict(list)
    total = 0
    for position, each in enumerate(tensors):
        total = position + 1
        if each.device.type == "meta" or not each.numel():
            continue
        value = each.detach()[tuple(side // 2 for side in each.shape)]
        if value.element_size() == 1:
            value = value.view(torch.uint8)
        groups[value.device, value.dtype].append((position, value))
    values = [0.0] * total
    for group in groups.values():
        # One copy for each device, not one for each value.
        found = torch.stack([value for _, value in group]).float().tolist()
        for (position, _), number in zip(group, found, strict=True):
            values[position] = number
    return hashlib.sha256(struct.pack(f"{total}d", *values)).hexdigest()[:24]


def _hash(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def tensors_of(holder: object) -> Iterator[Tensor]:
    """The tensors that an object holds, also in layers of its own (a part of a LoRA)."""
    for name, value in vars(holder).items():
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, nn.Module) and name != "sd_module":  # that is the UNet's own
            yield from value.parameters()


def switch_hypertile_off(modules: Iterable[nn.Module]) -> Callable[[], None]:
    """HyperTile off in some modules, until what this returns is called."""
    found = [getattr(module, HYPERTILE, None) for module in modules]
    switched = [each for each in found if each is not None and each.enabled]
    for each in switched:
        each.enabled = False

    def restore() -> None:
        for each in switched:
            each.enabled = True

    return restore
