"""Recordings of one's own with their transcripts. Dimension key: T samples."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from seqlab.data.base import DataSpec, Example, ExampleSplit
from seqlab.data.recordings import Recording
from seqlab.data.splits import Fractions, check_fractions, find_part, group_by_name, split_examples, warn_of_duplicates
from seqlab.data.text_files import read_text_table
from seqlab.data.transcribed import TranscribedRecordings
from seqlab.data.transcripts import UNITS, Transcripts
from seqlab.data.wav import read_wav
from seqlab.registry import unknown


class AudioFolder(TranscribedRecordings):
    """A folder of WAV files, one channel of PCM at one sampling rate, and what is said in each.

    files: which files in the folder are recordings. The transcript of a recording is in a `table`, CSV, TSV or JSONL with the
    columns file_column, its path in the folder with or without its ending, and transcript_column; or in its name, where the
    regular expression transcript_pattern finds it: its first parenthesis, or all of it, underscores read as spaces.
    unit: of the model's labels, characters or words. targets: "transcript" for task=ctc, "symbols" for task=seq2seq. Split by
    `fractions`, dealt out by split_seed; group_pattern: finds in a file's name the group, such as the speaker, that stays on one
    side. sampling_rate: in Hz; None: that of the first file. `setup` after `restore` keeps the labels and the rate of the run.
    """

    def __init__(
        self,
        path: str | Path,
        table: str | Path | None = None,
        file_column: str = "file",
        transcript_column: str = "transcript",
        transcript_pattern: str | None = None,
        group_pattern: str | None = None,
        unit: str = "characters",
        targets: str = "transcript",
        sampling_rate: int | None = None,
        fractions: Fractions = (0.8, 0.1, 0.1),
        split_seed: int = 0,
        files: str = "*.wav",
        encoding: str = "utf-8",
        batch_size: int = 16,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(unit, targets, files, batch_size, eval_batch_size, num_workers, seed)
        if unit not in UNITS:
            raise ValueError(unknown("unit", unit, list(UNITS), "Choose one with data.unit=NAME."))
        if (table is None) == (transcript_pattern is None):
            raise ValueError("data.table and data.transcript_pattern: expected exactly one of them, to say what each recording says.")
        check_fractions(fractions)
        self.path = Path(path).expanduser()
        self.table = None if table is None else Path(table).expanduser()
        self.file_column, self.transcript_column = file_column, transcript_column
        self.transcript_pattern, self.group_pattern = transcript_pattern, group_pattern
        self.sampling_rate, self.fractions, self.split_seed, self.encoding = sampling_rate, fractions, split_seed, encoding
        self.recordings: dict[str, list[Recording]] = {}

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        places = self.find_files(self.path)
        said = self._from_names(places) if self.table is None else self._from_table(self.table, places)
        restored = self.made_spec is not None  # a run's labels and rate: those of a model that is tested on other recordings
        found, rate = [], self.spec.sampling_rate if restored else self.sampling_rate
        for place, (text, where) in zip(places, said, strict=True):
            samples, rate = read_wav(place, rate)
            found.append(Recording(samples, text, where))
        groups = None if self.group_pattern is None else group_by_name(places, self.group_pattern)
        chosen = split_examples(len(found), self.fractions, self.split_seed, groups)
        self.recordings = {split: [found[index] for index in indices] for split, indices in chosen.items()}
        if not restored:
            self.transcripts = Transcripts.learn(self.unit, self.texts("train"), self.transcripts.targets)
            labels = self.transcripts.labels
            self.made_spec = DataSpec("audio", 1, self.transcripts.targets, len(labels), labels, sampling_rate=rate or 0)
        for split, rows in self.recordings.items():
            self.splits[split] = ExampleSplit([Example(row.samples, self.transcripts.encode(row.target, row.place)) for row in rows])
        self.duplicates = warn_of_duplicates({split: [row.samples.numpy().tobytes() for row in rows] for split, rows in self.recordings.items()})

    def texts(self, split: str) -> list[str]:
        return [" ".join(row.target.split()) for row in self.recordings[split]]

    def place(self, split: str, row: int) -> str:
        return self.recordings[split][row].place

    def _from_names(self, places: Sequence[Path]) -> list[tuple[str, str]]:
        """(transcript, place) of each file."""
        assert self.transcript_pattern is not None
        try:
            pattern = re.compile(self.transcript_pattern)
        except re.error as error:
            raise ValueError(f"data.transcript_pattern is {self.transcript_pattern!r}, which is no regular expression: {error}. Repair it.") from error
        found = []
        for place in places:
            said = find_part(pattern, place.name)
            if said is None:
                raise ValueError(
                    f"data.transcript_pattern {self.transcript_pattern!r} finds nothing in the name of {place}; expected the transcript of every recording. "
                    "Widen it, or narrow data.files."
                )
            found.append((said.replace("_", " "), str(place)))
        return found

    def _from_table(self, path: Path, places: Sequence[Path]) -> list[tuple[str, str]]:
        """(transcript, place) of each file. Raises ValueError for a row without its recording, and for a recording without its row."""
        table = read_text_table(path, self.encoding)
        table.check_column(self.file_column, "data.file_column")
        table.check_column(self.transcript_column, "data.transcript_column")
        wanted = {name: place for place in places for name in self._names(place)}
        found: dict[Path, tuple[str, str]] = {}
        for row, line in zip(table.rows, table.lines, strict=True):
            if row is None:
                continue
            place, where = wanted.get(row[self.file_column]), f"{path}, line {line}"
            if place is None:
                raise ValueError(
                    f"{where}: no recording {row[self.file_column]!r} is among the {len(places)} files {self.files!r} of {self.path}; expected one for every "
                    "transcript. Add it, take the row out, or widen data.files."
                )
            if place in found:
                first = found[place][1]
                raise ValueError(f"{where}: the recording {row[self.file_column]!r} has a transcript already, in {first}; expected one. Take one out.")
            found[place] = (row[self.transcript_column], where)
        lacking = [place for place in places if place not in found]
        if lacking:
            raise ValueError(
                f"{lacking[0]} has no transcript in {path}, like {len(lacking) - 1} further of {len(places)} recordings; expected a row for each. "
                "Add it, or narrow data.files."
            )
        return [found[place] for place in places]

    def _names(self, place: Path) -> tuple[str, ...]:
        """What a table may call a file."""
        name = place.relative_to(self.path)
        return (name.as_posix(), name.with_suffix("").as_posix())
