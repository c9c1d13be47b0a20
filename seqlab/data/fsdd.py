"""The Free Spoken Digit Dataset: digits in English, each a recording."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from seqlab.data.base import DataSpec, Example, ExampleSplit
from seqlab.data.named import NamedData, NamedFile, data_folder
from seqlab.data.recordings import Recording, Recordings, class_target
from seqlab.data.splits import warn_of_duplicates
from seqlab.data.wav import read_wav

ARCHIVE = "free-spoken-digit-dataset-1.0.10.zip"
FSDD_DATA = NamedData(
    "Free Spoken Digit Dataset",
    "fsdd",
    "Z. Jackson et al., https://github.com/Jakobovski/free-spoken-digit-dataset, its recordings/ as they are or the archive " + ARCHIVE,
    "CC BY-SA 4.0",
    "Z. Jackson et al., 2018, Jakobovski/free-spoken-digit-dataset",
    (NamedFile(ARCHIVE, "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip"),),  # packed anew by the host: no fixed sha256
)
SAMPLING_RATE = 8000
NAME = re.compile(r"(\d)_(\w+)_(\d+)\.wav")
DIGITS = tuple(map(str, range(10)))


def split_of(index: int) -> str:
    """The split of a speaker's recording of a digit: 0 to 4 are the official test, the next five the validation of this project."""
    return "test" if index < 5 else "val" if index < 10 else "train"


def read_fsdd(data_dir: str | Path | None = None) -> dict[str, list[tuple[Recording, str]]]:
    """{split: recordings, each with its speaker}, in the order of their names, from recordings/ or from the archive.

    Raises ValueError for a name that says no digit, speaker and number, and for a split without recordings.
    """
    found: dict[str, list[tuple[Recording, str]]] = {"train": [], "val": [], "test": []}
    for place, content in _contents(data_dir):
        match = NAME.fullmatch(place.name)
        if match is None:
            raise ValueError(f"{place}: the name says nothing; expected DIGIT_SPEAKER_NUMBER.wav. Take the file away.")
        samples, _ = read_wav(place, SAMPLING_RATE, content)
        found[split_of(int(match[3]))].append((Recording(samples, match[1], str(place)), match[2]))
    for split, recordings in found.items():
        if not recordings:
            raise ValueError(
                f"{FSDD_DATA.name} in {data_folder(data_dir) / FSDD_DATA.folder} has no recording for {split}; expected numbers 0 to 49. Get it again."
            )
    return found


def _contents(data_dir: str | Path | None) -> list[tuple[Path, bytes | None]]:
    """Each file with its bytes, None where they are on disk."""
    folder = data_folder(data_dir) / FSDD_DATA.folder / "recordings"
    if folder.is_dir():
        return [(place, None) for place in sorted(folder.glob("*.wav"))]
    archive = FSDD_DATA.find(ARCHIVE, data_dir)
    try:
        with zipfile.ZipFile(archive) as packed:
            names = sorted(name for name in packed.namelist() if name.endswith(".wav") and Path(name).parent.name == "recordings")
            return [(archive / name, packed.read(name)) for name in names]
    except zipfile.BadZipFile as error:
        raise ValueError(f"{archive} cannot be unpacked: {error}. It is cut short or damaged; delete it and get it again.") from error


class FSDD(Recordings):
    """The digit in a recording of 0.1 to 2.3 s at 8 kHz: 6 speakers, 50 times each digit.

    Recordings 0 to 4 of each speaker and digit are the test, as its authors say; 5 to 9 the validation; the others training.
    """

    def __init__(
        self,
        data_dir: str | Path | None = None,
        files: str = "*.wav",
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(files, batch_size, eval_batch_size, num_workers, seed)
        self.data_dir = data_dir

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        self.made_spec = DataSpec("audio", 1, "sequence", 10, DIGITS, sampling_rate=SAMPLING_RATE)
        splits = read_fsdd(self.data_dir)
        self.duplicates = warn_of_duplicates({split: [one.samples.numpy().tobytes() for one, _ in found] for split, found in splits.items()})
        for split, found in splits.items():
            self.splits[split] = ExampleSplit([Example(one.samples, torch.tensor(int(one.target))) for one, _ in found])

    def no_target(self) -> Tensor:
        return class_target()
