"""What a person reads on the terminal."""

from __future__ import annotations

import logging

from rich.console import Console
from rich.table import Table

console = Console()


class ConsoleHandler(logging.Handler):
    """Prints log lines above the progress bar, where a handler that writes to the terminal itself would write into it."""

    def emit(self, record: logging.LogRecord) -> None:
        console.print(self.format(record), markup=False, highlight=False, soft_wrap=True)


def metrics_table(metrics: dict[str, float]) -> Table:
    """One row per metric, one column per split, from names like `val/loss`."""
    splits = [split for split in ("train", "val", "test") if any(name.startswith(f"{split}/") for name in metrics)]
    table = Table("metric", *splits)
    for metric in dict.fromkeys(name.partition("/")[2] for name in metrics if "/" in name):
        values = (metrics.get(f"{split}/{metric}") for split in splits)
        table.add_row(metric, *("" if value is None else f"{value:.5g}" for value in values))
    return table
