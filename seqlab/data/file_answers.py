"""Answers to input that comes as files, one row for each file."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def find_in_folder(folder: Path, pattern: str, what: str, is_other: Callable[[Path], bool] = lambda place: False) -> list[Path]:
    """The files of a folder but those that are something else, in the order of their names. Raises ValueError when there is none."""
    places = sorted(place for place in folder.glob(pattern) if place.is_file() and not is_other(place))
    if not places:
        raise ValueError(f"folder {folder} has no file {pattern!r}; expected {what}. Give another folder, or data.files=PATTERN.")
    return places


def as_text(answer: dict[str, Any], join: Callable[[Sequence[str]], str]) -> dict[str, Any]:
    """The answer with text in the place of its symbols, in its hypotheses too."""
    more = {name: value for name, value in answer.items() if name not in ("symbols", "hypotheses")}
    several = {"hypotheses": [as_text(one, join) for one in answer["hypotheses"]]} if "hypotheses" in answer else {}
    return {"text": join(answer["symbols"]), **more, **several}


def file_names(files: Sequence[Path]) -> list[str]:
    """What answers call the files: their paths below the folder that holds them all, for names alone may come twice."""
    shared = os.path.commonpath([place.parent.absolute() for place in files])
    return [place.absolute().relative_to(shared).as_posix() for place in files]


def write_file_answers(files: Sequence[Path], answers: Sequence[dict[str, Any]], output: Path) -> None:
    """A CSV with a row for each file, or with .jsonl an object for each."""
    said = [{"file": name, **answer} for name, answer in zip(file_names(files), answers, strict=True)]
    with open(output, "w", encoding="utf-8", newline="") as target:
        if output.suffix == ".jsonl":
            target.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in said)
            return
        flat = [flatten(row) for row in said]
        writer = csv.DictWriter(target, list(max(flat, key=len)), lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(flat)


def flatten(row: dict[str, Any]) -> dict[str, Any]:
    """A row for a CSV: a list of hypotheses takes a column for each value of each, text_1, log_probability_1, …; floats have six digits."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, list):
            found |= {f"{key}_{rank}": part for rank, one in enumerate(value, 1) for key, part in one.items()}
        else:
            found[name] = value
    return {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in found.items()}
