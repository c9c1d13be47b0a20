"""`seqlab report`: many runs in one table. Neither torch nor lightning is imported."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from seqlab.report.compare import Comparison
    from seqlab.report.rows import Report

WIDTH_IN_A_FILE = 200  # characters, where no terminal says how many fit
DESCRIPTION = """Cells × data over seeds, from run directories: the mean of a metric with its bootstrap interval, parameters, speed and
memory. Runs whose configs differ in nothing but the seed are one row; what else differs is named in the row. Failed,
interrupted and unreadable runs, and metrics that are no number, are listed with the reason and count in no mean."""
EPILOG = """example: seqlab report runs/sweeps/2026-11-21 --compare lstm gru --out report"""


def main(argv: list[str]) -> int:
    """`seqlab report DIR … [--metric NAME] [--compare A B] [--out DIR] [--json]`. Returns 0; errors are raised."""
    parser = argparse.ArgumentParser(prog="seqlab report", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="DIR", help="run directories, sweeps, or any folders that hold some")
    parser.add_argument("--metric", metavar="NAME", help="such as test/accuracy; by default the test figure of what each run monitors")
    parser.add_argument("--compare", nargs=2, metavar=("A", "B"), help="two cells over their shared seeds: from 5 with a sign-flip permutation test")
    parser.add_argument("--out", metavar="FOLDER", help="write report.md, report.csv, runs.csv, report.html and the pictures into this folder")
    parser.add_argument("--json", action="store_true", help="print the report as JSON instead of tables")
    arguments = parser.parse_args(argv)
    from seqlab.report.collect import read_runs  # numpy is not needed for --help
    from seqlab.report.compare import compare
    from seqlab.report.rows import make_report
    from seqlab.report.tables import plain

    report = make_report(read_runs(arguments.folders), arguments.metric)
    comparisons = compare(report.rows, *arguments.compare) if arguments.compare else []
    written = write(Path(arguments.out).expanduser(), report, comparisons) if arguments.out else []
    if arguments.json:
        print(json.dumps(plain(report, comparisons), indent=2, ensure_ascii=False, allow_nan=False))
        return 0
    console = _console()
    show(console, report, comparisons)
    for file in written:
        console.print(str(file), markup=False, highlight=False, soft_wrap=True)
    return 0


def write(folder: Path, report: Report, comparisons: Sequence[Comparison]) -> list[Path]:
    """The files of the report, those of an earlier one replaced. Returns them. Raises OSError when the folder cannot be written."""
    from seqlab import run_directory
    from seqlab.report.page import as_html
    from seqlab.report.pictures import draw_curves, draw_metric
    from seqlab.report.tables import as_csv, as_markdown, runs_csv

    folder.mkdir(parents=True, exist_ok=True)
    metric, curves = folder / "metric.png", folder / "learning_curves.png"
    draw_metric(metric, report.rows)
    pictures = [(metric, "Seeds, mean and interval")]
    if draw_curves(curves, report.rows):
        pictures.append((curves, "Learning curves"))
    texts = {
        "report.md": as_markdown(report, comparisons, [(file.name, text) for file, text in pictures]),
        "report.csv": as_csv(report),
        "runs.csv": runs_csv(report),
        "report.html": as_html(report, comparisons, pictures),
    }
    for name, text in texts.items():
        run_directory.write(folder / name, text)
    return [*(folder / name for name in texts), *(file for file, _ in pictures)]


def _console() -> Console:
    from rich.console import Console

    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDTH_IN_A_FILE
    return console


def show(console: Console, report: Report, comparisons: Sequence[Comparison]) -> None:
    """The report for a person."""
    from rich.table import Table
    from rich.text import Text

    from seqlab.report.tables import FIGURES, sections

    for section in sections(report, comparisons):
        console.print(f"\n{section.heading}", markup=False, highlight=False)
        table = Table()
        for name in section.columns:
            table.add_column(Text(name), justify="right" if name in FIGURES else "left", overflow="fold")
        for line in section.lines:
            table.add_row(*map(Text, line))
        console.print(table)
        if section.text:
            console.print(section.text, markup=False, highlight=False)
