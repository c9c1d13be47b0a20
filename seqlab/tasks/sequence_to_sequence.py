"""A sequence written from another. Dimension key: B batch, S source length, U target symbols, V vocabulary."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

from seqlab.cells.base import State
from seqlab.data.base import SPLITS, Batch, ExampleSplit, SequenceDataModule
from seqlab.data.checks import check_axes, check_kind
from seqlab.data.pairs import END, PADDING, START
from seqlab.executors import lengths_to_mask
from seqlab.metrics.translation import BLEU_SIGNATURE, CHRF_SIGNATURE, text_scores
from seqlab.search import Beam, Hypothesis, beam_search
from seqlab.seq2seq import Decoder, TeacherForcing
from seqlab.tasks.base import Outcome
from seqlab.tasks.writing import WritingTask

log = logging.getLogger("seqlab")


class SequenceToSequence(WritingTask):
    """Cross-entropy of each symbol of the target given those before it and the source, mean over all symbols, END among them.

    The head is a Decoder. label_smoothing: the share of probability that is spread over the vocabulary (C. Szegedy et al.,
    2016), in training alone, so that losses of validation compare. Validation and test write with `beam`, up to
    max_ratio · (steps of the encoder) + max_extra symbols.
    """

    def __init__(
        self,
        *args: Any,
        label_smoothing: float = 0.0,
        teacher_forcing: TeacherForcing | None = None,
        beam: Beam | None = None,
        max_ratio: float = 1.5,
        max_extra: int = 10,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(self.model.head, Decoder):
            raise ValueError(f"the head is a {type(self.model.head).__name__}, which writes no sequence; expected a Decoder. Choose head=decoder.")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing is {label_smoothing}; expected a share in [0, 1).")
        if max_ratio < 0 or max_extra < 1:
            raise ValueError(f"max_ratio is {max_ratio} and max_extra {max_extra}; expected at least 0 and 1.")
        self.label_smoothing = label_smoothing
        self.teacher_forcing = teacher_forcing or TeacherForcing()
        self.max_ratio = max_ratio
        self.max_extra = max_extra
        self.beam = beam or Beam(size=1, never=(PADDING, START))
        self.use_beam(self.beam)

    @property
    def decoder(self) -> Decoder:
        """The model's head."""
        assert isinstance(self.model.head, Decoder)
        return self.model.head

    def use_beam(self, beam: Beam) -> None:
        """Write with this beam from now on. Raises ValueError for one that holds more hypotheses than there are symbols."""
        size = self.decoder.vocabulary_size
        if beam.size > size:
            raise ValueError(f"beam size is {beam.size} but the vocabulary has {size} symbols; expected at most as many hypotheses. Give a smaller beam.")
        self.beam = beam

    def prepare(self, data: SequenceDataModule) -> None:
        """Also raises ValueError for targets that do not end with END, and says which are longer than what may be written.

        Looks at ExampleSplit for the latter.
        """
        check_kind(data.spec, "symbols", "Give data.targets=symbols where the data has the choice, or choose another task: task=ctc for transcripts.")
        super().prepare(data)
        for split in SPLITS:
            rows = data.splits[split]
            if isinstance(rows, ExampleSplit):
                self._say_cut(rows, split, data)

    def _say_cut(self, rows: ExampleSplit, split: str, data: SequenceDataModule) -> None:
        limits = self._longest(torch.tensor([len(example.inputs) for example in rows.examples], dtype=torch.long))
        cut = [row for row, limit in enumerate(limits) if len(rows.examples[row].targets) > limit]
        if cut:
            log.warning(
                f"{len(cut)} of {len(rows)} targets of {split} are longer than what may be written, task.max_ratio · (steps of the encoder) + "
                f"task.max_extra; the first is {data.place(split, cut[0])} with {len(rows.examples[cut[0]].targets)} symbols, its end among them, where "
                f"{limits[cut[0]]} may be written. Raise task.max_extra={self.max_extra} or task.max_ratio={self.max_ratio}."
            )

    def begin(self, batch: Batch) -> State:
        """The decoder's state before the first symbol."""
        y, lengths, final = self.model.encode(batch.inputs, batch.lengths)
        return self.decoder.start(y, None if lengths is None else lengths_to_mask(lengths, y.shape[1]), final)

    def outcome(self, batch: Batch) -> Outcome:
        """The Outcome's predictions (B, U') are ids up to END and then zeros, none in training; its targets (B, U) the same."""
        check_axes("targets", batch.targets, "batch, time", "Choose a data set whose targets are sequences, or another task.")
        state = self.begin(batch)
        forcing = self.teacher_forcing.probability(self.global_step) if self.training else 1.0
        scores, _ = self.decoder(shifted(batch.targets), state, forcing)
        smoothing = self.label_smoothing if self.training else 0.0
        loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), batch.targets.flatten(), ignore_index=PADDING, label_smoothing=smoothing)
        count = int((batch.targets != PADDING).sum())
        targets = torch.where(batch.targets == END, PADDING, batch.targets)
        return Outcome(loss, count, batch.targets[:, :0] if self.training else self.write(batch, state), targets)

    @torch.no_grad()
    def hypotheses(self, batch: Batch, state: State | None = None) -> list[list[Hypothesis]]:
        """What the beam finds for each row, the best first; state: what `begin` gave."""
        state = self.begin(batch) if state is None else state
        start = torch.full((len(batch.inputs),), START, device=batch.inputs.device)
        return beam_search(self.decoder.step, *self.decoder.step(start, state), self.beam, self._longest(batch.steps()), END)

    def _longest(self, lengths: Tensor) -> list[int]:
        """lengths (B,) of inputs -> how many symbols may be written for each."""
        return [int(self.max_ratio * steps) + self.max_extra for steps in self._steps(lengths)]

    def _steps(self, lengths: Tensor) -> list[int]:
        return self.model.encoder.output_lengths(self.model.frontend.output_lengths(lengths)).tolist()

    def encoded_lengths(self, batch: Batch) -> list[int]:
        """The steps of each row that the decoder attends to: fewer than those of the inputs where front end or encoder shorten time."""
        return self._steps(batch.steps())

    def write(self, batch: Batch, state: State | None = None) -> Tensor:
        """The best hypothesis of each row, ids (B, U) without END and zeros past its end."""
        rows = [torch.tensor(row[0].ids, dtype=torch.long, device=batch.inputs.device) for row in self.hypotheses(batch, state)]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)

    def text_metrics(self, written: list[str], references: list[str]) -> dict[str, float]:
        """BLEU, chrF, WER and CER, and exact_match of the texts in the place of that of symbols, for which all that is unknown is one
        and the same, and a word that is cut in another way another."""
        self.signatures = {"bleu": BLEU_SIGNATURE, "chrf": CHRF_SIGNATURE}
        return text_scores(written, references)

    def answer(self, batch: Batch) -> list[dict[str, Any]]:
        """symbols: what is written for each row, by the names of the classes. hypotheses: where the beam gives several, all of
        them, with log_probability and score."""
        return [self._answer(row) for row in self.hypotheses(batch)]

    def _answer(self, found: list[Hypothesis]) -> dict[str, Any]:
        rows = [{"symbols": [self.labels[index] for index in one.ids], "log_probability": one.log_probability, "score": one.score} for one in found]
        return {"symbols": rows[0]["symbols"], **({"hypotheses": rows} if self.beam.num_best > 1 else {})}

    @torch.no_grad()
    def attention(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """What is written, ids (B, U), and where each symbol looked: weights (B, U, S), None without attention."""
        written = self.write(batch)
        if not written.shape[1]:
            return written, None
        return written, self.decoder(shifted(written), self.begin(batch))[1]


def shifted(targets: Tensor) -> Tensor:
    """targets (B, U) -> what the decoder reads: START, then all but the last."""
    return torch.cat([torch.full_like(targets[:, :1], START), targets[:, :-1]], 1)
