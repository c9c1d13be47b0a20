"""A transcript from a longer sequence, by CTC. Dimension key: B batch, T steps of the encoder, U labels, V classes, 0 the blank."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlab.data.base import SPLITS, Batch, ExampleSplit, SequenceDataModule
from seqlab.data.checks import check_axes, check_kind
from seqlab.heads.ctc import CTCHead, ctc_losses, least_steps
from seqlab.metrics.written import error_rates
from seqlab.registry import unknown
from seqlab.search.ctc import ctc_beam, ctc_greedy
from seqlab.tasks.base import Outcome
from seqlab.tasks.writing import WritingTask

SEARCHES = ("greedy", "beam")


class CTC(WritingTask):
    """−log P(transcript) summed over its alignments, mean over rows. The head is a CTCHead; see there.

    search: how validation, test and `answer` read labels off: "greedy", those of the likeliest path, or "beam", prefix beam
    search with beam_size prefixes. Metrics: exact_match and symbol_error_rate, and where the data's targets are text, wer and cer.
    """

    def __init__(self, *args: Any, search: str = "greedy", beam_size: int = 16, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(self.model.head, CTCHead):
            raise ValueError(f"the head is a {type(self.model.head).__name__}, which has no blank; expected a CTCHead. Choose head=ctc.")
        if search not in SEARCHES:
            raise ValueError(unknown("search", search, list(SEARCHES), "Choose one with task.search=NAME."))
        self.num_best = 1
        self.use_search(search, beam_size)

    def use_search(self, search: str, beam_size: int, num_best: int = 1) -> None:
        """Read labels off in this way from now on; num_best: how many transcripts `answer` gives, of "beam" alone."""
        if not 1 <= num_best <= beam_size:
            raise ValueError(f"num_best is {num_best} and the beam size {beam_size}; expected 1 <= num_best <= beam size.")
        self.search, self.beam_size, self.num_best = search, beam_size, num_best

    def prepare(self, data: SequenceDataModule) -> None:
        """Also raises ValueError for targets that are no transcripts and, naming its place, for a row with more labels than the encoder leaves steps for.

        Looks at ExampleSplit; a row that is made as it is asked for is refused when its loss is computed.
        """
        check_kind(data.spec, "transcript", "Give data.targets=transcript where the data has the choice, or choose another task.")
        super().prepare(data)
        for split in SPLITS:
            rows = data.splits[split]
            for row, example in enumerate(rows.examples if isinstance(rows, ExampleSplit) else ()):
                self._check_room(example.inputs, example.targets, data.place(split, row))

    def _check_room(self, inputs: Tensor, targets: Tensor, place: str) -> None:
        steps = int(self.model.encoder.output_lengths(self.model.frontend.output_lengths(torch.tensor([len(inputs)]))))
        least = int(least_steps(targets[None]))
        if steps < least:
            raise ValueError(
                f"{place}: {len(targets)} labels are to be read off {steps} steps, which {len(inputs)} steps of the input become; expected at least {least}, "
                "one for each label and one between equal neighbours. Shorten time less in front end and encoder, or leave the row out."
            )

    def emissions(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """log-probabilities (B, T, V), and how many steps of each row count (B,)."""
        y, lengths, _ = self.model.encode(batch.inputs, batch.lengths)
        log_p = self.model.head(y, lengths)
        return log_p, torch.full((len(y),), y.shape[1], device=y.device) if lengths is None else lengths

    def outcome(self, batch: Batch) -> Outcome:
        """The Outcome's predictions (B, U') are labels with zeros past their end, none in training; its targets (B, U) likewise."""
        check_axes("targets", batch.targets, "batch, labels", "Choose a data set whose targets are transcripts, or another task.")
        log_p, lengths = self.emissions(batch)
        loss = ctc_losses(log_p, batch.targets, lengths).mean()
        written = batch.targets[:, :0] if self.training else self.write(log_p, lengths)
        return Outcome(loss, len(log_p), written, batch.targets)

    @torch.no_grad()
    def write(self, log_p: Tensor, lengths: Tensor) -> Tensor:
        """The labels of each row (B, U), zeros past their end."""
        rows = [torch.tensor(found[0][0], dtype=torch.long, device=log_p.device) for found in self.hypotheses(log_p, lengths)]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)

    def hypotheses(self, log_p: Tensor, lengths: Tensor) -> list[list[tuple[tuple[int, ...], float]]]:
        """For each row the best labels with their log-probability, the best first; of "greedy" with that of their alignments as well."""
        rows = [row[:length] for row, length in zip(log_p.detach().cpu(), lengths.tolist(), strict=True)]
        if self.search == "beam":
            return [ctc_beam(row, self.beam_size, self.num_best) for row in rows]
        found = [ctc_greedy(row) for row in rows]
        return [[(labels, -float(ctc_losses(row[None], torch.tensor([labels], dtype=torch.long))))] for row, labels in zip(rows, found, strict=True)]

    def text_metrics(self, written: list[str], references: list[str]) -> dict[str, float]:
        """WER and CER."""
        return error_rates(written, references)

    @torch.no_grad()
    def answer(self, batch: Batch) -> list[dict[str, Any]]:
        """symbols: the labels of each row by their names. hypotheses: with num_best > 1 all of them, with log_probability."""
        answers = []
        for found in self.hypotheses(*self.emissions(batch)):
            rows = [{"symbols": [self.labels[label] for label in labels], "log_probability": log_probability} for labels, log_probability in found]
            answers.append({**rows[0], **({"hypotheses": rows} if self.num_best > 1 else {})})
        return answers
