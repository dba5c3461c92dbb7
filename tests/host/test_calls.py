"""Single calls of the UNet as others make them: tiles, chosen rows, replaced layers, autocast."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lab.host.embedded import cond_rows_first
from lafi.core.attention import Extra, Part, Projected, attend
from lafi.core.injection import Row, Seen, inject
from lafi.core.mask import TokenMask
from lafi.core.replay.bank import Bank
from lafi.core.replay.key import Replay
from lafi.errors import LafiError

from .harness import SIDE, TOLERANCE, Case

# ---- rows -------------------------------------------------------------------------------------


class Waiting(TorchDispatchMode):
    """Notes what would make a GPU wait for the CPU: values that are read, masks as indices."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        indices = [each for each in args[1:2] if isinstance(each, list | tuple)]
        masks = any(isinstance(t, Tensor) and t.dtype == torch.bool for i in indices for t in i)
        if name in ("_local_scalar_dense", "nonzero", "is_nonzero") or masks:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


KINDS = {
    "cond first": [True, True, False, False],
    "cond last": [False, False, True, True],
    "tiles": [False, True, False, True],
}


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("strength", [1, 2])
def test_chosen_rows_never_wait(sd1: Case, kinds: list[bool], strength: float) -> None:
    rows = [Row(kind) for kind in kinds]
    target = sd1.target(4)
    plain = sd1.plain(target)
    every = sd1.injected(target, sd1.reference(), strength=strength)
    plan = {"fidelity": 1, "strength": strength}
    with sd1.session(sd1.reference(), **plan) as session:
        session.begin(0, 4, target.sigma, lambda *_: rows)
        first = sd1.plain(target)
        with Waiting() as waiting:  # the recording is there now
            answer = sd1.plain(target)
    assert waiting.found == []
    assert torch.equal(answer, first)
    for row, kind in enumerate(kinds):
        if kind:
            torch.testing.assert_close(answer[row], every[row], **TOLERANCE)
        else:
            assert torch.equal(answer[row], plain[row])


def test_rows_side_by_side_are_slices_and_others_are_indices() -> None:
    last, tiles = ([Row(kind) for kind in KINDS[name]] for name in ("cond last", "tiles"))
    split = inject(last, [Seen({})], 1, torch.device("cpu"))
    assert split is not None
    assert (split.sights[0].rows, split.others) == (slice(2, 4), slice(0, 2))
    mixed = inject(tiles, [Seen({})], 1, torch.device("cpu"))
    assert mixed is not None
    assert isinstance(mixed.sights[0].rows, Tensor)
    assert mixed.sights[0].rows.tolist() == [1, 3]
    merged = mixed.merge([torch.tensor([[1.0], [3.0]])], torch.tensor([[0.0], [2.0]]))
    assert merged.flatten().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("fused", [False, True])
def test_a_call_without_cond_rows_stays_plain(sd1: Case, fused: bool) -> None:
    target = sd1.target(2)
    plain = sd1.plain(target)
    with sd1.session(sd1.reference(), fidelity=1, fused=fused) as session:
        session.begin(0, 1, target.sigma, lambda rows, _: [Row(False)] * rows)
        assert torch.equal(sd1.plain(target), plain)
        assert session.report.injected == 0
        session._row_kinds = lambda rows, _: [Row(True)] * rows
        assert not torch.equal(sd1.plain(target), plain)
        assert session.report.injected == 1


# ---- attention --------------------------------------------------------------------------------


def weighted(
    x: Tensor, value: Tensor | None = None, strength: float = 2, upcast: bool = False
) -> Tensor:
    """One head whose projections pass everything on, and one token of a reference."""
    values = x if value is None else value
    token = torch.full_like(x[:, :1], 0.25)
    own, extra = Projected(x, x, values), Extra(token, token, strength)
    return attend(own, 1, [Part(None, [extra])], upcast)


def test_upcast_holds_where_the_host_autocasts() -> None:
    x = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
    precise = weighted(x)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = weighted(x)
        upcast = weighted(x, upcast=True)
    assert torch.equal(upcast, precise)
    assert not torch.equal(rounded, precise)


def test_values_of_their_own() -> None:
    x = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
    value = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(1))
    answer = weighted(x, value, 3)
    token = torch.full_like(x[:, :1], 0.25)
    keys, values = torch.cat([x, token], 1), torch.cat([value, token], 1)
    logits = x @ keys.transpose(1, 2) / math.sqrt(8)
    logits[..., -1] += math.log(3)
    torch.testing.assert_close(answer, torch.softmax(logits, -1) @ values)
    assert not torch.allclose(answer, weighted(x, strength=3))


# ---- tiles ------------------------------------------------------------------------------------


def large(case: Case, height: int, width: int, **changes: Any) -> Any:
    """A reference as large as a picture that is made in tiles."""
    generator = torch.Generator().manual_seed(4)
    z0, noise = torch.randn(2, 1, 4, height, width, generator=generator)
    return replace(case.reference(), z0=z0, noise=noise, **changes)


@pytest.mark.parametrize(("size", "fitted"), [
    ((SIDE * 4, SIDE * 4), (SIDE, SIDE)),
    ((SIDE * 2, SIDE * 8), (8, 32)),
    ((SIDE, SIDE), (SIDE, SIDE)),
    ((SIDE // 2, SIDE), (SIDE // 2, SIDE)),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("plan", [{}, {"fused": True}, {"stream": "inversion"}], ids=str)
def test_among_tiles_the_reference_is_as_large_as_a_tile(
    sd1: Case, size: tuple[int, int], fitted: tuple[int, int], plan: dict[str, Any]
) -> None:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[:, : size[1] // 2] = True
    seen: set[tuple[int, int]] = set()

    def watch(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        seen.add(tuple(args[0].shape[-2:]))

    with sd1.unet.input_blocks[0].register_forward_pre_hook(watch):
        for masked in (False, True):
            changes = {"mask": TokenMask(mask)} if masked else {}
            with sd1.session(large(sd1, *size, **changes), **plan) as session:
                session.begin(0, 4, 2.0, cond_rows_first)
                tiles = [sd1.plain(sd1.target(2, 2.0, seed=seed)) for seed in (1, 2)]
                assert tuple(session.reference_latent().shape[-2:]) == fitted
                report = session.report
            assert (report.recorded, report.injected) == (1, 1)
            assert all(tile.isfinite().all() for tile in tiles)
    assert seen == {(SIDE, SIDE), fitted}


def test_the_noise_stays_white_and_the_picture_stays_the_picture(sd1: Case) -> None:
    reference = large(sd1, 64, 128)
    flat = replace(reference, z0=torch.full_like(reference.z0, 3.0)).fitting(32, 32)
    assert tuple(flat.z0.shape) == tuple(flat.noise.shape) == (1, 4, 24, 48)
    torch.testing.assert_close(flat.z0, torch.full_like(flat.z0, 3.0))
    assert abs(float(flat.noise.std()) - 1) < 0.05
    assert reference.fitting(64, 128) is reference


# ---- what others have made of the UNet --------------------------------------------------------


def state(case: Case) -> list[int]:
    return [len(module._forward_hooks) for module in case.unet.modules()]


def refused(case: Case, target: Any, **plan: Any) -> LafiError:
    with case.session(case.reference(), **plan) as session:
        session.begin(0, 1, 2.0, cond_rows_first)
        with pytest.raises(LafiError) as caught:
            case.plain(target)
    return caught.value


def test_more_channels_than_the_reference_has_are_refused(sd1: Case) -> None:
    target = sd1.target()
    before, plain = state(sd1), sd1.plain(target)
    more = replace(target, latent=torch.cat([target.latent, target.latent], 1))  # as IC-Light does
    error = refused(sd1, more)
    assert (error.code, "8 channels" in str(error)) == ("unsupported_model", True)
    assert state(sd1) == before
    assert torch.equal(sd1.plain(target), plain)


def test_a_layer_that_was_replaced_after_the_start_is_refused(sd1: Case) -> None:
    target = sd1.target()
    plain = sd1.plain(target)
    site = sd1.sites[-1]
    block: Any = sd1.unet.get_submodule(site.name.removesuffix(".attn1"))
    with sd1.session(sd1.reference()) as session:
        session.begin(0, 1, 2.0, cond_rows_first)
        block.attn1 = nn.Identity()  # as Forge's object patches do when the model is loaded
        try:
            with pytest.raises(LafiError, match="replaced the attention") as caught:
                sd1.plain(target)
        finally:
            block.attn1 = site.module
    assert caught.value.code == "attention_replaced"
    assert torch.equal(sd1.plain(target), plain)


@pytest.mark.parametrize("plan", [{}, {"strength": 2}, {"fidelity": 1}], ids=str)
def test_a_site_that_was_not_recorded_is_refused_whatever_the_strength(
    sd1: Case, plan: dict[str, Any]
) -> None:
    target = sd1.target()
    with sd1.session(sd1.reference(), refresh=2, **plan) as session:
        session.begin(0, 4, 2.0, cond_rows_first)
        sd1.plain(target)
        del session._references.recorders[0].tokens[sd1.sites[-1].name]
        session.begin(1, 4, 2.0, cond_rows_first)
        with pytest.raises(LafiError, match=r"attn1") as caught:
            sd1.plain(target)
    assert caught.value.code == "attention_replaced"


@pytest.mark.parametrize("banked", [False, True])
def test_a_unet_that_never_calls_its_layers_is_counted_as_it_is(
    sd1: Case, monkeypatch: pytest.MonkeyPatch, banked: bool
) -> None:
    monkeypatch.setattr(type(sd1.unet), "forward", lambda self, x, *args, **kwargs: x)
    bank = Bank()
    replay = Replay(bank, lambda: "model") if banked else None
    with sd1.session(sd1.reference(), replay=replay) as session:
        session.begin(0, 1, 2.0, cond_rows_first)
        sd1.plain(sd1.target())
        report = session.report
    assert (report.recorded, report.injected, report.sites, len(bank)) == (0, 0, [], 0)


def test_a_session_holds_none_of_the_models_weights(sd1: Case) -> None:
    with sd1.session(sd1.reference(), replay=Replay(Bank(), lambda: "")) as session:
        held = [*vars(session).values(), *vars(session._references).values()]
        held += vars(session._references.recorders[0]).values()
        parameters = set(map(id, sd1.unet.parameters()))
        for each in held:
            parts = each if isinstance(each, list | tuple | set) else [each]
            assert parameters.isdisjoint(map(id, parts))
