"""CTC against a sum over every path there is: loss, both searches and the alignment."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from seqlab.heads.ctc import CTCHead, ctc_losses
from seqlab.search.ctc import collapse, ctc_alignment, ctc_beam, ctc_greedy

STEPS, CLASSES = 5, 3


def distribution(seed: int, steps: int = STEPS) -> torch.Tensor:
    return torch.randn(steps, CLASSES, generator=torch.Generator().manual_seed(seed)).double().mul(1.5).log_softmax(-1)


def paths(log_p: torch.Tensor) -> list[tuple[tuple[int, ...], float]]:
    """(path, log-probability) of every path."""
    places = range(len(log_p))
    return [(path, float(log_p[places, path].sum())) for path in itertools.product(range(CLASSES), repeat=len(log_p))]


def labellings(log_p: torch.Tensor) -> dict[tuple[int, ...], float]:
    """{labels: log-probability}, summed over all paths by an own collapse."""
    sums: dict[tuple[int, ...], float] = {}
    for path, value in paths(log_p):
        labels = tuple(now for before, now in zip((None, *path), path, strict=False) if now != before and now != 0)
        sums[labels] = sums.get(labels, 0.0) + math.exp(value)
    return {labels: math.log(value) for labels, value in sums.items()}


@pytest.mark.parametrize("labels", [(), (1,), (1, 2), (2, 2), (1, 1, 1), (1, 2, 1, 2, 1)])
def test_the_loss_is_the_sum_over_all_paths(labels: tuple[int, ...]) -> None:
    log_p, short = distribution(0), distribution(1, 4)
    both = torch.stack([log_p, torch.cat([short, torch.full((1, CLASSES), torch.nan)])])
    targets = torch.zeros(2, 6, dtype=torch.long)
    targets[0, : len(labels)] = torch.tensor(labels, dtype=torch.long)
    targets[1, 0] = 2
    found = ctc_losses(both, targets, torch.tensor([5, 4]))
    assert found.tolist() == pytest.approx([-labellings(log_p)[labels], -labellings(short)[(2,)]], rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_a_full_beam_finds_the_likeliest_labels(seed: int) -> None:
    log_p = distribution(seed)
    expected = sorted(labellings(log_p).items(), key=lambda entry: -entry[1])[:5]
    found = ctc_beam(log_p, size=200, num_best=5)
    assert [labels for labels, _ in found] == [labels for labels, _ in expected]
    assert [value for _, value in found] == pytest.approx([value for _, value in expected], rel=1e-9)
    best = max(paths(log_p), key=lambda entry: entry[1])[0]
    assert ctc_greedy(log_p) == collapse(list(best))


def test_the_beam_finds_what_the_likeliest_path_misses() -> None:
    log_p = torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log()
    assert ctc_greedy(log_p) == ()
    assert ctc_beam(log_p)[0][0] == (1,)


def test_what_no_path_collapses_to_is_not_among_the_best() -> None:
    log_p = distribution(0, 2)
    found = ctc_beam(log_p, size=20, num_best=20)
    assert {labels for labels, _ in found} == set(labellings(log_p))  # not (1, 1), which takes three steps
    assert all(math.isfinite(value) for _, value in found)


@pytest.mark.parametrize("labels", [(), (1,), (2, 1), (1, 1), (2, 2, 1)])
@pytest.mark.parametrize("seed", range(4))
def test_the_alignment_is_the_likeliest_path_of_the_labels(labels: tuple[int, ...], seed: int) -> None:
    log_p = distribution(seed)
    expected = max((value, path) for path, value in paths(log_p) if collapse(list(path)) == labels)
    assert tuple(ctc_alignment(log_p, list(labels))) == expected[1]


def test_collapse() -> None:
    assert collapse([0, 1, 1, 0, 1, 2, 2, 0]) == (1, 1, 2)


def test_the_head_gives_probabilities_and_gradients_without_nan_in_the_padding() -> None:
    head, y = CTCHead(4, CLASSES), torch.randn(2, 5, 4, requires_grad=True)
    assert torch.allclose(head(y).exp().sum(-1), torch.ones(2, 5))
    head.losses(y, torch.tensor([[1, 2], [1, 0]]), torch.tensor([5, 2])).sum().backward()
    assert y.grad is not None
    assert y.grad[0].any()
    assert not y.grad[1, 2:].any()


def test_a_head_in_bfloat16_has_a_loss_in_float32() -> None:
    """torch has no CTC in bfloat16, and its 8 bits would not hold a sum over the steps."""
    head, y, labels = CTCHead(4, CLASSES).bfloat16(), torch.randn(2, 40, 4).bfloat16(), torch.tensor([[1, 2], [1, 0]])
    found = head.losses(y, labels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, ctc_losses(head.linear(y).double().log_softmax(-1).detach(), labels).float())
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(head.float().losses(y.float(), labels), found)


def test_what_is_wrong_is_said() -> None:
    log_p = torch.stack([distribution(0), distribution(1)])
    with pytest.raises(ValueError, match="row 1 has 2 steps for 2 labels; expected at least 3"):
        ctc_losses(log_p, torch.tensor([[1, 2], [1, 1]]), torch.tensor([5, 2]))
    with pytest.raises(ValueError, match="the labels of row 1 have a 0"):
        ctc_losses(log_p, torch.tensor([[1, 2], [0, 1]]))
    with pytest.raises(ValueError, match="no path of 2 steps collapses to the 2 labels"):
        ctc_alignment(distribution(0, 2), [1, 1])
    with pytest.raises(ValueError, match="num_best is 3"):
        ctc_beam(log_p[0], 2, 3)
