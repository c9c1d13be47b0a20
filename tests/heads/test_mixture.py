"""The likelihood against torch.distributions, gradients, extremes, and samples against the moments they should have."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, MixtureSameFamily, MultivariateNormal

from seqlab.heads.mixture import LARGEST_CORRELATION, SMALLEST_DEVIATION, MixtureDensityHead, draw, negative_log_likelihood

LENGTHS = torch.tensor([4, 2])


def random_scores(rows: int, mixtures: int) -> torch.Tensor:
    return torch.randn(rows, 1 + 6 * mixtures, generator=torch.Generator().manual_seed(1)).double()


def density(scores: torch.Tensor) -> MixtureSameFamily:
    pi, x, y, sx, sy, r = scores[:, 1:].chunk(6, -1)
    sx, sy, r = sx.exp() + SMALLEST_DEVIATION, sy.exp() + SMALLEST_DEVIATION, LARGEST_CORRELATION * r.tanh()
    covariance = torch.stack([torch.stack([sx**2, r * sx * sy], -1), torch.stack([r * sx * sy, sy**2], -1)], -2)
    return MixtureSameFamily(Categorical(logits=pi), MultivariateNormal(torch.stack([x, y], -1), covariance))


@pytest.mark.parametrize("mixtures", [1, 3])
def test_the_likelihood_is_that_of_torch_distributions(mixtures: int) -> None:
    scores, targets = random_scores(6, mixtures), torch.randn(6, 3).double()
    targets[:, 2] = torch.tensor([0, 1, 0, 0, 1, 1])
    expected = -density(scores).log_prob(targets[:, :2]) - Bernoulli(logits=scores[:, 0]).log_prob(targets[:, 2])
    torch.testing.assert_close(negative_log_likelihood(scores, targets), expected, rtol=1e-9, atol=1e-10)  # float64 rounding
    assert torch.autograd.gradcheck(lambda s: negative_log_likelihood(s, targets), scores.requires_grad_())


def test_extremes_stay_finite() -> None:
    scores = torch.tensor([[100.0, 9, -900, 3, 3, 3, 3, -80, 80, -80, 80, 50, -50]]).requires_grad_()
    loss = negative_log_likelihood(scores, torch.tensor([[3.0, 3.0, 0.0]]))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


def test_padding_does_not_count() -> None:
    head, y, targets = MixtureDensityHead(5, 2), torch.randn(2, 4, 5), torch.rand(2, 4, 3).round()
    y[1, 2:], targets[1, 2:] = torch.nan, torch.nan
    found = head.losses(y, targets, LENGTHS)
    alone = torch.cat([head.losses(y[:1], targets[:1]), head.losses(y[1:, :2], targets[1:, :2])])
    torch.testing.assert_close(found, alone)
    assert head(y).shape == (2, 4, head.output_size)


def test_samples_have_the_moments_of_the_density() -> None:
    scores = random_scores(1, 2)
    drawn = draw(scores.expand(20_000, -1), torch.Generator().manual_seed(0))
    mixture = density(scores)
    error = 5 * (mixture.variance[0] / 20_000).sqrt()  # five standard errors
    assert ((drawn[:, :2].mean(0) - mixture.mean[0]).abs() < error).all()
    assert ((drawn[:, :2].var(0) / mixture.variance[0]).log().abs() < 0.1).all()
    assert drawn[:, 2].mean().item() == pytest.approx(scores[0, 0].sigmoid().item(), abs=0.018)
    one = random_scores(1, 1)
    strokes = draw(one.expand(20_000, -1), torch.Generator().manual_seed(0))
    correlation = torch.corrcoef(strokes[:, :2].T)[0, 1].item()
    assert correlation == pytest.approx(LARGEST_CORRELATION * one[0, 6].tanh().item(), abs=0.03)


def test_random_numbers_are_drawn_where_the_scores_are() -> None:
    """On a GPU the generator is one of the GPU; a device without numbers stands for it, on which no number of the CPU is taken either."""
    assert draw(random_scores(4, 2).to("meta"), torch.Generator()).device.type == "meta"


def test_bias_makes_writing_less_varied() -> None:
    scores = random_scores(1, 1).expand(2000, -1)
    plain, biased = (draw(scores, torch.Generator().manual_seed(0), bias)[:, :2].std(0) for bias in (0.0, 2.0))
    assert (biased < 0.2 * plain).all()


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match=r"targets have shape \(1, 2, 2\); expected \(1, 2, 3\)"):
        MixtureDensityHead(5, 2).losses(torch.zeros(1, 2, 5), torch.zeros(1, 2, 2))
    with pytest.raises(ValueError, match="bias is -1"):
        draw(random_scores(1, 1), torch.Generator(), -1.0)
    with pytest.raises(ValueError, match="scores have 12 columns"):
        negative_log_likelihood(torch.zeros(1, 12), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="num_mixtures is 0"):
        MixtureDensityHead(5, 0)
