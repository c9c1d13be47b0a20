"""Two processes train the model of one: the same rows, weights, metrics and decisions, equal to rounding in float64."""

from __future__ import annotations

import csv
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from seqlab.tasks.ranks import interleaved
from tests.train import ranks as program

RANKS = 2


def free_ports(number: int) -> int:
    """The first of so many ports that nobody listens on, most likely."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return min(found.getsockname()[1], 65535 - number)


class Trained:
    """What the processes of one size left."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder / str(size)
        self.ranks = [torch.load(folder / f"{rank} of {size}.pt") for rank in range(size)]

    def weights(self, case: str, kind: str = "last") -> dict[str, torch.Tensor]:
        return torch.load(self.folder / case / "checkpoints" / f"{kind}.ckpt", weights_only=True)["state_dict"]

    def rows(self, case: str) -> list[dict[str, float]]:
        with open(self.folder / case / "metrics.csv", encoding="utf-8", newline="") as file:
            return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]

    def summary(self, case: str) -> dict[str, Any]:
        return json.loads((self.folder / case / "summary.json").read_text(encoding="utf-8"))


def train(folder: Path) -> tuple[Trained, Trained]:
    """All cases, in one process and in two, which are started once: that takes longer than a case."""
    program.write_data(folder)
    port = free_ports(len(program.CASES))
    started = []
    for rank, size in ((0, RANKS), (1, RANKS), (0, 1)):
        path = folder / f"{rank} of {size}.log"
        command = [sys.executable, "-m", "tests.train.ranks", str(folder), str(rank), str(size), str(port)]
        with open(path, "w", encoding="utf-8") as log:
            started.append((subprocess.Popen(command, env=program.as_rank(rank, size), stdout=log, stderr=subprocess.STDOUT), path))
    try:
        for process, path in started:
            assert process.wait(timeout=500) == 0, path.read_text(encoding="utf-8")[-3000:]
    finally:
        for process, _ in started:
            process.kill()
    return Trained(folder, 1), Trained(folder, RANKS)


def compare(case: str, one: Trained, two: Trained) -> None:
    """Assert that two processes did what one did."""
    whole, *shares = (ranks[case] for ranks in (*one.ranks, *two.ranks))
    for process in (whole, *shares):
        assert "error" not in process, process["error"]
    assert [interleaved(parts) for parts in zip(*(share["rows"] for share in shares), strict=True)] == whole["rows"]
    assert shares[0]["monitored"] == shares[1]["monitored"], "every process decides by the same numbers"
    assert shares[0]["rates"] == shares[1]["rates"] == whole["rates"]
    for kind in ("last", "best") if case != "anomalies" else ("last",):  # which no validation chooses
        # rounding in float64, of sums in another order, over some dozen steps
        torch.testing.assert_close(two.weights(case, kind), one.weights(case, kind), atol=1e-12, rtol=1e-12)
    rows, expected_rows = two.rows(case), one.rows(case)
    assert [set(row) for row in rows] == [set(row) for row in expected_rows]
    for row, expected in zip(rows, expected_rows, strict=True):
        assert row == pytest.approx(expected, rel=2e-6, abs=1e-7)  # torchmetrics adds in float32
    summary, expected = two.summary(case), one.summary(case)
    assert summary["metrics"] == pytest.approx(expected["metrics"], rel=2e-6, abs=1e-7)
    for key in ("best_step", "steps", "epochs"):
        assert summary[key] == expected[key], key


@pytest.mark.slow
def test_two_processes_train_the_model_of_one(tmp_path: Path) -> None:
    one, two = train(tmp_path)
    wrong: dict[str, str] = {}
    for case in program.CASES:
        try:
            compare(case, one, two)
        except AssertionError as error:
            wrong[case] = str(error)
    assert not wrong, "\n\n".join(f"{case}: {error}" for case, error in wrong.items())
