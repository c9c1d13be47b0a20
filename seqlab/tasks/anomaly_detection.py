"""Rows of a series that its past did not announce. Dimension key: B batch, T time, I inputs, V series, N rows of a whole series."""

from __future__ import annotations

import copy
import logging
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection

from seqlab.data.base import Batch, SequenceDataModule
from seqlab.data.windows import measured
from seqlab.heads import NextValueHead
from seqlab.layers import Bidirectional
from seqlab.metrics.likelihood import first_of_burst, tail_scores
from seqlab.model import SequenceModel
from seqlab.tasks.base import Outcome, Task

log = logging.getLogger("seqlab")


class AnomalyDetection(Task):
    """Forecasts each next row; a row whose error is unlikely after the errors before it is an anomaly.

    Online: the score of a row is a function of the rows before it and of itself. The model is trained on the first part of
    the series; then it goes through the series row by row with its state carried on, and after every `learn_every` rows takes
    `learn_steps` steps at learning_rate on windows of the past (0 steps: it stays as it was trained). Values far out are
    compressed, sign(x) log(1 + |x|), before the model; what is forecast is the change from the last value.
    score: −log probability (see seqlab.metrics.likelihood), and at least `threshold` where a value leaves the range of all before it by the
    share range_tolerance, as in Numenta's own detector; a row is told only where it is above all of the rest before it, `rest` times the
    rows that were trained on, of which many are needed before the first row is judged at all. flag: the score reaches `threshold`.
    """

    num_rest: Tensor

    def __init__(
        self,
        *args: Any,
        threshold: float = 7.0,
        rest: float = 0.5,
        range_tolerance: float = 0.02,
        learn_every: int = 32,
        learn_steps: int = 1,
        learning_rate: float = 0.0005,
        window: int = 64,
        **kwargs: Any,
    ) -> None:
        """window: rows of a window of the past that is learned from."""
        super().__init__(*args, **kwargs)
        for name, value, least in (
            ("rest", rest, 0),
            ("range_tolerance", range_tolerance, 0),
            ("learn_every", learn_every, 1),
            ("learn_steps", learn_steps, 0),
            ("window", window, 2),
        ):
            if value < least:
                raise ValueError(f"task.{name} is {value}; expected at least {least}.")
        if any(isinstance(module, Bidirectional) for module in self.model.encoder.modules()):
            raise ValueError("the encoder is bidirectional, so it has read the values it should forecast. Choose encoder.bidirectional=false.")
        if self.model.frontend.mixes_steps:
            name = type(self.model.frontend).__name__
            raise ValueError(f"the front end {name} looks ahead, so it has read the values it should forecast. Choose frontend=features.")
        if not isinstance(self.model.head, NextValueHead):
            raise ValueError(f"the head is a {type(self.model.head).__name__}; expected one for the next row. Choose head=next_value.")
        self.forecast_loss = self.model.head.loss  # has no weights
        self.num_series = self.model.head.output_size
        self.threshold, self.rest, self.range_tolerance, self.window = threshold, rest, range_tolerance, window
        self.learn_every, self.learn_steps, self.learning_rate = learn_every, learn_steps, learning_rate
        self.register_buffer("num_rest", torch.tensor(0))  # in the checkpoint, for new series

    def prepare(self, data: SequenceDataModule) -> None:
        super().prepare(data)
        self.num_rest.fill_(int(self.rest * getattr(data, "num_training", 0)))

    def make_metrics(self) -> MetricCollection:
        return MetricCollection({})

    def outcome(self, batch: Batch) -> Outcome:
        """Of windows (B, T, I) and the row after each: the loss of every next row."""
        ahead = torch.cat([measured(batch, self.num_series)[:, 1:], batch.targets[:, :1]], 1)
        loss = self.forecast_loss(self._scores(self.model, batch.inputs)[0], squashed(ahead))
        return Outcome(loss, int((~ahead.isnan()).sum()), torch.zeros(0), torch.zeros(0))

    def _scores(self, model: SequenceModel, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """inputs (B, T, I) -> scores (B, T, V, P) of each next row, squashed, and the state."""
        series = squashed(inputs[..., : self.num_series])
        scores, state = model(torch.cat([series, inputs[..., self.num_series :]], -1), None, state)
        return self.forecast_loss.rescaled(scores, series, torch.ones_like(series)), state

    def errors(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """inputs (N − 1, I), all rows but the last; targets (N − 1, V), the row after each, NaN where missing -> how far each row is from its forecast, (N,).

        The first row has no forecast: 0. In float64; of several series the Euclidean norm, of those that are present.
        """
        model = copy.deepcopy(self.model).eval()
        optimizer = self.make_optimizer(model.parameters())
        for group in optimizer.param_groups:
            group["lr"] = self.learning_rate
        draw = torch.Generator().manual_seed(0)
        found, state = torch.zeros(len(inputs) + 1, dtype=torch.float64), None
        last = len(inputs)
        for start in range(0, last, self.learn_every):
            end = min(start + self.learn_every, last)
            with torch.no_grad():
                scores, state = self._scores(model, inputs[None, start:end], state)
            far = torch.nan_to_num((unsquashed(self.forecast_loss.point(scores)[0]) - targets[start:end]).double())
            found[start + 1 : end + 1] = far.norm(dim=-1)
            if end >= self.window:
                for _ in range(self.learn_steps):
                    self._learn(model, optimizer, inputs[:end], targets, draw)
        return found

    def _learn(self, model: SequenceModel, optimizer: Any, past: Tensor, targets: Tensor, draw: torch.Generator) -> None:
        """One step on windows of `past`; the row after its last has been scored and may be a target."""
        starts = torch.randint(0, len(past) - self.window + 1, (8,), generator=draw)
        rows = starts[:, None] + torch.arange(self.window)
        with torch.enable_grad():
            loss = self.forecast_loss(self._scores(model, past[rows])[0], squashed(targets[rows]))
            optimizer.zero_grad()
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    def anomaly_scores(self, inputs: Tensor, targets: Tensor, first: Tensor | None = None) -> Tensor:
        """inputs, targets as in `errors` -> (N,), 0 for a row that is not told. first (V): what was measured in the first row, by default its inputs."""
        if not len(targets):
            return torch.zeros(1, dtype=torch.float64)  # a single row has nothing before it to be judged by
        scores = tail_scores(self.errors(inputs, targets))
        first = inputs[0, : self.num_series] if first is None else first
        scores = torch.where(self._leaves_range(torch.cat([first[None], targets])), scores.clamp(min=self.threshold), scores)
        rest = int(self.num_rest)
        scores[:rest] = 0.0
        return first_of_burst(scores, min(rest, len(scores)))

    def _leaves_range(self, rows: Tensor) -> Tensor:
        """rows (N, V), NaN where missing -> whether a value is beyond all before it by range_tolerance of their range, (N,)."""
        highest = torch.where(rows.isnan(), -torch.inf, rows).cummax(0).values[:-1]
        lowest = torch.where(rows.isnan(), torch.inf, rows).cummin(0).values[:-1]
        slack = self.range_tolerance * (highest - lowest)
        beyond = ((rows[1:] > highest + slack) | (rows[1:] < lowest - slack)) & highest.isfinite()  # before its first value a series has no range
        return torch.cat([torch.zeros_like(beyond[:1, 0]), beyond.any(1)])

    def _evaluate(self, split: str, batch: Batch) -> None:
        """val: the loss of windows, as in training. test: the mean error over the whole series, a row of the batch."""
        loss, _ = self._meters(split)
        if split == "val":
            outcome = self.outcome(batch)
            loss.update(outcome.loss, weight=0.0 if batch.spare else outcome.count)
            return
        if batch.spare:
            return
        for inputs, targets in zip(batch.inputs, batch.targets, strict=True):
            with torch.inference_mode(False):  # Lightning tests in a mode in which nothing can be learned
                loss.update(self.errors(inputs.clone(), targets.clone())[1:].mean())

    def answer(self, batch: Batch) -> list[dict[str, Any]]:
        """For each sequence of the batch {"score": one for each row, "flag": likewise}. Its targets (B, T, V) are what was measured, NaN where nothing was."""
        lengths = batch.steps().tolist()
        answers = []
        for inputs, rows, length in zip(batch.inputs, batch.targets, lengths, strict=True):
            if length <= int(self.num_rest):
                log.warning(
                    "the series has %d rows, and no row is judged before %d have gone by, %s of those that trained: nothing is flagged. Give more rows, or "
                    "train with a smaller task.rest.",
                    length,
                    int(self.num_rest),
                    self.rest,
                )
            scores = self.anomaly_scores(inputs[: length - 1], rows[1:length], rows[0])
            answers.append({"score": scores.tolist(), "flag": (scores >= self.threshold).tolist()})
        return answers


def squashed(x: Tensor) -> Tensor:
    """sign(x) log(1 + |x|)."""
    return x.sign() * x.abs().log1p()


def unsquashed(x: Tensor) -> Tensor:
    """The inverse of `squashed`; a forecast beyond any float is held at e³⁰."""
    return x.sign() * x.abs().clamp(max=30.0).expm1()
