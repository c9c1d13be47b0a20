"""MASE and pinball loss by hand, with values missing."""

from __future__ import annotations

import math

import pytest
import torch

from seqlab.metrics import MASE, PinballLoss, seasonal_naive_scale

NAN = math.nan
TRAIN = torch.tensor([[1.0, 0.0], [3.0, 10.0], [2.0, NAN], [7.0, 14.0], [2.0, 10.0]])


def test_the_scale_is_the_error_of_repeating_the_last_season() -> None:
    # value 0, period 2: |2 − 1|, |7 − 3|, |2 − 2|; value 1: only |14 − 10| has both parts
    torch.testing.assert_close(seasonal_naive_scale(TRAIN, 2), torch.tensor([5 / 3, 4.0]).double())
    # period 1: 2, 1, 5, 5; and 10, 4
    torch.testing.assert_close(seasonal_naive_scale(TRAIN), torch.tensor([13 / 4, 7.0]).double())


def test_mase_by_hand_and_over_batches_and_processes() -> None:
    scale = torch.tensor([2.0, 5.0])
    one, other = MASE(scale), MASE(scale)
    one.update(torch.tensor([[[1.0, 1.0], [0.0, NAN]]]), torch.tensor([[[5.0, 0.0], [1.0, NAN]]]))  # errors 4, 1, 1 and one missing
    assert one.clone().compute().item() == pytest.approx((4 / 2 + 1 / 5 + 1 / 2) / 3)
    other.update(torch.tensor([[0.0, 10.0]]), torch.tensor([[NAN, 0.0]]))
    one.merge_state(other)
    assert one.compute().item() == pytest.approx((4 / 2 + 1 / 5 + 1 / 2 + 10 / 5) / 4)


def test_the_seasonal_naive_forecast_of_the_training_split_has_mase_1() -> None:
    torch.manual_seed(0)
    series = torch.randn(50, 3).cumsum(0)
    metric = MASE(seasonal_naive_scale(series, 7))
    metric.update(series[:-7], series[7:])
    assert metric.compute().item() == pytest.approx(1.0)


def test_pinball_by_hand_and_over_batches_and_processes() -> None:
    one, other = PinballLoss([0.1, 0.9]), PinballLoss([0.1, 0.9])
    one.update(torch.tensor([[0.0, 4.0], [NAN, 1.0]]), torch.tensor([3.0, NAN]))  # errors +3 and −1
    assert one.clone().compute().item() == pytest.approx((0.1 * 3 + 0.1 * 1) / 2)
    other.update(torch.tensor([[2.0, 0.0]]), torch.tensor([1.0]))  # errors −1 and +1
    one.merge_state(other)
    assert one.compute().item() == pytest.approx((0.3 + 0.1 + 0.9 + 0.9) / 4)


def test_a_forecast_that_is_missing_is_seen() -> None:
    metric = MASE(torch.tensor([1.0]))
    metric.update(torch.tensor([[NAN]]), torch.tensor([[1.0]]))
    assert metric.compute().isnan()


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"period is 5; expected 1..4, less than the 5 steps"):
        seasonal_naive_scale(TRAIN, 5)
    with pytest.raises(ValueError, match=r"value 1 of the training split differs by 0.0 on average from one period of 1 steps"):
        seasonal_naive_scale(torch.tensor([[1.0, 2.0], [2.0, 2.0]]))
    with pytest.raises(ValueError, match=r"value 0 of the training split differs by nan"):
        seasonal_naive_scale(torch.tensor([[1.0], [NAN], [2.0]]))
    with pytest.raises(ValueError, match=r"shape \(5,\); expected \(time, values\)"):
        seasonal_naive_scale(TRAIN[:, 0])
    with pytest.raises(ValueError, match=r"expected one shape that ends in 2, the number of scales"):
        MASE(torch.ones(2)).update(torch.zeros(4, 3), torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"predictions have shape \(4, 3\) for targets of shape \(4,\); expected \(4, 2\)"):
        PinballLoss([0.1, 0.9]).update(torch.zeros(4, 3), torch.zeros(4))
    with pytest.raises(ValueError, match=r"expected rising numbers in \(0, 1\)"):
        PinballLoss([0.9, 0.1])
