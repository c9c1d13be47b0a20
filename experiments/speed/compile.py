"""How long compiling takes: python experiments/speed/compile.py

Each repeat has empty cache directories. In them a process makes the first training call of one cell after the other: the first
compile ever, with what a machine builds only once, and then the next cells. A second process does the same from the cache on
disk. Both count the import of the compiler, neither that of torch. Prints the medians over the repeats, of wall-clock seconds
and of processor seconds (this process and the C++ compiler): on a machine with a free core the two are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from seqlab import Layer, make_cell
from seqlab.registry import load_plugin_file

CELLS = ["lstm", "gru", "lstm_peephole", "unseen", "lstm_layer_norm", "zoneout_lstm"]
GOALS = {"the first compile ever": 15, "the next cell": 5, "the first cell from the cache": 3, "the next cell from the cache": 3}


def first_calls(cells: list[str]) -> list[tuple[float, float]]:
    """(wall-clock, processor) seconds of the first training call of each cell, in this process."""
    load_plugin_file(Path(__file__).with_name("cells.py"))
    found = []
    for name in cells:
        layer, x = Layer(make_cell(name, 64, 64), "compiled"), torch.randn(16, 32, 64)
        before, started = sum(os.times()[:4]), time.perf_counter()
        layer(x)[0].sum().backward()
        found.append((time.perf_counter() - started, sum(os.times()[:4]) - before))
    return found


def in_process(cells: list[str], folder: str) -> list[tuple[float, float]]:
    """`first_calls` in a process of its own whose caches lie in the folder."""
    caches = {"TORCHINDUCTOR_CACHE_DIR": f"{folder}/inductor", "SEQLAB_CACHE_DIR": f"{folder}/seqlab"}
    command = [sys.executable, __file__, "--here", "--cells", *cells]
    done = subprocess.run(command, env=os.environ | caches, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="(default: 3)")
    parser.add_argument("--cells", nargs="+", default=CELLS)
    parser.add_argument("--here", action="store_true", help="measure once, in this process and with its caches, and print the seconds as JSON")
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(first_calls(arguments.cells)))
        return
    found: dict[str, list[tuple[float, float]]] = {what: [] for what in GOALS}
    for repeat in range(arguments.repeats):
        with tempfile.TemporaryDirectory() as folder:
            for place, suffix in (("ever", ""), ("from the cache", " from the cache")):
                first, *following = in_process(arguments.cells, folder)
                seconds = (f"{name} {wall:.1f}" for name, (wall, _) in zip(arguments.cells, [first, *following], strict=True))
                print(f"repeat {repeat + 1}, {place}: {' '.join(seconds)}", flush=True)
                found["the first compile ever" if not suffix else "the first cell from the cache"].append(first)
                found[f"the next cell{suffix}"] += following
    print("| what | goal, s | wall-clock s | processor s | slowest, wall-clock s |\n|---|---|---|---|---|")
    for what, goal in GOALS.items():
        if found[what]:
            wall, processor = (statistics.median(times) for times in zip(*found[what], strict=True))
            print(f"| {what} | ≤ {goal} | {wall:.1f} | {processor:.1f} | {max(found[what])[0]:.1f} |")


if __name__ == "__main__":
    main()
