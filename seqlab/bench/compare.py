"""The whole comparison: sizes × modes × sides, the table, bench.csv and bench.png."""

from __future__ import annotations

import csv
import importlib.util
import io
import statistics
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from seqlab.bench.command import REGIME
from seqlab.bench.measure import Measurement, measure
from seqlab.bench.memory import peak_bytes
from seqlab.bench.sides import KERNELS, Side, Size, build_side
from seqlab.executors import EXECUTORS
from seqlab.run_directory import write
from seqlab.show import console

COLUMNS = ["mode", "T", "B", "I", "H", "side", "median_ms", "spread", "ratio", "floor_ratio", "first_call_s", "peak_mb", "note"]


def compare(arguments: Namespace, folder: Path) -> list[dict[str, Any]]:
    """Measure, print, and write bench.csv and bench.png into the folder. Returns the rows."""
    names = side_names(arguments.sides, arguments.reference)
    rows: list[dict[str, Any]] = []
    sizes = [Size.parse(text) for text in arguments.sizes]
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(arguments.modes) * len(sizes) * arguments.rounds)
        for mode in arguments.modes:
            for size in sizes:
                progress.update(task, description=f"{mode} {size}")
                sides = existing_sides(names, size, mode, arguments.device)
                found = measure(sides, arguments.rounds, tick=lambda: progress.advance(task))
                rows += to_rows(found, size, mode, arguments)
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "bench.csv", rows)
    for mode in arguments.modes:
        console.print(to_table([row for row in rows if row["mode"] == mode], arguments.reference, mode))
    draw(folder / "bench.png", rows)
    noise = statistics.median(row["spread"] for row in rows)
    regime = "the allocator as it was" if arguments.keep_allocator else "memory once taken is kept (" + ", ".join(f"{k}={v}" for k, v in REGIME.items()) + ")"
    console.print(f"{torch.get_num_threads()} threads, torch {torch.__version__}; {regime}.", highlight=False)
    console.print(f"Noise: the middle half of a side's rounds spans {noise:.0%} of its median; a difference below that says nothing.", highlight=False)
    console.print(f"written: {folder}/bench.csv, {folder}/bench.png", highlight=False, soft_wrap=True)
    return rows


def side_names(asked: list[str], reference: str) -> list[str]:
    """Sides in the order of the table: the reference, then what was asked for, a cell's name standing for all its sides."""
    names = [reference]
    for name in asked:
        if ":" in name or name in KERNELS:
            names.append(name)
            continue
        names += [f"{name}:{executor}" for executor in ("auto", *EXECUTORS)] + [f"{name}:naive"]
        names += [f"{library}:{name}" for library in ("flax", "keras") if importlib.util.find_spec(library)]
        names.append(f"floor:{name}")
    return list(dict.fromkeys(names))


def existing_sides(names: list[str], size: Size, mode: str, device: str) -> list[Side]:
    """The sides that can be built; one that was spelt out and cannot be is an error, one of many of a cell is left out."""
    sides = []
    for name in names:
        try:
            sides.append(build_side(name, size, mode, device))
        except ValueError as error:
            if "cannot run" not in str(error):
                raise
            console.print(f"left out: {name}: {error}", highlight=False)
    return sides


def to_rows(found: list[Measurement], size: Size, mode: str, arguments: Namespace) -> list[dict[str, Any]]:
    """One row of the CSV per side."""
    medians = {m.name: m.median for m in found}
    floors = [value for name, value in medians.items() if name.startswith("floor:")]
    rows = []
    for m in found:
        cell = m.name.partition(":")[0]
        floor = medians.get(f"floor:{cell}", floors[0] if floors else None)
        memory = peak_bytes(m.name, str(size), mode, arguments.device) if arguments.memory and not m.name.startswith("floor:") else None
        values = [
            mode,
            size.num_steps,
            size.batch_size,
            size.input_size,
            size.hidden_size,
            m.name,
            m.median * 1e3,
            m.spread,
            m.median / medians[arguments.reference],
        ]
        values += [m.median / floor if floor else None, m.first_seconds, memory / 1e6 if memory is not None else None, m.note]
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """bench.csv, whole or not at all."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    write(path, out.getvalue())


def to_table(rows: list[dict[str, Any]], reference: str, mode: str) -> Table:
    """Sides down, sizes across: milliseconds and the ratio to the reference."""
    sizes = list(dict.fromkeys((r["T"], r["B"], r["I"], r["H"]) for r in rows))
    table = Table("side", title=f"{mode}: median ms (ratio to {reference}; lower is better)")
    for size in sizes:
        table.add_column(",".join(map(str, size)), justify="right")
    for column in ("geometric mean", "first call s", "peak MB"):
        table.add_column(column, justify="right")
    for side in dict.fromkeys(r["side"] for r in rows):
        mine = {(r["T"], r["B"], r["I"], r["H"]): r for r in rows if r["side"] == side}
        cells = [f"{mine[s]['median_ms']:.3g} ({mine[s]['ratio']:.2f})" if s in mine else "" for s in sizes]
        mean = statistics.geometric_mean(r["ratio"] for r in mine.values())
        peaks = [r["peak_mb"] for r in mine.values() if r["peak_mb"] is not None]
        table.add_row(side, *cells, f"{mean:.2f}", f"{max(r['first_call_s'] for r in mine.values()):.2f}", f"{max(peaks):.0f}" if peaks else "")
    return table


def draw(path: Path, rows: list[dict[str, Any]]) -> None:
    """bench.png: one panel per mode, a bar per side and size, log axis."""
    from matplotlib.figure import Figure  # not at import time: it costs a second

    modes = list(dict.fromkeys(r["mode"] for r in rows))
    sides = list(dict.fromkeys(r["side"] for r in rows))
    sizes = list(dict.fromkeys(f"{r['T']},{r['B']},{r['I']},{r['H']}" for r in rows))
    figure = Figure(figsize=(max(7, 1.1 * len(sizes) + 0.25 * len(sizes) * len(sides)), 4.2 * len(modes)), layout="constrained")
    width = 0.85 / len(sides)
    for axis, mode in zip(figure.subplots(len(modes), 1, squeeze=False)[:, 0], modes, strict=True):
        for i, side in enumerate(sides):
            mine = {f"{r['T']},{r['B']},{r['I']},{r['H']}": r["median_ms"] for r in rows if r["side"] == side and r["mode"] == mode}
            places = [sizes.index(size) + (i - len(sides) / 2) * width for size in mine]
            axis.bar(places, list(mine.values()), width, label=side, color=f"C{i % 10}", hatch="//" if i >= 10 else None)
        axis.set(yscale="log", ylabel="milliseconds, median", title=mode, xticks=range(len(sizes)), xticklabels=sizes, xlabel="T, B, I, H")
        axis.grid(axis="y", alpha=0.3)
        axis.legend(fontsize=8, ncols=2)
    figure.savefig(path, dpi=120)
