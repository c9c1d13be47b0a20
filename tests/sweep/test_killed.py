"""A sweep whose process is killed, as a night may end: what is done stays, the rest is run by `seqlab sweep retry`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seqlab.cli import main
from seqlab.sweep import ledger
from tests.sweep.conftest import QUICK

SWEEP = Path("runs/sweeps/binary_addition")


@pytest.mark.slow
def test_a_killed_sweep_is_finished_by_retry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "seqlab.cli", "train", "-m", *QUICK, "seed=1,2,3"]
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list(SWEEP.glob("*/summary.json")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    done = {file: file.stat().st_mtime_ns for file in SWEEP.glob("*/summary.json")}
    assert 1 <= len(done) < 3
    assert main(["sweep", "status", str(SWEEP)]) == 1
    assert "has not come to its end" in capsys.readouterr().out
    assert main(["sweep", "retry", str(SWEEP)]) == 0
    assert len(list(SWEEP.glob("*/summary.json"))) == 3
    assert {file: file.stat().st_mtime_ns for file in done} == done
    records = ledger.read_records(ledger.sweep_folders(SWEEP)[-1])
    assert [record.state for record in records] == ["finished"] * 3
    assert records[0].reused
    assert main(["sweep", "status", str(SWEEP)]) == 0
