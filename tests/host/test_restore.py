"""Promise 2: whatever ends a run, nothing of ours is left in the UNet or in memory."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lab.host.embedded import cond_rows_first
from lafi.core.schedule import Window
from lafi.core.session import Session
from lafi.errors import LafiError

from .harness import Case, Target

PLANS = [
    {},
    {"layers": "all", "strength": 2},
    {"fidelity": 1, "stream": "denoise"},
    {"stream": "inversion"},
    {"fused": True},
    {"refresh": 2},
]


class SkippedError(BaseException):
    """What an interrupt is to a host: it passes every ``except Exception``."""


def state(unet: nn.Module) -> dict[str, Any]:
    """All that a hook, a patch or an attribute of ours would change."""
    return {
        name: (
            sorted(vars(module)),
            sorted(module._parameters),
            sorted(module._buffers),
            sorted(module._modules),
            [
                len(hooks)
                for attribute, hooks in sorted(vars(module).items())
                if "hooks" in attribute and hooks is not None
            ],
            module.forward.__func__,
            {key: id(value) for key, value in vars(module).items() if key == "forward"},
        )
        for name, module in unet.named_modules()
    }


@pytest.fixture(autouse=True, scope="module")
def only_new_objects() -> None:
    """Spares `tensors` what earlier tests have left, too."""
    gc.collect()
    gc.freeze()


def tensors() -> int:
    """How many tensors are alive that were not there before these tests."""
    gc.collect()
    # By type: isinstance would ask the objects themselves, and some of torch's warn.
    return sum(issubclass(type(each), Tensor) for each in gc.get_objects())


def evaluate(case: Case, session: Session, target: Target) -> Tensor:
    """One evaluation, after which the session is closed but still there."""
    with session:
        session.begin(0, 1, target.sigma, cond_rows_first)
        return case.plain(target)


@contextmanager
def failing(block: nn.Module, call: int, failure: BaseException) -> Iterator[None]:
    """Lets the given call (from 1) of a block raise."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise failure.with_traceback(None)

    handle = block.register_forward_pre_hook(count)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_after_a_run_nothing_is_left(case: Case, plan: dict[str, Any]) -> None:
    before, plain = state(case.unet), case.plain(case.target())
    target, reference = case.target(), case.reference()
    alive = tensors()
    session = case.session(reference, **plan)
    assert not torch.equal(evaluate(case, session, target), plain)
    # The host may hold on to the session.
    assert tensors() == alive
    assert state(case.unet) == before
    assert torch.equal(case.plain(case.target()), plain)


@pytest.mark.parametrize("during", [1, 2], ids=["reference pass", "target pass"])
@pytest.mark.parametrize("plan", PLANS[:3], ids=str)
def test_after_a_failure_nothing_is_left(case: Case, plan: dict[str, Any], during: int) -> None:
    check_failure(case, plan, during, RuntimeError("in a layer"))


@pytest.mark.parametrize(
    "failure", [torch.cuda.OutOfMemoryError("no memory"), SkippedError()], ids=str
)
@pytest.mark.parametrize("during", [1, 2], ids=["reference pass", "target pass"])
@pytest.mark.parametrize("plan", PLANS[:3], ids=str)
def test_whatever_the_failure(
    sd1: Case, plan: dict[str, Any], during: int, failure: BaseException
) -> None:
    check_failure(sd1, plan, during, failure)


def check_failure(case: Case, plan: dict[str, Any], during: int, failure: BaseException) -> None:
    """Fails in a call of the last block (the first is the reference's), then looks for traces."""
    before, plain = state(case.unet), case.plain(case.target())
    target, reference = case.target(), case.reference()
    block = case.unet.get_submodule(".".join(case.sites[-1].name.split(".")[:2]))
    alive = tensors()
    session = case.session(reference, **plan)
    with failing(block, during, failure):
        try:
            evaluate(case, session, target)
        except type(failure) as error:
            error.__traceback__ = None
        else:
            pytest.fail("the failure did not reach the host")
    assert tensors() == alive
    assert state(case.unet) == before
    assert torch.equal(case.plain(case.target()), plain)


def test_a_failed_call_leaves_a_session_that_still_closes(sd1: Case) -> None:
    before, target = state(sd1.unet), sd1.target()
    session = sd1.session(sd1.reference())
    session.begin(0, 2, target.sigma, cond_rows_first)
    with failing(sd1.unet.middle_block, 2, RuntimeError()), pytest.raises(RuntimeError):
        sd1.plain(target)
    session.begin(1, 2, target.sigma, cond_rows_first)
    assert not torch.equal(sd1.plain(target), sd1.plain(target.rows(1, 0)))
    session.close()
    session.close()
    assert state(sd1.unet) == before


def test_outside_the_window_nothing_is_left_before_the_end(case: Case) -> None:
    before, target = state(case.unet), case.target()
    plain = case.plain(target)
    with case.session(case.reference()) as session:
        for index in range(10):
            session.begin(index, 10, target.sigma, cond_rows_first)
            answer = case.plain(target)
            assert torch.equal(answer, plain) == (index >= 8)
            assert (state(case.unet) == before) == (index >= 8)
        assert (session.report.injected, session.report.skipped) == (8, 2)
        assert session.report.switched == 2


def test_a_window_that_holds_no_evaluation_is_an_error(sd1: Case) -> None:
    before = state(sd1.unet)
    session = sd1.session(sd1.reference(), window=Window(60, 70))
    with pytest.raises(LafiError, match="none of the run's 4 model evaluations") as caught, session:
        session.begin(0, 4, 2.0, cond_rows_first)
    assert caught.value.code == "empty_window"
    assert state(sd1.unet) == before


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_random_state_is_not_touched(sd1: Case, plan: dict[str, Any]) -> None:
    before, of_python = torch.get_rng_state(), random.getstate()
    sd1.injected(sd1.target(), sd1.reference(), **plan)
    assert torch.equal(torch.get_rng_state(), before)
    assert random.getstate() == of_python


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_the_same_twice(case: Case, plan: dict[str, Any]) -> None:
    first = case.injected(case.target(), case.reference(), **plan)
    assert torch.equal(case.injected(case.target(), case.reference(), **plan), first)
