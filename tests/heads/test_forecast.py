"""Each loss against its closed form, with targets missing; both ways to a horizon against the recurrence written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from seqlab.heads.forecast import DirectForecastHead, NextValueHead, forecast_recursively
from seqlab.heads.forecast_losses import (
    SMALLEST_DEVIATION,
    AbsoluteError,
    ForecastLoss,
    GaussianLoss,
    HuberLoss,
    QuantileLoss,
    SquaredError,
    make_loss,
    pinball,
)

NAN = math.nan
TARGETS = torch.tensor([[1.0, NAN], [3.0, -2.0]])


@pytest.mark.parametrize(
    ("loss", "expected"), [(SquaredError(), (0.25 + 16 + 1) / 3), (AbsoluteError(), (0.5 + 4 + 1) / 3), (HuberLoss(), (0.125 + 3.5 + 0.5) / 3)]
)
def test_errors_of_points_by_hand(loss: ForecastLoss, expected: float) -> None:
    scores = torch.tensor([[1.5, 9.0], [-1.0, -1.0]])[..., None]
    assert loss(scores, TARGETS).item() == pytest.approx(expected)
    assert torch.equal(loss.point(scores), scores[..., 0])


def test_pinball_by_hand() -> None:
    loss = QuantileLoss([0.1, 0.5])
    scores = torch.tensor([[[0.0, 1.0], [5.0, 5.0]], [[4.0, 5.0], [-2.0, -4.0]]])
    # target 1: errors +1, 0; target 3: errors −1, −2; target −2: errors 0, +2
    expected = (0.1 * 1 + 0.9 * 1) + (0.5 * 2 + 0.5 * 2)
    assert loss(scores, TARGETS).item() == pytest.approx(expected / 6)
    assert torch.equal(loss.point(scores), scores[..., 1])


@pytest.mark.parametrize("quantile", [0.15, 0.5, 0.85])
def test_the_quantile_itself_has_the_least_pinball_loss(quantile: float) -> None:
    values = torch.arange(10.0)  # between the deciles, where the least is at one value alone, or at 4 and 5 alike
    losses = {forecast: pinball(torch.full((10, 1), forecast), values, torch.tensor([quantile])).mean().item() for forecast in values.tolist()}
    assert min(losses, key=lambda forecast: losses[forecast]) in (math.floor(quantile * 10), math.ceil(quantile * 10) - 1)


def test_gaussian_is_the_density_of_the_normal_distribution() -> None:
    torch.manual_seed(0)
    loss = GaussianLoss()
    scores = torch.randn(2, 2, 2, dtype=torch.float64)
    targets = TARGETS.double()
    deviation = torch.nn.functional.softplus(scores[..., 1]) + SMALLEST_DEVIATION
    log_density = torch.distributions.Normal(scores[..., 0], deviation).log_prob(torch.nan_to_num(targets))
    torch.testing.assert_close(loss(scores, targets), -(log_density.sum() - log_density[0, 1]) / 3)
    assert torch.equal(loss.point(scores), scores[..., 0])


LOSSES = [SquaredError(), AbsoluteError(), HuberLoss(), QuantileLoss(), GaussianLoss()]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_missing_targets_move_nothing(loss: ForecastLoss) -> None:
    torch.manual_seed(0)
    scores = torch.randn(2, 2, loss.num_parameters)
    scores[0, 1] = NAN  # where the target is missing the forecast may be anything
    scores.requires_grad_()
    value = loss(scores, TARGETS)
    value.backward()
    alone = loss(scores.detach()[[0, 1, 1], [0, 0, 1]], TARGETS[[0, 1, 1], [0, 0, 1]])
    torch.testing.assert_close(value.detach(), alone)
    assert scores.grad is not None
    assert (scores.grad[0, 1] == 0).all()
    assert torch.isfinite(scores.grad).all()
    nothing = loss(scores, torch.full((2, 2), NAN))
    nothing.backward()
    assert nothing == 0


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_gradcheck(loss: ForecastLoss) -> None:
    torch.manual_seed(0)
    scores = torch.randn(2, 2, loss.num_parameters, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: loss(s, TARGETS.double()), (scores,))


def test_direct_head_gives_every_step_from_the_last_valid_one() -> None:
    torch.manual_seed(0)
    head = DirectForecastHead(3, output_size=2, horizon=4, loss="quantile", quantiles=[0.1, 0.3, 0.5, 0.7, 0.9])
    y = torch.randn(2, 6, 3)
    y[1, 2:] = NAN
    scores = head(y, torch.tensor([6, 2]))
    assert scores.shape == (2, 4, 2, 5)
    weight, bias = (dict(head.named_parameters())[f"pooled.linear.{name}"] for name in ("weight", "bias"))
    for row, last in enumerate([y[0, 5], y[1, 1]]):
        torch.testing.assert_close(scores[row].flatten(), weight @ last + bias)


def test_next_values_fed_back_are_the_recurrence_written_out() -> None:
    torch.manual_seed(0)
    head = NextValueHead(3, output_size=2, loss="gaussian")
    mix = torch.randn(3, 3) * 0.5
    read = torch.randn(3, 2)

    def encode(x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(h @ mix.T + x @ read.T)

    def step(x: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        h = encode(x, state["h"])
        return head(h[:, None])[:, 0], {"h": h}

    past = torch.randn(4, 5, 2)
    h = torch.zeros(4, 3)
    outputs = []
    for t in range(5):
        h = encode(past[:, t], h)
        outputs.append(h)
    first = head(torch.stack(outputs, 1))
    assert first.shape == (4, 5, 2, 2)
    found = forecast_recursively(step, first[:, -1], {"h": h}, 3, GaussianLoss().point)
    assert found.shape == (4, 3, 2, 2)
    series = past
    for ahead in range(3):  # from the beginning each time, the forecasts so far appended to the past
        h = torch.zeros(4, 3)
        for t in range(series.shape[1]):
            h = encode(series[:, t], h)
        scores = head(h[:, None])[:, 0]
        torch.testing.assert_close(found[:, ahead], scores)
        series = torch.cat([series, scores[:, None, :, 0]], 1)


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(
        ValueError, match=r"scores have shape \(2, 2, 1\) for targets of shape \(2, 2\); expected \(2, 2, 2\). GaussianLoss needs num_parameters=2"
    ):
        GaussianLoss()(torch.zeros(2, 2, 1), TARGETS)
    for quantiles in ([], [0.0, 0.5], [0.5, 1.0], [0.9, 0.5], [0.5, 0.5]):
        with pytest.raises(ValueError, match=r"expected rising numbers in \(0, 1\)"):
            QuantileLoss(quantiles)
    with pytest.raises(ValueError, match=r"expected 0.5 among them"):
        QuantileLoss([0.1, 0.9])
    with pytest.raises(ValueError, match=r"horizon is 0; expected at least 1"):
        DirectForecastHead(3, 2, horizon=0)
    with pytest.raises(ValueError, match=r"no forecast loss is named 'gausian'. Did you mean 'gaussian'\?"):
        make_loss("gausian")
    with pytest.raises(ValueError, match=r"quantiles are \[0.5\] but the loss is 'squared_error'; expected None"):
        NextValueHead(3, 2, loss="squared_error", quantiles=[0.5])


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if not isinstance(loss, HuberLoss)], ids=lambda loss: type(loss).__name__)
def test_scores_put_back_to_a_scale_mean_the_same(loss: ForecastLoss) -> None:
    """The loss of a density falls by log scale, that of an error rises by the scale, or its square; Huber's is both, hence in no such relation."""
    torch.manual_seed(0)
    scores = torch.randn(2, 2, loss.num_parameters, dtype=torch.float64)
    offset, scale = torch.tensor([3.0, -1.0], dtype=torch.float64).expand(2, 2), torch.tensor([10.0, 10.0], dtype=torch.float64).expand(2, 2)
    targets = TARGETS.double()
    before, after = loss(scores, targets), loss(loss.rescaled(scores, offset, scale), targets * scale + offset)
    expected = before + math.log(10) if isinstance(loss, GaussianLoss) else before * (100 if isinstance(loss, SquaredError) else 10)
    # the least deviation does not grow with the scale: a relative 1e-4 of σ here
    torch.testing.assert_close(after, expected, rtol=1e-3 if isinstance(loss, GaussianLoss) else 1e-9, atol=0.0)


def test_the_band_holds_the_share_it_says() -> None:
    torch.manual_seed(0)
    band = GaussianLoss().band(torch.tensor([[2.0, 1.0]]).expand(1, 2))
    assert band is not None
    normal = torch.distributions.Normal(2.0, GaussianLoss.deviation(torch.tensor([2.0, 1.0])))
    assert [normal.cdf(end)[0].item() for end in band] == pytest.approx([0.1, 0.9], abs=1e-6)
    crossed = QuantileLoss().band(torch.tensor([[5.0, 1.0, 3.0]]))
    assert crossed is not None
    assert [end.item() for end in crossed] == [1.0, 5.0]
    assert SquaredError().band(torch.ones(1, 1)) is None
