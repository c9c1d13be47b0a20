"""A report as tables of text, as Markdown, as CSV, and as plain values."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

from seqlab.report.compare import Comparison
from seqlab.report.rows import Report, Row
from seqlab.report.statistics import LEVEL, RESAMPLES

METHOD = (
    f"Means over seeds; in brackets the percentile bootstrap interval of the mean ({LEVEL:.0%}, {RESAMPLES:,} resamples, seed 0), "
    "which is too narrow rather than too wide where seeds are few."
)
COLUMNS = ("data", "cell", "settings", "metric", "mean", "interval", "seeds", "parameters", "tokens/s", "peak MiB", "GPU MiB")
FIGURES = ("mean", "seeds", "parameters", "tokens/s", "peak MiB", "GPU MiB", "difference")  # set to the right
AVERAGED = ("parameters", "tokens_per_second", "steps_per_second", "seconds", "peak_memory_mb", "peak_device_memory_mb")


class Section(NamedTuple):
    """A table under a heading, with a sentence below it."""

    heading: str
    columns: list[str]
    lines: list[list[str]]
    text: str


def number(value: float | None) -> str:
    """Four significant digits, as a plain number where it can be read as one; nothing for None."""
    if value is None:
        return ""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def span(interval: tuple[float, float] | None) -> str:
    """[low, high], nothing for None."""
    return "" if interval is None else f"[{number(interval[0])}, {number(interval[1])}]"


def sections(report: Report, comparisons: Sequence[Comparison]) -> list[Section]:
    """The rows, without columns that say nothing; the comparisons; and the runs that are in no row."""
    lines = [_line(row) for row in report.rows]
    kept = [i for i in range(len(COLUMNS)) if any(line[i] for line in lines)]
    found = [Section("Cells and data", [COLUMNS[i] for i in kept], [[line[i] for i in kept] for line in lines], METHOD)]
    for one in comparisons:
        points = [[str(seed), number(a), number(b), number(a - b)] for seed, a, b in one.points]
        text = f"Mean difference {number(one.mean)} {span(one.interval)}".rstrip() + f"; {one.verdict}."
        heading = f"{one.first.name} against {one.second.name}: {one.first.metric} on {one.data}"
        found.append(Section(heading, ["seed", one.first.name, one.second.name, "difference"], points, text))
    if report.left_out:
        found.append(Section("Not in the table", ["run", "why"], [[str(run.directory), why] for run, why in report.left_out], ""))
    return found


def _line(row: Row) -> list[str]:
    """The row as text, in the order of COLUMNS."""
    figures = [number(row.average(key)) for key in ("tokens_per_second", "peak_memory_mb", "peak_device_memory_mb")]
    better = {"min": " ↓", "max": " ↑"}.get(row.mode, "")
    return [row.data, row.cell, row.settings, row.metric + better, number(row.mean), span(row.interval), str(len(row.points)), row.parameters, *figures]


def as_markdown(report: Report, comparisons: Sequence[Comparison], pictures: Sequence[tuple[str, str]]) -> str:
    """pictures: (file, what it shows)."""

    def line(words: Sequence[str]) -> str:
        return f"| {' | '.join(word.replace('|', chr(92) + '|') for word in words)} |"

    parts = ["# Report"]
    for i, section in enumerate(sections(report, comparisons)):
        rule = ["---:" if name in FIGURES else "---" for name in section.columns]
        parts += [f"## {section.heading}", "\n".join([line(section.columns), line(rule), *map(line, section.lines)])]
        parts += [section.text] * bool(section.text) + [f"![{text}]({file})" for file, text in pictures if i == 0]
    return "\n\n".join(parts) + "\n"


def plain(report: Report, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """For JSON: nothing in it is NaN."""
    rows = [
        {
            **_names(row),
            "mode": row.mode or None,
            "mean": row.mean,
            "interval": row.interval,
            "num_seeds": len(row.points),
            **{key: row.average(key) for key in AVERAGED},
            "runs": _runs(row),
        }
        for row in report.rows
    ]
    compared = [
        {
            "data": one.data,
            "metric": one.first.metric,
            "first": one.first.name,
            "second": one.second.name,
            "points": [{"seed": seed, "first": a, "second": b, "difference": a - b} for seed, a, b in one.points],
            "mean_difference": one.mean,
            "interval": one.interval,
            "p_value": one.p_value,
            "verdict": one.verdict,
        }
        for one in comparisons
    ]
    left_out = [{"directory": str(run.directory), "reason": why} for run, why in report.left_out]
    return {"method": METHOD, "rows": rows, "comparisons": compared, "left_out": left_out}


def as_csv(report: Report) -> str:
    """One line per row of the report, every number in full."""
    lines = []
    for row in report.rows:
        low, high = row.interval or (None, None)
        seeds = " ".join(map(str, row.points))
        figures = {key: row.average(key) for key in AVERAGED}
        lines.append({**_names(row), "mean": row.mean, "low": low, "high": high, "num_seeds": len(row.points), "seeds": seeds, **figures})
    return _csv(lines)


def runs_csv(report: Report) -> str:
    """One line per run that counts."""
    return _csv([{**_names(row), **run} for row in report.rows for run in _runs(row)])


def _names(row: Row) -> dict[str, Any]:
    return {"data": row.data, "cell": row.cell, "settings": row.settings, "metric": row.metric}


def _runs(row: Row) -> list[dict[str, Any]]:
    return [{"seed": seed, "value": value, "directory": str(run.directory)} for seed, (value, run) in row.points.items()]


def _csv(lines: Sequence[dict[str, Any]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()
