"""metrics.csv: one row per report, appended as it comes, whole at any moment."""

from __future__ import annotations

import csv
import io
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from seqlab.run_directory import write


class MetricsFile(Logger):
    """Writes metrics to a CSV file: columns epoch, step and one per metric, in the order in which they first came.

    Values reported at the same step share a row. A row is appended when the next begins; a new column, or a value for a row
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
            self.rows[-1].update(row)
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
