"""What data with a text on the side of the target shares: its sides in the run directory, and what is said and written for new sources."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from seqlab.data.base import Example, SequenceDataModule
from seqlab.data.file_answers import as_text
from seqlab.data.labelled_text import read_record
from seqlab.data.long_input import lines_of, say_long
from seqlab.data.pieces import SPACE
from seqlab.data.side import UNKNOWN, Side
from seqlab.registry import unknown

PIECES = "pieces.json"  # how both sides are cut, in a run directory
log = logging.getLogger("seqlab")


class PairSides(SequenceDataModule):
    """A source and a target that is text; `source` and `target` are known after `setup` or `restore`, and `setup` after
    `restore` keeps them.

    unknown_targets: what a symbol of a target of val or test is that training does not show: "mark", read as unknown and
    named in the log, or "error". batch_tokens: training batches of at most so many steps of the longer side, padding
    included, in place of batch_size.
    """

    budgeted = ("train",)
    unit_of_length = "symbols"  # what the length of a source counts, for messages

    def __init__(self, unknown_targets: str, batch_size: int, batch_tokens: int | None, eval_batch_size: int | None, num_workers: int, seed: int) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed, batch_tokens)
        if unknown_targets not in ("mark", "error"):
            raise ValueError(unknown("way with unknown targets", unknown_targets, ["mark", "error"]))
        self.unknown_targets = unknown_targets
        self.source: Side | None = None
        self.target: Side | None = None
        self.texts: dict[str, list[str]] = {}  # {split: what each target reads as}, where BLEU and the like make sense

    def steps_of(self, example: Example) -> int:
        return max(len(example.inputs), len(example.targets))

    @property
    def sides(self) -> tuple[Side, Side]:
        """Source and target."""
        assert self.source is not None
        assert self.target is not None
        return self.source, self.target

    def check_targets(self, split: str, texts: Sequence[str], places: Sequence[str]) -> None:
        """Say which targets hold symbols that training does not show, by the place that each text has; ValueError with "error"."""
        found = [(place, missing) for text, place in zip(texts, places, strict=True) if (missing := self.sides[1].missing(text))]
        if not found:
            return
        place, missing = found[0]
        first = f"{place}: the target has {', '.join(map(repr, missing[:5]))}, which the model does not know"
        if self.unknown_targets == "error":
            raise ValueError(f"{first}; expected symbols that the model can write. Repair the line, or data.unknown_targets=mark reads them as unknown.")
        log.warning(f"{len(found)} of {len(texts)} targets of {split} hold symbols that the model cannot write, read as unknown. The first: {first}.")

    def references(self, split: str) -> list[str] | None:
        return self.texts.get(split)

    def read_out(self, ids: Iterable[int]) -> str:
        return self.sides[1].decode(ids)

    def records(self) -> dict[str, str]:
        source, target = self.sides
        plain = {"source": source.to_plain(), "target": target.to_plain()}
        return {**super().records(), PIECES: json.dumps(plain, ensure_ascii=False) + "\n"}

    def restore(self, directory: Path) -> None:
        plain = read_record(directory / PIECES, json.loads)
        self.source, self.target = Side.from_plain(plain["source"]), Side.from_plain(plain["target"])

    def say_long(self, file: Path, rows: Sequence[Example | None]) -> None:
        """Say which new sources are longer than any of training, of which the model has seen nothing."""
        say_long("sources", rows, lines_of(file, len(rows)), self.sides[0].longest, lambda length: f"{length} {self.unit_of_length}")

    def say_unknown(self, file: Path, rows: Sequence[Example | None], texts: Sequence[str]) -> None:
        """Say which new sources, whose texts these are, hold symbols that the model does not know, and reads as unknown."""
        found = [(line, text) for line, (row, text) in enumerate(zip(rows, texts, strict=True), 1) if row is not None and bool((row.inputs == UNKNOWN).any())]
        if found:
            line, text = found[0]
            missing = ", ".join(repr(piece.removeprefix(SPACE)) for piece in self.sides[0].missing(text)[:5])
            log.warning(
                f"{file}: {len(found)} of {len(rows)} sources hold symbols that training does not show, read as unknown; the first is line {line} "
                f"with {missing}."
            )

    def write_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], output: Path) -> None:
        write_lines(answers, self.sides[1].pieces.join, output)


def write_lines(answers: Sequence[dict[str, Any] | None], join: Callable[[Sequence[str]], str], output: Path) -> None:
    """A line for each row that was read: text, several hypotheses with tabs between; or, into a .jsonl file, an object with their scores."""
    lines = []
    for answer in answers:
        said = None if answer is None else as_text(answer, join)
        if said is None:
            lines.append("")
        elif output.suffix == ".jsonl":
            lines.append(json.dumps(said, ensure_ascii=False))
        else:
            lines.append("\t".join(one["text"] for one in said.get("hypotheses", [said])))
    output.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
