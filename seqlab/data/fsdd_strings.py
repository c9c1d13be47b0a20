"""Strings of spoken digits, joined from the recordings of FSDD. Dimension key: T samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from seqlab.data.base import DataSpec
from seqlab.data.fsdd import DIGITS, SAMPLING_RATE, read_fsdd
from seqlab.data.recordings import Recording
from seqlab.data.splits import group_members
from seqlab.data.strings import DigitString, StringSplit, check_strings, draw_strings
from seqlab.data.transcribed import TranscribedRecordings
from seqlab.data.transcripts import Transcripts


@dataclass(frozen=True, eq=False)
class JoinedRecordings:
    """Recordings, of which a string of them makes samples (T,), with up to max_pause samples of silence between two."""

    recordings: Sequence[Recording]
    max_pause: int

    def __call__(self, string: DigitString) -> Tensor:
        generator = torch.Generator().manual_seed(string.seed)
        pauses = [0, *torch.randint(0, self.max_pause + 1, (len(string.parts) - 1,), generator=generator).tolist()]
        return torch.cat([part for pause, index in zip(pauses, string.parts, strict=True) for part in (torch.zeros(pause), self.recordings[index].samples)])


class FSDDStrings(TranscribedRecordings):
    """min_digits to max_digits recordings of one speaker, one after the other, and what they say: "3 5 1".

    Between two of them it is silent for up to max_pause seconds, drawn for each. The recordings of a split are those of FSDD's
    split alone: no test recording is ever in training. targets: "transcript" for task=ctc, "symbols" for task=seq2seq.
    """

    def __init__(
        self,
        min_digits: int = 3,
        max_digits: int = 7,
        max_pause: float = 0.1,
        targets: str = "transcript",
        num_train: int = 4_000,
        num_val: int = 300,
        num_test: int = 1_000,
        data_dir: str | Path | None = None,
        files: str = "*.wav",
        batch_size: int = 32,
        eval_batch_size: int | None = 100,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__("words", targets, files, batch_size, eval_batch_size, num_workers, seed)
        check_strings(min_digits, max_digits, num_train=num_train, num_val=num_val, num_test=num_test)
        if max_pause < 0:
            raise ValueError(f"data.max_pause is {max_pause}; expected at least 0 seconds.")
        self.digits, self.max_pause, self.data_dir = (min_digits, max_digits), max_pause, data_dir
        self.sizes = {"train": num_train, "val": num_val, "test": num_test}
        self.transcripts = Transcripts.learn("words", DIGITS, targets)
        self.made_spec = DataSpec("audio", 1, targets, len(self.transcripts.labels), self.transcripts.labels, sampling_rate=SAMPLING_RATE)

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        for number, (split, found) in enumerate(read_fsdd(self.data_dir).items()):
            speakers = list(group_members([speaker for _, speaker in found]).values())
            strings = draw_strings(self.sizes[split], self.digits, speakers, 3 * self.seed + number)
            recordings = [recording for recording, _ in found]
            ids = [int(self.transcripts.encode(one.target, one.place)[0]) for one in recordings]
            self.splits[split] = StringSplit(strings, JoinedRecordings(recordings, round(self.max_pause * SAMPLING_RATE)), ids, self.transcripts.closing)

    def texts(self, split: str) -> list[str]:
        rows = self.splits[split]
        assert isinstance(rows, StringSplit)
        return [self.read_out(rows.targets(row).tolist()) for row in range(len(rows))]
