"""Forecasts as a task: both heads against the recurrence by hand, window scales, metrics by series, answers with a band."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from seqlab import Stack
from seqlab.data.base import Batch
from seqlab.frontends import ConvolvedFeatures, Features
from seqlab.heads import DirectForecastHead, NextValueHead, StepHead
from seqlab.model import SequenceModel
from seqlab.tasks import Forecasting
from tests.tasks.models import SGD

NAN = float("nan")


def task(
    kind: type[Any] = DirectForecastHead, num_inputs: int = 2, num_series: int = 2, horizon: int = 3, loss: str = "squared_error", **options: Any
) -> Forecasting:
    torch.manual_seed(0)
    encoder = Stack.of("gru", num_inputs, 4)
    return Forecasting(SequenceModel(Features(num_inputs), encoder, kind(4, num_series, horizon=horizon, loss=loss)), SGD, **options)


def batch(num_inputs: int = 2, num_series: int = 2, horizon: int = 3) -> Batch:
    torch.manual_seed(1)
    return Batch(torch.randn(5, 6, num_inputs), torch.randn(5, horizon, num_series))


@pytest.mark.parametrize("scale", ["none", "last", "standard"])
@pytest.mark.parametrize("kind", [DirectForecastHead, NextValueHead])
def test_a_window_scale_moves_the_forecast_with_the_window(kind: type[Any], scale: str) -> None:
    """With it a shift of the past shifts the forecast by as much, and `standard` follows a stretch too."""
    made = task(kind, window_scale=scale).eval()
    past = batch().inputs
    shift = torch.tensor([10.0, -3.0])
    with torch.no_grad():
        before, moved, wider = (made.scores(x)[..., 0] for x in (past, past + shift, past * 7.0))
    assert before.shape == (5, 3, 2)
    follows = torch.allclose(moved, before + shift, atol=1e-4)  # float32 at values near 10
    assert follows == (scale != "none")
    if scale == "standard":  # the smallest scale makes it differ by about 1e-5 of the deviation
        torch.testing.assert_close(wider, before * 7.0, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("scale", ["last", "standard"])
def test_a_step_that_was_told_of_the_end_of_the_window_is_not_learned_from(scale: str) -> None:
    made, given = task(NextValueHead, window_scale=scale), batch()
    outcome = made.train().outcome(given)
    assert outcome.targets[:, :-1].isnan().all()
    assert torch.equal(outcome.targets[:, -1], given.targets[:, 0])
    assert outcome.count == 10


def test_next_values_are_learned_from_every_step_and_fed_back() -> None:
    made, given = task(NextValueHead), batch()
    outcome = made.train().outcome(given)
    assert outcome.targets.shape == (5, 6, 2)
    assert torch.equal(outcome.targets[:, :-1], given.inputs[:, 1:])
    assert torch.equal(outcome.targets[:, -1], given.targets[:, 0])
    given.missing = torch.zeros(5, 6, 2, dtype=torch.bool)
    given.missing[1, 2, 0] = given.missing[3, 0] = True  # nothing foretells the first row
    expected = outcome.targets.clone()
    expected[1, 1, 0] = NAN
    some = made.outcome(given)
    torch.testing.assert_close(some.targets, expected, equal_nan=True)
    assert some.count == outcome.count - 1
    found = made.eval().outcome(given).predictions
    series = given.inputs
    for ahead in range(3):  # from the beginning each time
        with torch.no_grad():
            scores, _ = made.model(series)
        torch.testing.assert_close(found[:, ahead], scores[:, -1, :, 0])
        series = torch.cat([series, scores[:, -1:, :, 0]], 1)
    with pytest.raises(ValueError, match=r"the data has 3 inputs per step and forecasts 2 of them; expected equal numbers"):
        task(NextValueHead, num_inputs=3).eval().outcome(batch(3))
    with pytest.raises(ValueError, match=r"the data has 3 inputs per step.*set data\.horizon=1, which is 3"):
        task(NextValueHead, num_inputs=3).prepare(SimpleNamespace(spec=SimpleNamespace(input_size=3)))  # type: ignore[arg-type]
    assert task(NextValueHead, num_inputs=3, horizon=1).eval().outcome(batch(3, horizon=1)).predictions.shape == (5, 1, 2)


def test_missing_targets_count_for_nothing() -> None:
    made, given = task(), batch()
    whole = made.outcome(given)
    given.targets[0] = NAN
    some = made.outcome(given)
    assert (whole.count, some.count) == (30, 24)
    expected = (whole.predictions[1:] - given.targets[1:]).square().mean()
    torch.testing.assert_close(some.loss.detach(), expected)


class Data:
    """What the task asks of the data set: two series that move by 1 and by 10 from one row to the next."""

    training_series = torch.stack([torch.arange(5.0), 10 * torch.arange(5.0)], 1)
    season = 1


class Trainer:
    datamodule = Data()
    sanity_checking = False
    world_size = 1


@pytest.mark.parametrize("alone", [False, True])
def test_mase_knows_which_series_a_row_is(alone: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    width = 1 if alone else 2
    made = task(num_inputs=width, num_series=width).eval()
    monkeypatch.setattr(Forecasting, "trainer", Trainer())
    made.setup("fit")
    made.setup("test")
    given = batch()
    if alone:
        given = Batch(torch.cat([given.inputs[..., :1], given.inputs[..., 1:]], 1).reshape(10, 6, 1), given.targets.transpose(1, 2).reshape(10, 3, 1))
    made._evaluate("val", given)
    errors = (made.outcome(given).predictions - given.targets).abs().double()
    errors = errors.reshape(5, 2, 3).transpose(1, 2) if alone else errors
    expected = (errors / torch.tensor([1.0, 10.0])).mean()
    found = made._meters("val")[1].compute()
    torch.testing.assert_close(found["val/mase"], expected)
    torch.testing.assert_close(found["val/mae"], errors.mean())
    torch.testing.assert_close(found["val/mse"], errors.square().mean())


def test_a_first_batch_without_targets_leaves_the_metrics_apart() -> None:
    made = task().eval()
    made._evaluate("val", Batch(batch().inputs, torch.full((5, 3, 2), NAN)))
    made._evaluate("val", batch())
    errors = (made.outcome(batch()).predictions - batch().targets).double()
    found = made._meters("val")[1].compute()
    torch.testing.assert_close((found["val/mse"], found["val/mae"]), (errors.square().mean(), errors.abs().mean()))


@pytest.mark.parametrize(
    ("loss", "parts"), [("squared_error", {"forecast"}), ("quantile", {"forecast", "lower", "upper"}), ("gaussian", {"forecast", "lower", "upper"})]
)
def test_answers_are_plain_numbers(loss: str, parts: set[str]) -> None:
    made = task(loss=loss, window_scale="standard")
    answers = made.answer(Batch(batch().inputs, torch.empty(5, 0)))
    assert len(answers) == 5
    assert set(answers[0]) == parts
    values = {name: torch.tensor(part) for name, part in answers[0].items()}
    assert all(part.shape == (3, 2) for part in values.values())
    if "lower" in parts:
        assert (values["lower"] <= values["upper"]).all()


def test_what_cannot_forecast_is_refused() -> None:
    encoder = Stack.of("gru", 2, 4)
    with pytest.raises(ValueError, match=r"the head is a StepHead; expected one that forecasts. Choose head=forecast"):
        Forecasting(SequenceModel(Features(2), encoder, StepHead(4, 2)), SGD)
    both = Stack.of("gru", 2, 4, bidirectional=True)
    with pytest.raises(ValueError, match=r"the encoder is bidirectional"):
        Forecasting(SequenceModel(Features(2), both, NextValueHead(8, 2)), SGD)
    ahead = ConvolvedFeatures(2, widths=[3], num_filters=2)
    with pytest.raises(ValueError, match=r"the front end ConvolvedFeatures looks ahead.*frontend=features or head=forecast"):
        Forecasting(SequenceModel(ahead, encoder, NextValueHead(4, 2)), SGD)
    assert Forecasting(SequenceModel(ahead, encoder, DirectForecastHead(4, 2, horizon=3)), SGD).num_series == 2
    with pytest.raises(ValueError, match=r"no window scale is named 'mean'"):
        task(window_scale="mean")


def test_one_batch_is_learned_by_heart() -> None:
    made, given = task(window_scale="standard"), batch()
    optimizer = torch.optim.Adam(made.parameters(), lr=0.05)
    losses: list[Tensor] = []
    for _ in range(150):
        losses.append(made.outcome(given).loss)
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.05 * losses[0]
