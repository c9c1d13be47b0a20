"""Beam search against a search through everything, greedy search against the obvious loop, rows against rows alone."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from seqlab.search import Beam, Hypothesis, beam_search, greedy

END, SYMBOLS, STEPS = 0, 4, 4


def model(ids: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Scores depend on everything that was read, and on the row by `memory.row`; weights are an attention over two or three positions."""
    read = (state["read"] * 5 + ids + 1) % 9973
    scores = 1.5 * torch.sin(read[:, None] * torch.arange(1.0, SYMBOLS + 1) * state["memory.row"][:, None])
    scores[:, END] -= 0.5
    looks = torch.sin(read[:, None] + torch.arange(3.0)).masked_fill(~state["memory.mask"], -torch.inf).softmax(-1)
    return scores, {**state, "read": read, "weights": looks}


def start(*rows: int) -> tuple[Tensor, dict[str, Tensor]]:
    mask = torch.tensor([[True, True, row % 2 == 0] for row in rows])
    state = {"read": torch.zeros(len(rows), dtype=torch.long), "memory.row": torch.tensor(rows).float(), "memory.mask": mask}
    return model(torch.ones(len(rows), dtype=torch.long), state)


def everything(row: int, beam: Beam) -> list[tuple[float, tuple[int, ...], bool]]:
    """(score, ids, ended) of every sequence there is, the best first; each by reading it symbol by symbol."""
    found = []
    for length in range(STEPS + 1):
        for ids in itertools.product(range(1, SYMBOLS), repeat=length):
            ended = length < STEPS
            scores, state = start(row)
            log_p, seen = 0.0, state["weights"][0]
            for place, symbol in enumerate((*ids, END) if ended else ids):
                log_p += float(scores[0].double().log_softmax(-1)[symbol])
                if place < length and (ended or place < length - 1):
                    scores, state = model(torch.tensor([symbol]), state)
                    seen = seen + state["weights"][0]
            count = length + ended
            cover = sum(math.log(min(float(weight), 1.0)) for weight, valid in zip(seen, state["memory.mask"][0], strict=True) if valid)
            found.append((log_p / ((5 + count) / 6) ** beam.length_penalty + beam.coverage_penalty * cover, ids, ended))
    return sorted(found, reverse=True)


def ids_of(rows: list[list[Hypothesis]]) -> list[list[tuple[int, ...]]]:
    return [[hypothesis.ids for hypothesis in row] for row in rows]


@pytest.mark.parametrize("options", [{}, {"length_penalty": 1.5}, {"coverage_penalty": 0.7}, {"length_penalty": 0.6, "coverage_penalty": 0.3}], ids=str)
def test_a_full_beam_is_an_exhaustive_search(options: dict[str, float]) -> None:
    """The scores are compared, so that a penalty left out would be seen even where it changes no order."""
    beam = Beam(200, num_best=7, **options)
    for row, best in zip((1, 2, 5), beam_search(model, *start(1, 2, 5), beam, STEPS, END), strict=True):
        expected = everything(row, beam)[:7]
        assert [(h.ids, h.ended) for h in best] == [(ids, ended) for _, ids, ended in expected]
        assert [h.score for h in best] == pytest.approx([score for score, _, _ in expected], abs=1e-5)  # the model is in float32


@pytest.mark.parametrize("row", range(1, 12))
def test_a_beam_of_one_is_greedy_search(row: int) -> None:
    scores, state = start(row)
    expected: list[int] = []
    for _ in range(12):
        symbol = int(scores[0].argmax())
        if symbol == END:
            break
        expected.append(symbol)
        scores, state = model(torch.tensor([symbol]), state)
    for found in (greedy(model, *start(row), 12, END)[0], beam_search(model, *start(row), Beam(1), 12, END)[0][0]):
        assert found.ids == tuple(expected)
        assert found.ended == (len(expected) < 12)


@pytest.mark.parametrize("size", [1, 2, 3, 9])
def test_batched_equals_one_by_one(size: int) -> None:
    beam = Beam(size, length_penalty=0.8, coverage_penalty=0.2, num_best=min(size, 3))
    rows = range(1, 8)
    together = ids_of(beam_search(model, *start(*rows), beam, 8, END))
    assert together == [ids_of(beam_search(model, *start(row), beam, 8, END))[0] for row in rows]
    limited = ids_of(beam_search(model, *start(*rows), beam, [*rows], END))
    assert limited == [ids_of(beam_search(model, *start(row), beam, row, END))[0] for row in rows]
    assert limited != together


def test_a_wider_beam_finds_nothing_less_likely_here() -> None:
    best = [beam_search(model, *start(2), Beam(size), 8, END)[0][0].log_probability for size in (1, 4, 64)]
    assert best[0] <= best[2]
    assert best[1] <= best[2]


def test_poor_hypotheses_that_end_early_do_not_stop_a_better_one_that_goes_on() -> None:
    """Symbol 1 is right three times, then the end; the end is always the second best."""
    log_p = torch.tensor([[0.02, 0.96, 0.01, 0.01]] * 3 + [[0.97, 0.01, 0.01, 0.01]] * 9).log()

    def step(ids: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return log_p[state["read"] + 1], {"read": state["read"] + 1}

    assert ids_of(beam_search(step, log_p[:1], {"read": torch.zeros(1, dtype=torch.long)}, Beam(2), 9, END)) == [[(1, 1, 1)]]


def test_a_beam_larger_than_the_vocabulary_is_filled_as_hypotheses_appear() -> None:
    (row,) = beam_search(model, *start(3), Beam(SYMBOLS * 3, num_best=SYMBOLS * 3), 1, END)
    assert sorted(hypothesis.ids for hypothesis in row) == [(), (1,), (2,), (3,)]


def test_what_is_never_written_is_not_written() -> None:
    for hypothesis in beam_search(model, *start(1), Beam(8, num_best=8, never=(2,)), 5, END)[0]:
        assert 2 not in hypothesis.ids


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match="beam size is 0"):
        Beam(0)
    with pytest.raises(ValueError, match=r"num_best is 3; expected 1\.\.2"):
        Beam(2, num_best=3)
    with pytest.raises(ValueError, match="length_penalty is nan"):
        Beam(2, length_penalty=float("nan"))
    scores, state = start(1)
    with pytest.raises(ValueError, match="max_steps is 0"):
        beam_search(model, scores, state, Beam(), 0, END)
    with pytest.raises(ValueError, match="the model attends to nothing"):
        beam_search(model, scores, {"read": state["read"]}, Beam(coverage_penalty=0.1), 3, END)
