"""The bank: what it keeps, what it drops, and that nothing is found under another key."""

from __future__ import annotations

import pytest
import torch

from lafi.core.replay import bank as bank_module
from lafi.core.replay.bank import Bank
from lafi.core.replay.key import Key, digest
from lafi.core.replay.transfer import Prefetch
from lafi.core.tokens import SiteTokens

CPU = torch.device("cpu")
SITE = "output_blocks.3"
# One site: keys and values share an input of 8 tokens and 4 channels, in float32.
SIZE = 8 * 4 * 4


def recording(value: float = 0.0, sites: tuple[str, ...] = (SITE,)) -> dict[str, SiteTokens]:
    tokens = {}
    for site in sites:
        given = torch.full((1, 8, 4), float(value))
        inputs = {"keys": given, "values": given}
        tokens[site] = SiteTokens(inputs, {"keys": given + 1, "values": given + 2})
    return tokens


def keys_of(bank: Bank, *keys: tuple) -> list[bool]:
    return [bank.find(key, [SITE], CPU) is not None for key in keys]


def test_finds_what_it_kept_and_only_under_its_key() -> None:
    bank = Bank(10 * SIZE, projected=False)
    bank.keep(Key("a", 1.0), recording(5))
    found = bank.find(Key("a", 1.0), [SITE], CPU)
    assert found is not None
    assert torch.equal(found[SITE].inputs["keys"], torch.full((1, 8, 4), 5.0))
    assert found[SITE].inputs["keys"] is found[SITE].inputs["values"]
    assert not found[SITE].outputs
    assert keys_of(bank, Key("a", 2.0), Key("b", 1.0)) == [False, False]
    assert bank.nbytes == SIZE


def test_a_missing_site_is_a_miss_and_is_added() -> None:
    bank = Bank(10 * SIZE, projected=False)
    bank.keep(Key("a", 1.0), recording())
    assert bank.find(Key("a", 1.0), [SITE, "other"], CPU) is None
    bank.keep(Key("a", 1.0), recording(sites=("other",)))
    assert bank.find(Key("a", 1.0), [SITE, "other"], CPU) is not None
    assert bank.nbytes == 2 * SIZE


def test_sites_that_are_there_already_count_once() -> None:
    bank = Bank(2 * SIZE, projected=False)
    bank.keep(Key("a", 1.0), recording())
    bank.keep(Key("a", 1.0), recording(sites=(SITE, "other")))
    assert bank.find(Key("a", 1.0), [SITE, "other"], CPU) is not None
    assert bank.nbytes == 2 * SIZE


def test_what_never_fits_drops_nothing() -> None:
    bank = Bank(2 * SIZE, projected=False)
    bank.keep(Key("a", 1.0), recording())
    bank.keep(Key("b", 1.0), recording(sites=("1", "2", "3")))
    assert keys_of(bank, Key("a", 1.0)) == [True]
    assert len(bank) == 1


def test_other_series_make_room_the_oldest_first() -> None:
    bank = Bank(2 * SIZE)
    bank.keep(Key("a", 1.0), recording())
    bank.keep(Key("b", 1.0), recording())
    assert keys_of(bank, Key("a", 1.0)) == [True]  # now the latest used
    bank.keep(Key("c", 1.0), recording())
    assert keys_of(bank, Key("a", 1.0), Key("b", 1.0), Key("c", 1.0)) == [True, False, True]
    assert bank.nbytes == 2 * SIZE


def test_a_series_that_does_not_fit_keeps_its_beginning() -> None:
    bank = Bank(2 * SIZE)
    for level in (3.0, 2.0, 1.0):
        bank.keep(Key("a", level), recording())
    assert keys_of(bank, Key("a", 3.0), Key("a", 2.0), Key("a", 1.0)) == [True, True, False]


@pytest.mark.parametrize("budget", [0, SIZE - 1])
def test_keeps_nothing_without_room(budget: int) -> None:
    bank = Bank(budget)
    bank.keep(Key("a", 1.0), recording())
    assert len(bank) == bank.nbytes == 0


def test_keeps_keys_and_values_if_asked() -> None:
    bank = Bank(10 * SIZE, projected=True)
    bank.keep(Key("a", 1.0), recording(5))
    found = bank.find(Key("a", 1.0), [SITE], CPU)
    assert found is not None
    assert not found[SITE].inputs
    assert torch.equal(found[SITE].outputs["values"], torch.full((1, 8, 4), 7.0))
    assert bank.nbytes == 2 * SIZE


@pytest.mark.parametrize(
    ("budget", "count", "projected"),
    # A recording's keys and values are 2 * SIZE; a run of them may take a tenth of the budget.
    [(20 * SIZE, 1, True), (20 * SIZE - 1, 1, False), (60 * SIZE, 3, True), (60 * SIZE, 4, False)],
)
def test_chooses_keys_and_values_where_a_run_of_them_is_little(budget, count, projected) -> None:
    bank = Bank(budget)
    bank.keep(Key("a", 1.0), recording(), count)
    assert bank.nbytes == (2 * SIZE if projected else SIZE)


def test_what_is_kept_is_a_copy() -> None:
    bank, tokens = Bank(10 * SIZE, projected=False), recording(5)
    bank.keep(Key("a", 1.0), tokens)
    tokens[SITE].inputs["keys"].zero_()
    found = bank.find(Key("a", 1.0), [SITE], CPU)
    assert found is not None
    assert found[SITE].inputs["keys"].min() == 5


NO_MEMORY = [
    torch.cuda.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"),
    RuntimeError("can't allocate memory"),
]


@pytest.mark.parametrize("task", [(bank_module, "stored"), (Prefetch, "bring")])
@pytest.mark.parametrize("error", NO_MEMORY, ids=["gpu", "library", "main memory"])
def test_without_memory_the_bank_gives_up_and_not_the_picture(monkeypatch, task, error) -> None:
    kept = Bank(10 * SIZE)
    kept.keep(Key("a", 1.0), recording())

    def fail(*args: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(*task, fail)
        kept.keep(Key("a", 2.0), recording())
        assert keys_of(kept, Key("a", 1.0), Key("a", 2.0)) == [False, False]
    assert len(kept) == kept.nbytes == 0
    kept.keep(Key("a", 3.0), recording())
    assert keys_of(kept, Key("a", 3.0)) == [True]


def test_other_errors_are_not_hidden(monkeypatch) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(bank_module, "stored", fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        Bank(10 * SIZE).keep(Key("a", 1.0), recording())


def test_nothing_recorded_is_nothing_kept() -> None:
    bank = Bank(10 * SIZE)
    bank.keep(Key("a", 1.0), {})
    assert len(bank) == bank.nbytes == 0


@pytest.mark.parametrize(
    ("machine", "expected"), [(64 * 2**30, 2 * 2**30), (8 * 2**30, 2**30), (0, 2 * 2**30)]
)
def test_the_budget_fits_the_machine(monkeypatch, machine: int, expected: int) -> None:
    monkeypatch.setattr(bank_module, "machine_bytes", lambda: machine)
    assert bank_module.default_budget(CPU, 0) == expected


def test_clear_frees_everything() -> None:
    bank = Bank(10 * SIZE)
    bank.keep(Key("a", 1.0), recording())
    bank.clear()
    assert len(bank) == bank.nbytes == 0
    assert keys_of(bank, Key("a", 1.0)) == [False]


def test_digest_tells_values_types_shapes_and_gaps_apart() -> None:
    one = torch.ones(2, 3)
    others = [
        digest(one + 1e-6),
        digest(one.half()),
        digest(one.T),
        digest(one, None),
        digest(None, one),
        digest(one, one),
    ]
    assert digest(one) == digest(one.clone())
    assert len({digest(one), *others}) == len(others) + 1
