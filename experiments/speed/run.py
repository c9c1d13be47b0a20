"""The speed table, its goals and its picture: python experiments/speed/run.py

Runs `seqlab bench` for each part, writes results.csv and speed.png beside this file, and prints each goal with its figure.
flax and Keras take part where they are installed (pip install jax flax keras; KERAS_BACKEND=torch).
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import geometric_mean

from matplotlib.figure import Figure

HERE = Path(__file__).parent
SIZES = ["512,16,64,64", "1024,8,32,32", "128,64,128,128", "128,32,256,256", "64,64,512,512"]
COMPILED = [f"{cell}:compiled" for cell in ("lstm", "lstm_peephole", "lstm_coupled", "unseen", "lstm_layer_norm", "zoneout_lstm", "gru")]
FLAX = ["flax:lstm", "flax:gru"] if importlib.util.find_spec("flax") else []
KERAS = ["keras:lstm"] if importlib.util.find_spec("keras") else []
EVERY = [f"{cell}:{executor}" for cell, executors in (("lstm", "auto loop native compiled"), ("gru", "auto loop compiled")) for executor in executors.split()]
OVER_TIME = [f"{steps},16,64,64" for steps in (32, 64, 128, 256, 512, 1024, 2048)]
OVER_WIDTH = [f"128,32,{width},{width}" for width in (32, 64, 128, 256, 512)]
PEERS = ["lstm:compiled", "gru:compiled", "lstm:naive", *FLAX, *KERAS, "floor:lstm"]
PARTS = {
    "training": [*COMPILED, "lstm:auto", "nn.GRU", "lstm:naive", *FLAX, "floor:lstm", "--sizes", *SIZES],
    "auto": [*EVERY, "--sizes", *SIZES, "--modes", "training", "inference", "streaming"],
    "linear": [f"min_gru:{executor}" for executor in ("auto", "compiled", "scan")] + ["--reference", "nn.GRU", "--sizes", "4096,8,256,256", "--rounds", "5"],
    "time": [*PEERS, "--sizes", *OVER_TIME, "--rounds", "7"],
    "width": [*PEERS, "--sizes", *OVER_WIDTH, "--rounds", "7"],
    "long": ["lstm:compiled", "lstm:compiled:recompute", "--sizes", "20000,4,16,64", "--rounds", "3", "--memory"],
    "memory": ["lstm:compiled", "lstm_peephole:compiled", "lstm_layer_norm:compiled", "--sizes", *SIZES, "--rounds", "3", "--memory"],
}


def bench(part: str) -> list[dict[str, str]]:
    """The rows of one part."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "seqlab.cli", "bench", *PARTS[part], "--plugin", str(HERE / "cells.py"), "--out", folder]
        subprocess.run(command, check=True, env=os.environ | {"KERAS_BACKEND": "torch"})
        with open(Path(folder) / "bench.csv", newline="") as file:
            return [{"part": part, **row} for row in csv.DictReader(file)]


def ratios(rows: list[dict[str, str]], part: str, side: str, reference: str, column: str = "median_ms", mode: str = "training") -> dict[str, float]:
    """{size: side / reference}."""
    values = {(r["side"], ",".join((r["T"], r["B"], r["I"], r["H"]))): float(r[column]) for r in rows if r["part"] == part and r["mode"] == mode and r[column]}
    return {size: value / values[reference, size] for (name, size), value in values.items() if name == side and (reference, size) in values}


def goals(rows: list[dict[str, str]]) -> list[tuple[str, str, list[float], bool]]:
    """(what, goal, figures, met) of each goal that these rows can tell of."""
    found = []

    def add(what: str, goal: str, figures: dict[str, float], met: bool) -> None:
        if figures:
            found.append((what, goal, list(figures.values()), met))

    for cell in ("lstm", "lstm_peephole", "lstm_coupled", "unseen"):
        r = ratios(rows, "training", f"{cell}:compiled", "nn.LSTM")
        if r:
            mean = geometric_mean(r.values())
            add(
                f"{cell} / nn.LSTM, mean {mean:.2f}",
                "all ≤ 1.0, mean ≤ 0.8, second ≤ 0.7",
                r,
                max(r.values()) <= 1 and mean <= 0.8 and r["1024,8,32,32"] <= 0.7,
            )
    for cell, limit in (("lstm_layer_norm", 1.2), ("zoneout_lstm", 1.3)):
        r = ratios(rows, "training", f"{cell}:compiled", "nn.LSTM")
        if r:
            add(f"{cell} / nn.LSTM, mean {geometric_mean(r.values()):.2f}", f"mean ≤ {limit}", r, geometric_mean(r.values()) <= limit)
    r = ratios(rows, "training", "gru:compiled", "nn.GRU")
    add("gru / nn.GRU", "≤ 0.3, 0.3, 0.75, 0.75, 0.95", r, all(v <= limit for v, limit in zip(r.values(), (0.3, 0.3, 0.75, 0.75, 0.95), strict=False)))
    r = ratios(rows, "training", "gru:compiled", "nn.LSTM")
    add("gru / nn.LSTM", "all ≤ 1.0", r, max(r.values(), default=0) <= 1)
    for cell in ("lstm", "gru"):
        r = ratios(rows, "training", f"{cell}:compiled", f"flax:{cell}")
        add(f"{cell} / flax nnx.RNN under jit", "all ≤ 0.8", r, max(r.values(), default=0) <= 0.8)
    best = [ratios(rows, "linear", f"min_gru:{executor}", "nn.GRU") for executor in ("auto", "compiled", "scan")]
    if all(best):
        r = {size: min(b[size] for b in best) for size in best[0]}
        add("min_gru, best executor / nn.GRU", "≤ 0.12", r, max(r.values()) <= 0.12)
    for mode in ("training", "inference", "streaming"):
        for cell in ("lstm", "gru"):
            hands = [ratios(rows, "auto", f"{cell}:auto", f"{cell}:{executor}", mode=mode) for executor in ("loop", "native", "compiled")]
            r = {size: max(h[size] for h in hands if size in h) for size in hands[0]}
            add(f"auto / best by hand, {cell}, {mode}", "all ≤ 1.05", r, max(r.values(), default=0) <= 1.05)
    for cell, limit in (("lstm", 0.9), ("lstm_peephole", 0.9), ("lstm_layer_norm", 1.2)):
        r = ratios(rows, "memory", f"{cell}:compiled", "nn.LSTM", "peak_mb")
        add(f"peak memory, {cell} / nn.LSTM", f"all ≤ {limit}", r, max(r.values(), default=0) <= limit)
    r = ratios(rows, "long", "lstm:compiled:recompute", "lstm:compiled", "peak_mb")
    add("peak memory at T = 20,000, lstm, recompute / plain", "≤ 0.25", r, max(r.values(), default=0) <= 0.25)
    return found


def draw(rows: list[dict[str, str]], path: Path) -> None:
    """Milliseconds of a training step over T and over H, log axes, a line per side."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    for axis, part, column, title in zip(
        figure.subplots(1, 2), ("time", "width"), "TH", ("over T (B 16, I = H = 64)", "over I = H (T 128, B 32)"), strict=True
    ):
        mine = [r for r in rows if r["part"] == part]
        for side in dict.fromkeys(r["side"] for r in mine):
            points = [(int(r[column]), float(r["median_ms"])) for r in mine if r["side"] == side]
            ours = side.endswith(":compiled")
            axis.plot(
                *zip(*points, strict=True), label=side, marker="o", markersize=4, linewidth=2.4 if ours else 1.2, linestyle=":" if "floor" in side else "-"
            )
        ticks = sorted({int(r[column]) for r in mine})
        axis.set(xscale="log", yscale="log", xlabel=column, ylabel="forward + backward, median ms", title=title)
        axis.set_xticks(ticks, [str(t) for t in ticks])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure the parts asked for, keep the rows of the others, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"what to measure again (default: {' '.join(PARTS)})")
    arguments = parser.parse_args()
    results = HERE / "results.csv"
    kept: list[dict[str, str]] = []
    if results.exists():
        with open(results, newline="") as file:
            kept = [row for row in csv.DictReader(file) if row["part"] not in arguments.parts]
    rows = kept + [row for part in arguments.parts for row in bench(part)]
    rows.sort(key=lambda row: list(PARTS).index(row["part"]))
    with open(results, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    if {"time", "width"} <= {row["part"] for row in rows}:
        draw(rows, HERE / "speed.png")
    for what, goal, figures, met in goals(rows):
        print(f"| {what} | {goal} | {' '.join(f'{f:.2f}' for f in figures)} | {'met' if met else 'missed'} |")


if __name__ == "__main__":
    main()
