"""Real signals, a disk that takes no more and memory that ends, each met by a process of its own."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "experiments" / "reliability" / "run.py"


@pytest.mark.slow
def test_every_fault_keeps_every_promise(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--trials", "1", "--out", str(tmp_path / "results.csv")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(tmp_path / "results.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            assert (row["same weights"], row["same metrics"], row["same samples"], row["expected exit"]) == ("1", "1", "1", "1"), row
