"""New input that is longer than any in training: it is answered, and that it is long is said."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from seqlab.data.base import Example

log = logging.getLogger("seqlab")


def lines_of(file: Path, number: int) -> list[str]:
    """Where the rows of a file with one on each line are from."""
    return [f"{file}, line {line}" for line in range(1, number + 1)]


def say_long(what: str, rows: Sequence[Example | None], places: Sequence[str], longest: int, show: Callable[[int], str]) -> None:
    """Warn of rows with more steps than `longest`, of which the model has seen nothing. what: their plural; places: where each is from."""
    found = [(place, len(row.inputs)) for place, row in zip(places, rows, strict=True) if row is not None and len(row.inputs) > longest]
    if found:
        place, length = found[0]
        log.warning(
            f"{len(found)} of {len(rows)} {what} are longer than any in training, which went up to {show(longest)}; the first is {place} with {show(length)}. "
            "They are answered, but what is said of them may be worse."
        )
