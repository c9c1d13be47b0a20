"""Sampling: the probabilities are those the options say, rows do not see each other, and a row ends where it should."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from seqlab.search import Sampling, sample

SCORES = torch.tensor([[math.log(p) for p in (0.1, 0.4, 0.2, 0.3)]])


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.1, 0.4, 0.2, 0.3]),
        ({"temperature": 0.5}, [1 / 30, 16 / 30, 4 / 30, 9 / 30]),  # squares of the probabilities
        ({"temperature": 1e-4}, [0, 1, 0, 0]),
        ({"top_k": 2}, [0, 4 / 7, 0, 3 / 7]),
        ({"top_k": 1}, [0, 1, 0, 0]),
        ({"top_k": 99}, [0.1, 0.4, 0.2, 0.3]),
        ({"top_p": 0.39}, [0, 1, 0, 0]),
        ({"top_p": 0.41}, [0, 4 / 7, 0, 3 / 7]),
        ({"top_p": 0.71}, [0, 4 / 9, 2 / 9, 3 / 9]),
        ({"top_p": 1.0}, [0.1, 0.4, 0.2, 0.3]),
        ({"top_k": 3, "top_p": 0.6}, [0, 4 / 7, 0, 3 / 7]),  # of the three, 4/9 + 3/9 is the first sum past 0.6
        ({"never": (1,)}, [1 / 6, 0, 2 / 6, 3 / 6]),
        ({"never": (1,), "top_k": 1}, [0, 0, 0, 1]),
    ],
)
def test_probabilities_by_hand(options: dict, expected: list[float]) -> None:
    found = Sampling(**options).probabilities(SCORES)
    torch.testing.assert_close(found, torch.tensor([expected], dtype=torch.float64), rtol=0, atol=1e-6)  # the scores are float32


def test_of_equal_scores_top_k_takes_the_lower_ids() -> None:
    assert Sampling(top_k=2).probabilities(torch.zeros(1, 5)).tolist() == [[0.5, 0.5, 0, 0, 0]]


def test_draws_follow_the_probabilities() -> None:
    drawn = Sampling().draw(SCORES.expand(20_000, 4), generators(*range(20_000)))
    shares = torch.bincount(drawn, minlength=4) / 20_000
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.4, 0.2, 0.3]), rtol=0, atol=0.014)  # four standard deviations


def test_what_is_never_drawn_is_never_drawn() -> None:
    scores = torch.tensor([[50.0, 0.0, 1.0]]).expand(5000, 3)
    assert set(Sampling(never=(0,)).draw(scores, generators(*range(5000))).tolist()) == {1, 2}


def test_nor_by_the_smallest_random_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda *size, generator: torch.zeros(*size))
    assert Sampling(never=(0,)).draw(SCORES, generators(0)).tolist() == [1]


def counting(ids: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """A model whose scores depend on everything it has read."""
    read = state["read"] * 3 + ids
    return torch.sin(read[:, None] * torch.arange(1.0, 7.0)) * 2, {"read": read}


def draw(seeds: list[int], starts: list[int], **options: int) -> list[list[int]]:
    scores, state = counting(torch.tensor(starts), {"read": torch.zeros(len(starts), dtype=torch.long)})
    steps = list(sample(counting, scores, state, Sampling(), generators(*seeds), **{"max_steps": 12, **options}))
    return torch.stack(steps, 1).tolist()


def until(row: list[int], end: int) -> list[int]:
    return row[: row.index(end) + 1] if end in row else row


def test_batched_equals_one_by_one() -> None:
    together = draw([3, 4, 5], [0, 1, 2], end=2)
    for row, (seed, start) in enumerate([(3, 0), (4, 1), (5, 2)]):
        (alone,) = draw([seed], [start], end=2)
        assert until(together[row], 2) == alone


def test_the_same_seed_draws_the_same() -> None:
    assert draw([1], [0]) == draw([1], [0])
    assert draw([1], [0]) != draw([2], [0])


def test_rows_that_have_ended_repeat_the_end_and_the_last_ends_all() -> None:
    rows = draw([3, 4, 5], [0, 1, 2], end=2, max_steps=200)
    assert max(len(until(row, 2)) for row in rows) == len(rows[0]) < 200
    for row in rows:
        assert set(row[row.index(2) :]) == {2}


def test_each_symbol_is_fed_back() -> None:
    fed: list[list[int]] = []

    def step(ids: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        fed.append(ids.tolist())
        return counting(ids, state)

    scores, state = counting(torch.tensor([1]), {"read": torch.tensor([0])})
    drawn = [ids.tolist() for ids in sample(step, scores, state, Sampling(), generators(0), max_steps=5)]
    assert fed == drawn[:-1]


def test_no_steps_draw_nothing() -> None:
    assert list(sample(counting, SCORES, {}, Sampling(), generators(0), max_steps=0)) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, r"temperature is 0\.0; expected a number above 0.*top_k=1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_p": 0.0}, r"top_p is 0\.0"),
        ({"top_p": 1.5}, r"top_p is 1\.5"),
    ],
)
def test_options_out_of_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sampling(**options)
