"""Sweeps whose jobs run side by side in other processes, as SLURM and Ray start them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seqlab.sweep import ledger
from tests.sweep.conftest import Sweep

SWEEP = Path("sweep")


@pytest.mark.slow
@pytest.mark.parametrize("search", [False, True], ids=["grid", "optuna"])
def test_jobs_of_the_joblib_launcher(search: bool, sweep: Sweep, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="hydra-joblib-launcher is not installed")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    # the directory is given whole, since workers of joblib outlive a test and stay where they began
    words = [f"hydra.sweep.dir={Path.cwd() / SWEEP}", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "cell.hidden_size=0,3"]
    if search:
        pytest.importorskip("optuna", reason="the extra `sweep` is not installed")
        words += ["hparams_search=optuna", "hydra.sweeper.num_trials=4", "hydra.sweeper.max_batch_size=2", "optimizer.lr=interval(0.01,0.1)"]
    assert sweep(*words) == 1
    records = ledger.read_records(ledger.sweep_folders(SWEEP)[-1])
    assert len(records) == (4 if search else 2)
    assert {("cell.hidden_size=0" in record.overrides, record.state) for record in records} <= {(True, "failed"), (False, "finished")}
    assert len({record.process for record in records}) == 2
    assert "failed: job" in capfd.readouterr().err
    # the same again: what is finished in the grid is not trained, and the search is at its end
    assert sweep(*words) == (0 if search else 1)
    again = ledger.read_records(ledger.sweep_folders(SWEEP)[-1])
    assert [record.reused for record in again] == ([] if search else [False, True])


LOCAL = {
    # the launcher of a SLURM cluster, with processes of this machine instead
    "submitit": ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"],
    # a Ray of its own, on this machine
    "ray": [
        *("hydra/launcher=ray", "hydra.launcher.ray.init.address=null", "+hydra.launcher.ray.init.num_cpus=1"),
        *("+hydra.launcher.ray.init.include_dashboard=false", "+hydra.launcher.ray.init.object_store_memory=80000000"),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LOCAL)
def test_jobs_of_launchers_for_several_machines(launcher: str, sweep: Sweep, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(f"hydra_plugins.hydra_{launcher}_launcher", reason="the extra `launchers` is not installed")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 otherwise, which waits for all else on a busy machine
    words = [f"hydra.sweep.dir={Path.cwd() / SWEEP}", *LOCAL[launcher], "cell.hidden_size=0,3"]
    assert sweep(*words) == 1
    records = ledger.read_records(ledger.sweep_folders(SWEEP)[-1])
    assert {("cell.hidden_size=0" in record.overrides, record.state) for record in records} == {(True, "failed"), (False, "finished")}
    assert all(record.process != os.getpid() for record in records)
    assert "failed: job" in capfd.readouterr().err
    assert sweep(*words) == 1
    again = ledger.read_records(ledger.sweep_folders(SWEEP)[-1])
    assert [record.reused for record in again] == [False, True]
