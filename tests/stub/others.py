"""Other people's scripts, as far as they meet LAFI's run."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from modules import scripts
from modules.processing import Processed, StableDiffusionProcessingImg2Img, process_images


class Detailer(scripts.Script):
    """ADetailer: ends and begins the other scripts on copies, and redraws a part of each picture.

    Args:
        scripts_inside: the runner of the pictures within, or None.
        changes: of the request within.
    """

    def __init__(self, scripts_inside: Any = None, **changes: Any) -> None:
        self.scripts_inside, self.changes = scripts_inside, changes

    def title(self) -> str:
        return "Detailer"

    def postprocess_image(self, p: Any, pp: Any, *args: Any) -> None:
        if getattr(p, "is_inner", False):
            return
        p.scripts.postprocess(copy.copy(p), Processed(p))
        inner = StableDiffusionProcessingImg2Img(
            init_images=[pp.image],
            steps=3,
            width=64,
            height=64,
            scripts=self.scripts_inside,
            script_args=p.script_args,
            extra_generation_params=copy.copy(p.extra_generation_params),
            **self.changes,
        )
        inner.is_inner = True  # type: ignore[attr-defined]
        pp.image = process_images(inner).images[0]
        copied = copy.copy(p)
        p.scripts.before_process(copied)
        p.scripts.process(copied)


class Sampling(scripts.Script):
    """Does something once in the middle of things: calls `action` with p in the named hook."""

    def __init__(self, hook: str, action: Any) -> None:
        setattr(self, hook, lambda p, *args, **kwargs: action(p))

    def title(self) -> str:
        return "Sampling"


@contextmanager
def merged_tokens(unet: Any) -> Iterator[None]:
    """The host's own token merging: the first block's self-attention sees every second token."""
    block = unet.output_blocks[-1][1].transformer_blocks[0]
    plain = type(block)

    class Merging(plain):  # type: ignore[misc,valid-type]
        def _forward(self, x: Any, context: Any = None) -> Any:
            x = self.attn1(self.norm1(x)[:, ::2]).repeat_interleave(2, 1) + x
            x = self.attn2(self.norm2(x), context=context) + x
            return self.ff(self.norm3(x)) + x

    block.__class__ = Merging
    try:
        yield
    finally:
        block.__class__ = plain


@contextmanager
def merged_by_size(unet: Any) -> Iterator[None]:
    """The same as tomesd has it: which tokens they are depends on the size of the UNet's latent."""
    block = unet.output_blocks[-1][1].transformer_blocks[0]
    plain, told = type(block), {"size": None, "args": {"ratio": 0.5}}
    handle = unet.register_forward_pre_hook(
        lambda module, args: told.update(size=args[0].shape[-2:])
    )

    class Merging(plain):  # type: ignore[misc,valid-type]
        __module__ = "tomesd.patch"

        def _forward(self, x: Any, context: Any = None) -> Any:
            height, width = told["size"]
            seen = self.norm1(x).unflatten(1, (height, width))[:, :, ::2].flatten(1, 2)
            x = self.attn1(seen).repeat_interleave(2, 1) + x
            x = self.attn2(self.norm2(x), context=context) + x
            return self.ff(self.norm3(x)) + x

    unet._tome_info, block.__class__ = told, Merging
    try:
        yield
    finally:
        block.__class__ = plain
        handle.remove()
        del unet._tome_info


@contextmanager
def regional_prompts(unet: Any, tokens: int) -> Iterator[None]:
    """Regional Prompter: the text's attention, put together by where the picture's tokens stand."""
    layer = unet.output_blocks[-1][1].transformer_blocks[0].attn2

    def regional(x: Any, *args: Any, **kwargs: Any) -> Any:
        halves = x.reshape(len(x), 2, tokens // 2, -1).unbind(1)
        return torch.cat([type(layer).forward(layer, each, *args, **kwargs) for each in halves], 1)

    layer.forward = regional
    try:
        yield
    finally:
        del layer.forward
