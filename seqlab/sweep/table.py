"""The jobs of a sweep as a table for a person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from seqlab.sweep.ledger import Record, state_of


def jobs_table(sweep_directory: Path, records: Sequence[Record], old: set[str] | frozenset[str] = frozenset()) -> Table:
    """One row per job: number, the overrides that not all jobs share, what became of it, its metric and its directory."""
    shared = set.intersection(*(set(record.overrides) for record in records)) if len(records) > 1 else set()
    monitors = sorted({record.monitor for record in records if record.monitor})
    table = Table("job", "overrides", "state", monitors[0] if len(monitors) == 1 else "metric", "directory")
    for record in records:
        own = " ".join(word for word in record.overrides if word not in shared)
        state = state_of(sweep_directory, record)
        state += " before" if record.reused else ", superseded" if record.directory in old else ""
        name = f" ({record.monitor})" if len(monitors) > 1 and record.monitor else ""
        metric = "" if record.metric is None else f"{record.metric:.5g}{name}"
        table.add_row(str(record.number), escape(own), escape(state), metric, escape(record.directory))
    return table


def failure_lines(sweep_directory: Path, records: Sequence[Record]) -> list[str]:
    """Why jobs have no result, a line each."""
    return [f"job {record.number} {state_of(sweep_directory, record)}: {record.message}" for record in records if record.message]
