"""What `executor=auto` should choose: every executor on a grid of cells and sizes: python experiments/speed/thresholds.py

Writes thresholds.csv beside this file, milliseconds by executor in a row for each cell, mode and size, and prints for each mode
how far `choose` is from the best executor by hand. With --check it measures nothing and judges the rows that are there, so
that a change of the rule can be weighed at once. A row that is measured again keeps the smaller of its times, for what else
the machine does only adds to them.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections import defaultdict
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from seqlab import Cell, make_cell
from seqlab.bench.sides import Side, Size, build_side
from seqlab.executors import EXECUTORS, Call, choose

HERE = Path(__file__).parent
CELLS = ["lstm", "gru", "gru_reset_after", "rnn", "min_gru", "lru", "lstm_layer_norm"]
STEPS, BATCHES, WIDTHS = [1, 4, 8, 16, 32, 128, 512], [1, 16, 64], [32, 128, 512]
GOALS = [Size(512, 16, 64, 64), Size(1024, 8, 32, 32), Size(128, 64, 128, 128), Size(128, 32, 256, 256), Size(64, 64, 512, 512)]
MODES = ["streaming", "inference", "training"]
COLUMNS = ["threads", "cell", "mode", "T", "B", "H", *EXECUTORS]


def grid(cells: list[str], modes: list[str], batches: list[int], widths: list[int]) -> list[tuple[str, str, Size]]:
    """What is measured; the largest products are left out, for there all executors multiply and nothing else."""
    found = []
    for cell in cells:
        found += [(cell, mode, replace(size, num_steps=1) if mode == "streaming" else size) for mode in modes for size in GOALS]
        for width in widths:
            for mode in modes:
                for batch in batches:
                    steps = [1] if mode == "streaming" else [t for t in STEPS if t * batch * width**2 <= 2**31]
                    found += [(cell, mode, Size(t, batch, width, width)) for t in steps]
    return found


def milliseconds(sides: list[Side], seconds: float) -> list[float]:
    """Medians of alternating rounds, at least five and until this much time has gone."""
    repeats = []
    for side in sides:
        side.run()
        side.run()
        started = time.perf_counter()
        side.run()
        repeats.append(max(1, round(0.002 / (time.perf_counter() - started))))
    times: list[list[float]] = [[] for _ in sides]
    end = time.perf_counter() + seconds
    while len(times[0]) < 5 or time.perf_counter() < end:
        for side, repeat, mine in zip(sides, repeats, times, strict=True):
            started = time.perf_counter()
            for _ in range(repeat):
                side.run()
            mine.append((time.perf_counter() - started) / repeat * 1e3)
    return [statistics.median(mine) for mine in times]


def measure(sizes: list[tuple[str, str, Size]], seconds: float, out: Path) -> None:
    """Write all rows again after each that is new, so that a run can be stopped."""
    threads = torch.get_num_threads()
    rows = {tuple(row[name] for name in COLUMNS[:6]): row for row in (rows_of(out) if out.exists() else [])}
    for cell, mode, size in sizes:
        sides = []
        for executor in EXECUTORS:
            try:
                sides.append(build_side(f"{cell}:{executor}", size, mode))
            except ValueError:  # this cell has no such executor
                continue
        key = tuple(map(str, (threads, cell, mode, size.num_steps, size.batch_size, size.hidden_size)))
        row = dict(zip(COLUMNS, key, strict=False)) | dict.fromkeys(EXECUTORS, "")
        for side, ms in zip(sides, milliseconds(sides, seconds), strict=True):
            executor = side.name.partition(":")[2]
            row[executor] = f"{min(ms, float(rows.get(key, {}).get(executor) or ms)):.5g}"
        rows[key] = row
        with open(out, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows.values())


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@cache
def cell_of(name: str, width: int) -> Cell:
    """Made once: the orthogonal weights of a wide cell take a second."""
    return make_cell(name, width, width)


def judge(rows: list[dict[str, str]]) -> None:
    """Print how `choose` compares with the best executor by hand, and where it is furthest from it."""
    found: dict[tuple[str, str], list[tuple[float, str]]] = defaultdict(list)
    for row in rows:
        times = {executor: float(row[executor]) for executor in EXECUTORS if row[executor]}
        steps, batch, width, threads = int(row["T"]), int(row["B"]), int(row["H"]), int(row["threads"])
        chosen = choose(cell_of(row["cell"], width), "auto", Call(steps, row["mode"] == "training", batch=batch, threads=threads)).executor
        best = min(times, key=lambda name: times[name])
        found[threads, row["mode"], row["cell"]].append((times[chosen] / times[best], f"T {steps} B {batch} H {width}: {chosen}, best {best}"))
    print("| threads | mode | cell | within 1.05 | geometric mean | worst |\n|---|---|---|---|---|---|")
    for (threads, mode, cell), ratios in found.items():
        worst, where = max(ratios)
        good = sum(ratio <= 1.05 for ratio, _ in ratios)
        print(f"| {threads} | {mode} | {cell} | {good} of {len(ratios)} | {statistics.geometric_mean(r for r, _ in ratios):.3f} | {worst:.2f} at {where} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=CELLS)
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--widths", nargs="+", type=int, default=WIDTHS)
    parser.add_argument("--threads", type=int, default=1, help="(default: 1)")
    parser.add_argument("--check", action="store_true", help="judge the rows that are there")
    parser.add_argument("--seconds", type=float, default=0.25, help="least time for each row (default: 0.25)")
    parser.add_argument("--out", type=Path, default=HERE / "thresholds.csv")
    arguments = parser.parse_args()
    if not arguments.check:
        torch.set_num_threads(arguments.threads)
        measure(grid(arguments.cells, arguments.modes, arguments.batches, arguments.widths), arguments.seconds, arguments.out)
    judge(rows_of(arguments.out))


if __name__ == "__main__":
    main()
