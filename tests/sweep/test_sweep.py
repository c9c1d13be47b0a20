"""A sweep: what is done is not done again, what failed is, and one failure stops nothing."""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import shutil
import sys
import threading
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from seqlab import locks, registry
from seqlab.cli import main
from seqlab.sweep import command, ledger
from seqlab.sweep.job_hash import job_hash, source_digests
from seqlab.sweep.own_code import with_imports
from tests.sweep.conftest import Sweep
from tests.train.conftest import small_config

SWEEP = Path("runs/sweeps/binary_addition")
PLUGIN = """
import torch
from seqlab import Cell, register_cell

@register_cell("half")
class Half(Cell):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, {"h": (hidden_size,)})
        self.weight = torch.nn.Parameter(torch.zeros(hidden_size, input_size))

    def project(self, x):
        return x @ self.weight.T

    def step(self, p, state):
        h = 0.5 * state["h"] + p
        return h, {"h": h}
"""


def records() -> list[ledger.Record]:
    """Of the sweep that ran last."""
    return ledger.read_records(ledger.sweep_folders(SWEEP)[-1])


def written() -> dict[str, int]:
    """When each summary was written."""
    return {file.parent.name: file.stat().st_mtime_ns for file in SWEEP.glob("*/summary.json")}


def test_a_job_that_is_done_is_not_run_again_and_a_failed_one_is(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("cell.hidden_size=0,3,2", "hydra.sweeper.max_batch_size=1") == 1
    told = capsys.readouterr()
    assert "failed: job 0" in told.err
    assert "expected a whole number of at least 1" in told.err
    first, (bad, *good) = written(), records()
    assert [record.state for record in (bad, *good)] == ["failed", "finished", "finished"]
    assert {record.directory for record in good} == first.keys()
    assert "cell.hidden_size=0 │ failed" in told.out
    assert all(f"{record.metric:.5g}" in told.out for record in good)
    assert sweep("cell.hidden_size=0,3,2") == 1
    assert written() == first
    again = records()
    assert [(record.state, record.reused, record.metric) for record in again] == [
        ("failed", False, None),
        *(("finished", True, record.metric) for record in good),
    ]
    assert "finished before" in capsys.readouterr().out


def test_a_killed_job_goes_on_and_a_failed_one_begins_anew(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["seed=1", "trainer.max_epochs=2"]
    assert sweep(*words) == 0
    (record,) = records()
    weights = (SWEEP / record.directory / "checkpoints/last.ckpt").stat().st_mtime_ns
    for state, seen in ((ledger.RUNNING, "killed"), ("failed", "failed")):
        (SWEEP / record.directory / "summary.json").unlink()  # as a kill leaves it
        record.state = state
        ledger.write_record(SWEEP, record)
        assert ledger.state_of(SWEEP, record) == seen
        assert sweep(*words) == 0
        now = (SWEEP / record.directory / "checkpoints/last.ckpt").stat().st_mtime_ns
        assert (now == weights) == (seen == "killed")  # its training was at its end: there was only the test to make up for
        record.started = records()[0].started + 1e-3  # the record is the latest
        assert json.loads((SWEEP / record.directory / "summary.json").read_text())["monitor_value"] == records()[0].metric
    assert (SWEEP / ".sweeps/earlier" / f"{record.directory}-1" / "config.yaml").is_file()


def test_what_changes_no_result_is_the_same_job_and_an_edited_cell_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    words = [f"plugins=[{tmp_path / 'mine.py'}]", "cell=plugin", "cell.name=half"]
    first = job_hash(small_config(*words))
    harmless = ["tags=[a]", "logger=tensorboard", "data.num_workers=1", "callbacks=[default]", "callbacks.progress.interval=3"]
    assert job_hash(small_config(*words, *harmless)) == first
    others = [["seed=5"], ["optimizer.lr=0.5"], ["wrap=[zoneout]"], ["encoder.cell=[lstm,gru]", "encoder.hidden_size=3"]]
    found = {job_hash(small_config(*words, *other)) for other in others}
    assert len(found | {first}) == 5
    shutil.copy(tmp_path / "mine.py", tmp_path / "moved.py")
    monkeypatch.setattr(registry, "_plugin_files", {})  # as a new process would begin
    monkeypatch.setattr(registry, "_registered", {})
    assert job_hash(small_config(f"plugins=[{tmp_path / 'moved.py'}]", *words[1:])) == first
    (tmp_path / "mine.py").write_text(PLUGIN.replace("0.5 *", "0.25 *"))
    monkeypatch.setattr(registry, "_plugin_files", {})
    monkeypatch.setattr(registry, "_registered", {})
    assert job_hash(small_config(*words)) not in found | {first}


@pytest.mark.parametrize("line", ["from shares import SHARE", "import shares", "def late():\n    from shares import SHARE"])
def test_an_edited_module_that_a_plugin_imports_is_another_job(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("_plugin_files", "_registered"):
        monkeypatch.setattr(registry, name, {})
    (tmp_path / "mine.py").write_text(f"{line}\n{PLUGIN}")
    (tmp_path / "shares.py").write_text("import deeper\nSHARE = 0.5\n")
    (tmp_path / "deeper.py").write_text("import shares\n")  # in a circle
    hashes = set()
    for text in ("", "DEPTH = 1\n", "DEPTH = 2\n"):
        (tmp_path / "deeper.py").write_text(f"import shares\n{text}")
        hashes.add(job_hash(small_config(f"plugins=[{tmp_path / 'mine.py'}]", "cell=plugin", "cell.name=half")))
        for name in ("shares", "deeper"):
            sys.modules.pop(name, None)
    assert len(hashes) == 3


def test_a_package_of_a_cell_counts_and_installed_libraries_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine").mkdir()
    for name, text in {
        "__init__": "",
        "cells": "import numpy, os, torch\nfrom . import gates\n",
        "gates": "from .depth import low\n",
        "depth": "low = 1\n",
    }.items():
        (tmp_path / "mine" / f"{name}.py").write_text(text)
    module = importlib.import_module("mine.cells")
    assert {Path(file).stem for file in with_imports([module])} == {"__init__", "cells", "gates", "depth"}
    assert [Path(file).name for file in with_imports([sys.modules["seqlab.cells.lstm"]])] == ["lstm.py"]


def test_an_edited_wrapper_or_base_class_is_another_job(monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config("cell=lstm", "wrap=[zoneout]")
    digests = source_digests(OmegaConf.to_container(config, resolve=True), [])
    for name in ("cell lstm", "target seqlab.cells.zoneout.Zoneout"):
        assert len(digests[name].split()) >= 2  # its own file and that of Cell


def test_a_config_that_cannot_be_built_has_a_name_too() -> None:
    hashes = {job_hash(small_config(word)) for word in ("cell.hidden_size=0", "plugins=[none.py]", "+x='${nothing}'", "+x._target_=no.such.thing")}
    assert len(hashes) == 4


def test_a_job_that_another_process_trains_is_left_alone(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    its = ledger.new_record(0, ["seed=1"], "mine", "h", ledger.open_sweep(SWEEP, "its", ["-m"]).name)
    with ledger.locked(SWEEP, "mine"):
        ledger.write_record(SWEEP, its)
        assert sweep("seed=1", "hydra.sweep.subdir=mine") == 1
        assert "is being trained by another process" in capsys.readouterr().err
        assert not written()
        assert ledger.latest_records(SWEEP)["mine"] == its
        (SWEEP / "mine").mkdir(exist_ok=True)
        its.state = "failed"  # as it says between its end and the next attempt
        ledger.write_record(SWEEP, its)
        assert not command.to_prune(SWEEP)
    assert len(command.to_prune(SWEEP)) == 1


def test_a_worker_that_outlives_the_job_holds_nothing(tmp_path: Path) -> None:
    (begun, begins), (ended, ends) = os.pipe(), os.pipe()
    with ledger.locked(tmp_path, "job"):
        assert ledger.is_locked(tmp_path, "job")
        if os.fork() == 0:
            os.write(begins, b".")
            os.read(ended, 1)
            os._exit(0)
        os.read(begun, 1)
    is_locked = ledger.is_locked(tmp_path, "job")
    os.write(ends, b".")
    assert not is_locked


def test_one_who_looks_whether_a_job_is_held_does_not_keep_it_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ledger.locked(tmp_path, "job"), pytest.raises(ledger.InUse), ledger.locked(tmp_path, "job"):
        pass
    monkeypatch.setattr(locks, "PATIENCE", 30.0)  # of a busy machine
    look = open(tmp_path / ".sweeps/locks/job.lock")  # noqa: SIM115
    fcntl.flock(look, fcntl.LOCK_SH)
    done = threading.Timer(0.05, look.close)
    done.start()
    with ledger.locked(tmp_path, "job"):
        done.join()


def test_a_job_that_was_refused_a_directory_does_not_take_over_what_lies_there(sweep: Sweep) -> None:
    assert sweep("seed=1", "hydra.sweep.subdir=mine") == 0
    for _ in range(2):
        assert sweep("seed=2", "hydra.sweep.subdir=mine") == 1
        assert [(record.state, record.reused) for record in records()] == [("failed", False)]
    assert sweep("seed=1", "hydra.sweep.subdir=mine") == 0
    assert [(record.state, record.reused) for record in records()] == [("finished", True)]


def test_a_job_killed_after_its_summary_and_before_its_record_is_done(tmp_path: Path) -> None:
    record = ledger.new_record(0, ["seed=1"], "job", "h", ledger.open_sweep(tmp_path, "s", ["-m"]).name)
    ledger.write_record(tmp_path, record)
    (tmp_path / "job").mkdir()
    (tmp_path / "job/summary.json").write_text('{"status": "interrupted", "monitor_value": null}')
    assert command.to_prune(tmp_path) == [(tmp_path / "job", "killed")]
    (tmp_path / "job/summary.json").write_text('{"status": "finished", "monitor_value": 0.5}')
    assert not command.to_prune(tmp_path)
    assert ledger.latest_records(tmp_path)["job"].metric == 0.5
    with ledger.locked(tmp_path, "job"):
        assert ledger.latest_records(tmp_path)["job"].state == ledger.RUNNING


def test_a_changed_job_supersedes_the_one_before(tmp_path: Path) -> None:
    ledger.open_sweep(tmp_path, "s", [])
    for number, (overrides, directory) in enumerate([(["a=1"], "old"), (["a=2"], "other"), (["a=1", "tags=[x]"], "old"), (["a=1"], "new")]):
        ledger.write_record(tmp_path, ledger.new_record(number, overrides, directory, directory, "s"))
    assert ledger.superseded(tmp_path) == {"old"}


def test_status_retry_and_prune(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("seed=1,2") == 0
    one, two = records()
    (SWEEP / one.directory / "summary.json").unlink()
    one.state = "failed"
    ledger.write_record(SWEEP, one)
    capsys.readouterr()
    assert main(["sweep", "status", str(SWEEP)]) == 1
    told = capsys.readouterr().out
    assert "failed" in told
    assert main(["sweep", "status", str(SWEEP), "--json"]) == 1
    assert [job["state"] for job in json.loads(capsys.readouterr().out)["jobs"]] == ["failed", "finished"]
    before = written()
    assert main(["sweep", "retry", str(SWEEP)]) == 0
    assert written().keys() == {one.directory, two.directory}
    assert written()[two.directory] == before[two.directory]
    assert main(["sweep", "status", str(SWEEP)]) == 0
    assert main(["train", f"resume={SWEEP}"]) == 0  # the same by another name
    assert "nothing to retry" in capsys.readouterr().out
    earlier = SWEEP / ".sweeps/earlier" / f"{one.directory}-1"
    assert main(["sweep", "prune", str(SWEEP)]) == 1  # nobody at the terminal says yes
    assert earlier.is_dir()
    assert main(["sweep", "prune", str(SWEEP), "--yes"]) == 0
    assert str(earlier) in capsys.readouterr().out
    assert not earlier.exists()
    assert written().keys() == {one.directory, two.directory}


CODE = [
    "+callbacks.x._target_=os.system",
    "+callbacks.x={_target_:os.system}",
    "hydra.job.env_set.LD_PRELOAD=x",
    "hydra.launcher.setup=[evil]",
    "hydra.sweeper.storage=sqlite:///x",
    "plugins=[evil.py]",
    "--config-dir=x",
    "hydra.searchpath=[file://x]",
    "experiment=../../../evil",
    "cell=lstm,../evil",
    "hydra.sweeper.params.cell=../evil",
    "cell@callbacks.x=lstm",
    "+../evil=x",
    "optimizer.lr=${oc.env:HOME}",
    r"optimizer.lr=$\{oc.env:HOME\}",  # the same, as Hydra reads it
    r"+callbacks.x=$\{oc.create:$\{y\}\}",
    "hydra/launcher=joblib/../../../evil",
    "hydra/launcher=basic,evil",
    "hydra.sweeper.sampler=tpe,[evil]",
]


@pytest.mark.parametrize("word", CODE)
def test_a_strangers_sweep_is_not_repeated_when_its_command_could_run_code(word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.open_sweep(tmp_path, "s", ["-m", "seed=1,2", word])
    assert main(["sweep", "retry", str(tmp_path)]) == 1
    assert f"is not repeated, because {word!r} in it could run code" in capsys.readouterr().err


def test_harmless_commands_are_repeated(tmp_path: Path) -> None:
    words = ["-m", "cell=rnn,lstm", "cell=choice(gru,lstm)", "wrap=[zoneout]", "seed=1,2", "optimizer.lr=tag(log,interval(1e-4,1e-1))", "data.path=../own.txt"]
    command.check_harmless([*words, "hydra/launcher=joblib", "hydra.sweeper.num_trials=3"], tmp_path, [], tmp_path)
    (tmp_path / "mine.py").write_text(PLUGIN)
    command.check_harmless([f"plugins=[{tmp_path / 'mine.py'}]", "cell=plugin"], tmp_path, [str(tmp_path / "mine.py")], Path("/"))


def test_a_plugin_file_is_the_one_that_the_command_would_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("mine", "theirs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "half.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path / "mine")
    with pytest.raises(ValueError, match=f"--plugin {tmp_path}/theirs/half.py if you trust the file"):
        command.check_harmless(["plugins=[half.py]"], tmp_path, ["half.py"], tmp_path / "theirs")
    command.check_harmless(["plugins=[half.py]"], tmp_path, ["../theirs/half.py"], tmp_path / "theirs")


@pytest.mark.parametrize("name", ["multirun.yaml", "job/train.log", "job"])
def test_a_strangers_sweep_with_a_link_in_it_is_not_repeated(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.open_sweep(tmp_path / "sweep", "s", ["-m", "seed=1"])
    link = tmp_path / "sweep" / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(tmp_path / "mine")
    assert main(["sweep", "retry", str(tmp_path / "sweep")]) == 1
    assert f"has links in it: {name}; expected files" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("name", ["0.json", "command.json"])
@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"argv": 1, "folder": "x"}', "null", "started"])
def test_a_ledger_that_cannot_be_read_is_named(name: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ledger.open_sweep(tmp_path, "s", ["-m"])
    ledger.write_record(tmp_path, ledger.new_record(0, [], "job", "h", "s"))
    whole = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(whole | {"started": None, "argv": None}) if text == "started" else text)
    assert main(["sweep", "retry", str(tmp_path)]) == 1
    assert f"{name} cannot be read" in capsys.readouterr().err


def test_what_was_started_while_prune_asked_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        found.append((tmp_path / name, "failed"))
    answers = iter([found, found[:1]])
    monkeypatch.setattr(command, "to_prune", lambda directory: next(answers))
    assert command.prune_sweep(tmp_path, True) == 0
    assert [(tmp_path / name).is_dir() for name in ("one", "two")] == [False, True]
    assert "two stays" in capsys.readouterr().out


def test_prune_stays_in_the_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.open_sweep(tmp_path / "sweep", "s", ["-m"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "sweep/link").symlink_to(tmp_path / "mine")
    (tmp_path / "sweep/.sweeps/earlier").symlink_to(tmp_path)  # where everything looks like an earlier attempt
    for number, name in enumerate(["../mine", "link", "."]):
        record = ledger.new_record(number, [], name, "h", "s")
        record.state = "failed"
        ledger.write_record(tmp_path / "sweep", record)
    assert main(["sweep", "prune", str(tmp_path / "sweep"), "--yes"]) == 0
    assert (tmp_path / "mine").is_dir()
    assert (tmp_path / "sweep/.sweeps").is_dir()
    shutil.rmtree(tmp_path / "sweep")
    assert main(["sweep", "status", str(tmp_path / "sweep")]) == 1
    assert "does not exist" in capsys.readouterr().err
