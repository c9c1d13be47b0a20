"""`seqlab bench`: the command, its allocator regime, its progress and what it writes."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from datetime import datetime
from pathlib import Path

# Page faults of fresh memory move nn.LSTM by a third: memory once taken is kept, for all sides alike.
REGIME = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "4294967296", "MALLOC_TOP_PAD_": "67108864", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
SIZES = ["512,16,64,64", "1024,8,32,32", "128,64,128,128", "128,32,256,256", "64,64,512,512"]


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    made = argparse.ArgumentParser(
        prog="seqlab bench",
        description="Measure cells on every executor beside torch.nn and other libraries, alternating in one run, and print ratios.",
        epilog="Sides have names: lstm:compiled, lstm:naive, nn.LSTM, floor:lstm, flax:lstm, keras:lstm. A cell alone means all of its sides.",
    )
    made.add_argument("sides", nargs="*", default=["lstm"], help="cells or single sides (default: lstm)")
    made.add_argument("--sizes", nargs="+", default=SIZES, metavar="T,B,I,H", help=f"time, batch, input, hidden (default: {' '.join(SIZES)})")
    made.add_argument(
        "--modes",
        nargs="+",
        default=["training"],
        choices=["training", "inference", "streaming"],
        help="forward and backward, forward alone, one step at a time",
    )
    made.add_argument("--reference", default="nn.LSTM", help="the side that ratios are taken to (default: nn.LSTM)")
    made.add_argument("--rounds", type=int, default=15, help="how often every side is run in turn (default: 15, at least 3)")
    made.add_argument("--memory", action="store_true", help="also measure peak memory, each side in a process of its own")
    made.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    made.add_argument("--plugin", action="append", default=[], metavar="FILE", help="a Python file that registers cells")
    made.add_argument("--keep-allocator", action="store_true", help="leave the allocator as it is; by default it keeps memory once taken")
    made.add_argument("--out", type=Path, metavar="DIR", help="where bench.csv and bench.png go (default: runs/bench/DATE)")
    return made


def main(argv: list[str]) -> int:
    """Run the command and return its exit status."""
    arguments = parser().parse_args(argv)
    if arguments.rounds < 3:
        print(f"seqlab bench: --rounds is {arguments.rounds}; expected at least 3, or there is no median to speak of.", file=sys.stderr)
        return 2
    if not arguments.keep_allocator and platform.system() == "Linux" and any(os.environ.get(k) != v for k, v in REGIME.items()):
        # the C library reads these when a process starts
        os.execve(sys.executable, [sys.executable, "-m", "seqlab.cli", "bench", *argv], os.environ | REGIME)
    from seqlab.bench.compare import compare
    from seqlab.registry import load_plugin_file

    try:
        for file in arguments.plugin:
            load_plugin_file(file)
        compare(arguments, arguments.out or Path("runs/bench") / f"{datetime.now():%Y-%m-%d_%H-%M-%S}")
    except ValueError as error:
        print(f"seqlab bench: {error}", file=sys.stderr)
        return 2
    return 0
