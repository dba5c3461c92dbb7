"""The self-test on transformers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from lafi.core.joint import hook
from lafi.core.reference import Conditioning
from lafi.core.selftest import Check, SelfTest

from .harness import Case


def checked(case: Case, stream: str = "noise", batch: int = 1) -> list[Check]:
    """All checks."""
    guidance = {"guidance": 3.5} if "guidance" in case.reads else {}

    def evaluate(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        more: dict[str, Any] = {
            name: torch.full((len(x),), value) for name, value in guidance.items()
        }
        if "y" in case.reads:
            more["y"] = conditioning.vector
        answer: Tensor = case.network(x, timesteps, context=conditioning.context, **more)
        return answer

    reference = case.reference()
    return SelfTest(case.network, reference, evaluate, case.forward, stream, batch).run()


@pytest.mark.parametrize(("stream", "batch"), [("noise", 1), ("inversion", 2)])
def test_all_promises_hold(case: Case, stream: str, batch: int) -> None:
    made = checked(case, stream, batch)
    assert len(made) == 13
    assert [each for each in made if not each.passed] == []


def test_plain_concatenation_would_not_hold(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text keys would lose their share of the attention."""
    monkeypatch.setattr(hook, "balance", lambda extras, count: 1.0)
    failed = [each.name for each in checked(case) if not each.passed]
    assert "self-reference" in failed
