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

from seqlab.bench import gpu_peers
from seqlab.bench.command import REGIME
from seqlab.bench.measure import Measurement, measure
from seqlab.bench.memory import peak_bytes
from seqlab.bench.sides import KERNELS, Side, Size, build_side
from seqlab.executors import EXECUTORS
from seqlab.pictures.saving import save_picture
from seqlab.run_directory import write
from seqlab.show import console

COLUMNS = ["mode", "T", "B", "I", "H", "side", "median_ms", "spread", "ratio", "floor_ratio", "first_call_s", "peak_mb", "note"]


def compare(arguments: Namespace, folder: Path) -> list[dict[str, Any]]:
    """Measure, print, and write bench.csv and bench.png into the folder. Returns the rows."""
    if arguments.device != "cpu" and not torch.cuda.is_available():
        raise ValueError(f"--device is {arguments.device!r} but torch finds no CUDA device; expected 'cpu'. Leave --device out.")
    names = side_names(arguments.sides, arguments.reference, arguments.device)
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
    machine = f"{torch.get_num_threads()} threads" if arguments.device == "cpu" else torch.cuda.get_device_name()
    console.print(f"{machine}, torch {torch.__version__}; {regime}.", highlight=False)
    console.print(f"Noise: the middle half of a side's rounds spans {noise:.0%} of its median; a difference below that says nothing.", highlight=False)
    console.print(f"written: {folder}/bench.csv, {folder}/bench.png", highlight=False, soft_wrap=True)
    return rows


def side_names(asked: list[str], reference: str, device: str = "cpu") -> list[str]:
    """Sides in the order of the table: the reference, then what was asked for, a cell's name standing for all its sides."""
    names = [reference]
    for name in asked:
        if ":" in name or name in KERNELS:
            names.append(name)
            continue
        names += [f"{name}:{executor}" for executor in ("auto", *EXECUTORS)] + [f"{name}:naive"]
        libraries = {"flax": "flax", "keras": "keras"} if device == "cpu" else gpu_peers.MODULES
        names += [f"{library}:{name}" for library, module in libraries.items() if importlib.util.find_spec(module)]
        names.append(f"floor:{name}")
    return list(dict.fromkeys(names))


def existing_sides(names: list[str], size: Size, mode: str, device: str) -> list[Side]:
    """The sides that can run here; of the others it is said why they are left out. A name that is wrong is an error."""
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
    """A section per size, a row per side, and last the geometric mean of each side's ratios."""
    table = Table(title=f"{mode} (ratios: lower is better)")
    for column in ("T,B,I,H", "side"):
        table.add_column(column, no_wrap=True)
    memory = any(r["peak_mb"] is not None for r in rows)
    for column in ("ms", f"/{reference}", "/floor", "first s", *(["peak MB"] if memory else [])):
        table.add_column(column, justify="right")

    def shown(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    sizes = list(dict.fromkeys((r["T"], r["B"], r["I"], r["H"]) for r in rows))
    for size in sizes:
        mine = [r for r in rows if (r["T"], r["B"], r["I"], r["H"]) == size]
        for i, r in enumerate(mine):
            numbers = [f"{r['median_ms']:.4g}", f"{r['ratio']:.2f}", shown(r["floor_ratio"], ".2f"), f"{r['first_call_s']:.2f}"]
            numbers += [shown(r["peak_mb"], ".0f")] if memory else []
            table.add_row(",".join(map(str, size)) if i == 0 else "", r["side"], *numbers, end_section=r is mine[-1])
    if len(sizes) > 1:
        for i, side in enumerate(dict.fromkeys(r["side"] for r in rows)):
            mean = statistics.geometric_mean(r["ratio"] for r in rows if r["side"] == side)
            table.add_row("mean" if i == 0 else "", side, "", f"{mean:.2f}")
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
    save_picture(figure, path)
