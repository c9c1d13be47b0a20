"""metrics.csv: one row per report, appended as it comes, whole at any moment."""

from __future__ import annotations

import csv
import io
import logging
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from seqlab.run_directory import write

log = logging.getLogger("seqlab")


class MetricsFile(Logger):
    """Writes metrics to a CSV file: columns epoch, step and one per metric, in the order in which they first came.

    Values reported at the same step share a row, and the epoch of the first of them. A row is appended when the next begins; a new column, or a value for a row
    that is in the file already, rewrites it.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self.rows: list[dict[str, Any]] = []
        self.columns = ["epoch", "step"]
        self.pending = 0  # rows[pending:] are not on disk yet
        self.outdated = False  # a row that is on disk has got more values

    @property
    def name(self) -> str:
        return "metrics"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The config stands beside the file already."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        row = {"step": step, **metrics}
        if self.rows and self.rows[-1]["step"] == step:
            first = {"epoch": self.rows[-1]["epoch"]} if "epoch" in self.rows[-1] else {}  # the test, after the training, is in the epoch after the last
            self.rows[-1].update(row | first)
            self.outdated |= self.pending == len(self.rows)
        else:
            self.save()
            self.rows.append(row)

    @rank_zero_only
    def save(self) -> None:
        """Bring the file up to the last row."""
        new = [key for row in self.rows[max(0, self.pending - 1) :] for key in row if key not in self.columns]
        if new or self.outdated or not self.path.exists():
            self.columns += dict.fromkeys(new)
            write(self.path, self._text(self.rows, header=True))
        elif self.pending < len(self.rows):
            with open(self.path, "a", encoding="utf-8", newline="") as file:
                file.write(self._text(self.rows[self.pending :], header=False))
        self.pending, self.outdated = len(self.rows), False

    def mark(self) -> dict[str, Any]:
        """Bring the file to the disk. Returns how far it goes, for `rewind`."""
        if self.rows:  # which other ranks do not have
            self.save()
            with open(self.path, "rb") as file:
                os.fsync(file.fileno())
        return {"rows": len(self.rows), "row": dict(self.rows[-1]) if self.rows else {}}

    @rank_zero_only
    def rewind(self, mark: dict[str, Any]) -> None:
        """Go on in a file that is there already, from where it was at the mark; what was written after it is taken out."""
        found: list[dict[str, Any]] = []
        if self.path.exists():
            with open(self.path, encoding="utf-8", newline="") as file:
                found = [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]
        self.rows = found[: mark["rows"]]
        if mark["row"] and len(self.rows) >= mark["rows"] - 1:  # the last row may have got more values later
            self.rows[mark["rows"] - 1 :] = [mark["row"]]
        if len(self.rows) < mark["rows"]:
            log.warning("%s has %d of the %d rows that were there at the checkpoint; the others are lost", self.path, len(self.rows), mark["rows"])
        self.columns = ["epoch", "step"]
        self.pending, self.outdated = 0, True
        if self.path.exists() or self.rows:
            self.save()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    def _text(self, rows: list[dict[str, Any]], header: bool) -> str:
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, self.columns, lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()
