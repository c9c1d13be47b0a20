"""A job and its ranks: how it ends for each way in which they can end. torchrun is a fake here; tests/ranks/test_jobs.py has the real one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seqlab.job_errors import RankError, explain_job, from_plain, to_plain
from seqlab.ranks import launch as launching
from seqlab.ranks.launch import Job, command, environment, launch, result
from seqlab.ranks.worker import JOB, is_running, processes, stop
from tests.ranks import fake_torchrun
from tests.ranks.fake_torchrun import ERROR

JOB_OF_A_TEST = Job("seed: 0\n", "run", ["seed=0"], False, {"version": 1})
Launch = Callable[..., float | None]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launch]:
    """start("returns", "fails") launches ranks that do so; afterwards none of them is there, nor their folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    begun: list[int] = []

    def watched(folder: Path) -> dict[int, int]:
        found = processes(folder)
        begun.extend(found.values())
        return found

    monkeypatch.setattr(launching, "processes", watched)

    def run(*behaviours: str) -> float | None:
        words = [sys.executable, "-S", "-E", fake_torchrun.__file__]
        monkeypatch.setattr(launching, "command", lambda folder, number: [*words, str(folder), *behaviours])
        return launch(JOB_OF_A_TEST, len(behaviours))

    yield run
    deadline = time.monotonic() + 5  # the last is a zombie until its parent is gone too
    while any(is_running(process) for process in begun) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [process for process in begun if is_running(process)] == []
    assert list(tmp_path.iterdir()) == []


def test_the_result_is_that_of_the_first_rank(start: Launch) -> None:
    assert start("returns", "returns") == 0.0


def test_the_error_of_a_rank_is_the_job_s_and_ends_the_others(start: Launch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RankError, match="no file is there") as failed:
        start("stops", "fails")
    assert "Traceback of the rank" in str(failed.value.__cause__)
    assert explain_job(failed.value).startswith("no file is there (a note)")
    assert capsys.readouterr().err == ""


def test_a_rank_that_is_killed_ends_the_job(start: Launch) -> None:
    with pytest.raises(RankError, match=r"rank 1 of 2 was killed by SIGKILL, and the others were stopped\. For want of memory, perhaps"):
        start("stops", "dies")


def test_ranks_that_do_not_end_are_killed(start: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "GRACE", 0.2)
    began = time.monotonic()
    with pytest.raises(RankError, match="no file is there"):
        start("sleeps", "fails")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_is_passed_on_and_is_the_job_s_end(number: signal.Signals, start: Launch) -> None:
    before = signal.getsignal(number)
    threading.Timer(0.3, os.kill, (os.getpid(), number)).start()
    with pytest.raises(SystemExit) as stopped:
        start("stops", "stops")
    assert stopped.value.code == 128 + number
    assert signal.getsignal(number) is before


FAILED = {"error": ERROR, "at": 2.0}


@pytest.mark.parametrize(
    ("outcomes", "failures", "received", "said"),
    [
        ({0: FAILED, 1: {"error": {**ERROR, "message": "the first"}, "at": 1.0}}, {0: 1}, [], "the first"),
        ({0: FAILED}, {0: 1, 1: -9}, [], "rank 1 of 2 was killed by SIGKILL"),  # rank 0 misses rank 1
        ({0: {"exit": 143, "at": 1.0}}, {1: -11}, [], "rank 1 of 2 was killed by SIGSEGV"),  # and is ended by torchrun
        ({}, {0: -15, 1: -9}, [], "rank 1 of 2 was killed by SIGKILL"),
        ({}, {1: 3}, [], "rank 1 of 2 ended with status 3 and said nothing"),
        ({}, {}, [], "the 2 ranks ended without a result"),
        ({0: FAILED}, {0: 1}, [signal.SIGTERM], "no file is there"),  # while it saved
    ],
)
def test_which_failure_is_told(outcomes: dict[int, dict[str, object]], failures: dict[int, int], received: list[int], said: str) -> None:
    with pytest.raises(RankError) as failed:
        result(outcomes, failures, received, 2)
    assert str(failed.value).startswith(said)


def test_a_rank_that_was_seen_to_be_gone_is_told_though_torchrun_did_not_come_to_tell() -> None:
    with pytest.raises(RankError, match="rank 1 of 2 ended and said nothing"):
        result({0: FAILED}, {}, [], 2, [1])


def test_ranks_that_torchrun_does_not_come_to_tell_of(start: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "GRACE", 0.2)
    with pytest.raises(RankError, match="rank 1 of 2 ended and said nothing"):
        start("sleeps", "dies")


def test_a_result_and_a_stop_are_no_failures() -> None:
    assert result({0: {"value": None, "at": 1.0}}, {1: 1}, [], 2) is None
    for outcomes, failures, received, status in (
        ({0: {"exit": 138, "at": 1.0}, 1: FAILED}, {}, [signal.SIGUSR1], 138),
        ({1: FAILED}, {0: -15}, [signal.SIGTERM], 143),  # before it could listen
        ({0: {"exit": 143, "at": 1.0}}, {}, [], 143),  # the signal was sent to the rank itself
    ):
        with pytest.raises(SystemExit) as stopped:
            result(outcomes, failures, received, 2)
        assert stopped.value.code == status
    with pytest.raises(KeyboardInterrupt, match="interrupted at step 3"):
        result({0: {"interrupt": "interrupted at step 3", "at": 1.0}}, {}, [signal.SIGINT], 2)


def test_an_error_crosses_to_another_process_whole() -> None:
    try:
        raise KeyError("weight")
    except KeyError as error:
        error.add_note("(of the encoder)")
        plain = json.loads(json.dumps(to_plain(error)))
    there = from_plain(plain)
    assert str(there) == "KeyError: 'weight'"
    assert not there.foreseen
    assert there.__notes__ == ["(of the encoder)"]
    assert "test_launch.py" in str(there.__cause__)
    assert from_plain(to_plain(ValueError("x has shape (4,)"))).foreseen


def test_torchrun_is_started_for_this_seqlab_and_each_rank_has_its_cores(tmp_path: Path) -> None:
    assert command(tmp_path, 3)[1:] == ["-m", "seqlab.ranks.agent", str(tmp_path), str(os.getpid()), "3"]
    assert environment(1, {"OMP_NUM_THREADS": "5"})["OMP_NUM_THREADS"] == "5"
    assert environment(10_000, {})["OMP_NUM_THREADS"] == "1"
    first = environment(2, {"PYTHONPATH": "mine"})["PYTHONPATH"].split(os.pathsep)
    assert first == [str(Path(launching.__file__).parents[2]), "mine"]


def test_ranks_import_nothing_from_the_folder_that_one_is_in(tmp_path: Path) -> None:
    """It may be that of a stranger's run, or of the sweep that is repeated."""
    (tmp_path / "seqlab").mkdir()
    for file in (tmp_path / "seqlab/__init__.py", tmp_path / "json.py"):
        file.write_text("open('imported', 'w')\n")
    ended = subprocess.run(command(tmp_path, 1)[:3], cwd=tmp_path, env=environment(1), capture_output=True, text=True, check=False)
    assert "IndexError" in ended.stderr, "the agent of this seqlab, without its arguments"
    assert not (tmp_path / "imported").exists()


def test_the_ranks_read_the_config_as_it_was_resolved(start: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    watch = launching.Ranks.watch
    monkeypatch.setattr(launching.Ranks, "watch", lambda ranks, agent: (seen.append(json.loads((ranks.folder / JOB).read_text())), watch(ranks, agent))[1])
    start("returns")
    assert {"config": "seed: 0\n", "directory": "run", "overrides": ["seed=0"], "resuming": False, "path": sys.path}.items() <= seen[0].items()


def test_torchrun_s_signal_lets_a_rank_write_its_records(tmp_path: Path) -> None:
    (tmp_path / "0.pid").write_text(str(os.getpid()))
    with pytest.raises(SystemExit):  # the job's own
        stop(tmp_path, signal.SIGTERM)
    (tmp_path / "1.pid").write_text(str(2**22 + 1))  # no process has this number
    stop(tmp_path, signal.SIGTERM)
