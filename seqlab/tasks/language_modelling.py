"""The next symbol of a text. Dimension key: B batch, T time, V vocabulary, N valid steps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection

from seqlab.cells.base import State
from seqlab.data.base import Batch, SequenceDataModule
from seqlab.data.checks import check_axes, check_labels
from seqlab.executors import lengths_to_mask
from seqlab.heads import CRFHead, HeadWithLoss
from seqlab.layers import Bidirectional
from seqlab.metrics.neural_cache import NeuralCache
from seqlab.search import Beam, Hypothesis, Sampling, beam_search, sample
from seqlab.tasks.base import Outcome, Task


class LanguageModelling(Task):
    """Cross-entropy of each symbol given those before it: mean over the symbols, in nats; perplexity is its exponential.

    unit: what a symbol is; with "characters" the loss is reported in bits per character too.
    Where the batches are streams (Batch.reset is given), row b starts from the state in which row b of the batch before
    ended, without gradient: truncated back-propagation through time. Training and evaluation carry states of their own.
    The encoder runs over padding too, three times as fast as with lengths: padding comes after all that counts, and a row
    that ends early must not be continued.
    """

    uses_head_loss = True

    def __init__(self, *args: Any, unit: str = "characters", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if any(isinstance(module, Bidirectional) for module in self.model.encoder.modules()):
            raise ValueError("the encoder is bidirectional, so it has read the symbols it should predict. Choose encoder.bidirectional=false.")
        if self.model.frontend.mixes_steps:
            name = type(self.model.frontend).__name__
            raise ValueError(f"the front end {name} looks ahead, so it has read the symbols it should predict. Choose frontend=tokens.")
        if isinstance(self.model.head, CRFHead):
            raise ValueError("the head is a CRF, which judges the tags of a whole row; a language model writes one symbol after the other. Choose head=steps.")
        self.unit = unit
        self.carried: dict[bool, State] = {}  # {training: state after the last batch}
        self.ended: dict[bool, Tensor] = {}  # {training: (B,) True where a row of the last batch ended early}
        self.final: State = {}  # state after the last call of `outcome`
        self.cache: NeuralCache | None = None  # reads along in an evaluation with a cache, and in nothing else

    def make_metrics(self) -> MetricCollection:
        return MetricCollection({})

    def derived_metrics(self, loss: Tensor) -> dict[str, Tensor]:
        bits = {"bits_per_character": loss / math.log(2)} if self.unit == "characters" else {}
        return {"perplexity": loss.exp(), **bits}

    def closing_metrics(self, split: str) -> dict[str, Tensor]:
        """With a cache: the loss and what derives from it once more, at the best of the values that the cache tries."""
        if self.cache is None:
            return {}
        loss = torch.tensor(self.cache.best().loss)
        return {f"cache_{name}": value for name, value in {"loss": loss, **self.derived_metrics(loss)}.items()}

    def outcome(self, batch: Batch) -> Outcome:
        """The Outcome's predictions are scores (N, V), empty with a head that has its own loss; its targets (N,). Carries no state on: the steps do."""
        check_axes("targets", batch.targets, "batch, time", "Choose a data set of text, or another task.")
        h, _, self.final = self.model.encode(batch.inputs, None, self.start_state(batch))
        y, targets = h, batch.targets
        if batch.lengths is not None:  # the head reads valid steps alone: with a large vocabulary it costs more than all below it
            mask = lengths_to_mask(batch.lengths, y.shape[1])
            y, targets = y[mask][None], targets[mask][None]
        if isinstance(self.model.head, HeadWithLoss):
            losses = self.model.head.losses(y, targets)
            if self.cache is not None:
                self.cache.read(h, batch.targets, losses, batch.lengths, batch.reset)
            return Outcome(losses.mean(), len(losses), y.new_empty(0), targets.flatten())
        scores, targets = self.model.head(y).flatten(0, 1), targets.flatten()
        if targets.device.type == "cpu":  # elsewhere looking would wait for the device
            check_labels(targets, scores.shape[-1], "the batch")
        if self.cache is not None:
            losses = torch.nn.functional.cross_entropy(scores, targets, reduction="none")
            self.cache.read(h, batch.targets, losses, batch.lengths, batch.reset)
        return Outcome(torch.nn.functional.cross_entropy(scores, targets), len(targets), scores.detach(), targets)

    def start_state(self, batch: Batch) -> State | None:
        """The state each row starts from; None when no row continues another. Rows beyond those carried start anew."""
        carried = self.carried.get(self.training)
        if batch.reset is None or carried is None or batch.spare:
            return None
        ended = self.ended[self.training][: len(batch.reset)] if self.training in self.ended else batch.reset[:0]
        if batch.reset.device.type == "cpu" and bool((ended & ~batch.reset[: len(ended)]).any()):
            row = int((ended & ~batch.reset[: len(ended)]).nonzero()[0])
            raise ValueError(f"row {row} continues a row that ended before its batch did; expected reset there. Let a stream fill every chunk but its last.")
        start = self.model.encoder.initial_state(len(batch.reset))
        for name, leaf in start.items():
            old = carried[name][: len(leaf)].to(leaf.device)
            goes_on = (~batch.reset[: len(old)]).reshape(-1, *[1] * (leaf.dim() - 1))
            start[name] = torch.cat([torch.where(goes_on, old, leaf[: len(old)]), leaf[len(old) :]])
        return start

    def training_step(self, batch: Batch, batch_index: int) -> dict[str, Any]:
        losses = super().training_step(batch, batch_index)
        self._carry(batch)
        return losses

    def _evaluate(self, split: str, batch: Batch) -> None:
        super()._evaluate(split, batch)
        self._carry(batch)

    def _carry(self, batch: Batch) -> None:
        width = batch.inputs.shape[1]
        self.ended[self.training] = torch.zeros(len(batch.inputs), dtype=torch.bool) if batch.lengths is None else batch.lengths < width
        self.carried[self.training] = {name: leaf.detach() for name, leaf in self.final.items()}

    def carried_over(self) -> dict[str, Any]:
        streams = {"state": self.carried[True], "ended": self.ended[True]} if True in self.carried else {}
        return {**super().carried_over(), **streams}

    def carry_over(self, carried: dict[str, Any]) -> None:
        super().carry_over(carried)
        if "state" in carried:
            self.carried[True], self.ended[True] = carried["state"], carried["ended"]

    def sample(self, prompt: Tensor, sampling: Sampling, generator: torch.Generator, max_steps: int, end: int | None = None) -> Iterator[int]:
        """prompt ids (T,), at least one -> ids drawn one by one; `end` is drawn last. In evaluation mode, without gradients."""
        drawn = sample(self.step, *self.after(prompt), sampling, [generator], max_steps, end)
        return (int(ids) for ids in drawn)

    def likeliest(self, prompt: Tensor, beam: Beam, max_steps: int, end: int | None = None) -> list[Hypothesis]:
        """prompt ids (T,), at least one -> how it most likely goes on, the best first. In evaluation mode, without gradients."""
        return beam_search(self.step, *self.after(prompt), beam, max_steps, end)[0]

    def after(self, prompt: Tensor) -> tuple[Tensor, State]:
        """prompt ids (T,) -> scores (1, V) of the next symbol and the state, what every search begins with; in evaluation mode from now on."""
        if len(prompt) < 1:
            raise ValueError("the prompt is empty; expected at least one symbol for the model to start from.")
        self.eval()
        with torch.inference_mode():
            scores, state = self.model(prompt[None].to(self.device))
        return scores[:, -1], state

    def step(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """ids (B,), state -> scores (B, V) of the next symbol, and the state."""
        with torch.inference_mode():
            scores, state = self.model(ids[:, None], None, state)
        return scores[:, -1], state

    def closing_lines(self, data: SequenceDataModule) -> list[str]:
        """What the model writes by itself, or nothing when its symbols have no names."""
        vocabulary = data.vocabulary
        if vocabulary is None:
            return []
        sampling = Sampling(temperature=0.8, never=vocabulary.never_written)
        num, length = (1, 400) if self.unit == "characters" else (3, 60)
        generators = [torch.Generator().manual_seed(seed) for seed in range(num)]
        samples = [vocabulary.decode(self.sample(vocabulary.opening(""), sampling, generator, length, vocabulary.end)) for generator in generators]
        return [f"the model writes, at temperature {sampling.temperature}:", *samples]
