"""Recordings, one in a file, and new ones to be answered. Dimension key: T samples."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqlab.data.base import SPEC, DataSpec, Example, SequenceDataModule
from seqlab.data.file_answers import find_in_folder, write_file_answers
from seqlab.data.labelled_text import read_record
from seqlab.data.long_input import say_long
from seqlab.data.wav import read_wav

LENGTHS = "lengths.json"  # how long the recordings of training were, in a run directory


@dataclass(frozen=True)
class Recording:
    """The samples (T,), the class or transcript, and where that is from."""

    samples: Tensor
    target: str
    place: str


class Recordings(SequenceDataModule):
    """Sound of one channel and one sampling rate. Subclasses fill `splits` and `made_spec` in `setup`.

    files: which files of a folder are recordings. New input is a WAV file or a folder of them; answers are a CSV with a row for
    each file, or with .jsonl an object for each.
    """

    def __init__(self, files: str, batch_size: int, eval_batch_size: int | None, num_workers: int, seed: int) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed)
        self.files = files
        self.made_spec: DataSpec | None = None
        self.longest = 0  # samples of the longest recording of training
        self._read_files: list[Path] = []  # what read_new read last

    @property
    def spec(self) -> DataSpec:
        assert self.made_spec is not None, "setup or restore comes first"
        return self.made_spec

    def find_files(self, folder: Path) -> list[Path]:
        """The recordings in a folder, in the order of their names. Raises ValueError when there is none."""
        return find_in_folder(folder, self.files, "recordings")

    def records(self) -> dict[str, str]:
        train = self.splits["train"]
        longest = max(len(train[row].inputs) for row in range(len(train)))  # pyright: ignore[reportArgumentType]
        return {**super().records(), LENGTHS: json.dumps({"longest": longest}) + "\n"}

    def restore(self, directory: Path) -> None:
        self.made_spec = read_record(directory / SPEC, DataSpec.from_json)
        if (directory / LENGTHS).is_file():  # a run of an earlier version has none
            self.longest = read_record(directory / LENGTHS, json.loads)["longest"]

    def read_new(self, file: Path) -> list[Example | None]:
        """The recording in a file, or one for each file in a folder, in the order of their names."""
        self._read_files = self.find_files(file) if file.is_dir() else [file]
        rows: list[Example | None] = [Example(read_wav(place, self.spec.sampling_rate)[0], self.no_target()) for place in self._read_files]
        if self.longest:
            say_long("recordings", rows, list(map(str, self._read_files)), self.longest, lambda length: f"{length / self.spec.sampling_rate:.2f} s")
        return rows

    @abstractmethod
    def no_target(self) -> Tensor:
        """What stands for the target of new input."""

    def write_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], output: Path) -> None:
        write_file_answers(self._read_files, [self.as_text(answer) for answer in answers if answer is not None], output)

    def as_text(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer as it is written."""
        return answer


def class_target() -> Tensor:
    """Of new input for a classification."""
    return torch.tensor(0)
