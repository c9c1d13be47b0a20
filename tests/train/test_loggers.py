"""Where metrics go, and that wandb never gets in the way of a training."""

from __future__ import annotations

import socket
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seqlab import loggers
from seqlab.metrics_file import MetricsFile
from seqlab.resume import resumed_config
from seqlab.train import train
from tests.train.conftest import Run, small_config


@pytest.mark.parametrize("logger", ["csv", "none"])
def test_metrics_csv_is_written_whichever_logger_is_chosen(logger: str, run: Callable[..., Run]) -> None:
    done = run(f"logger={logger}")
    assert len(done.column("train/loss")) == 6


def test_tensorboard_holds_what_metrics_csv_holds(run: Callable[..., Run]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = run("logger=tensorboard", "trainer.max_epochs=2")
    events = EventAccumulator(str(done.directory / "tensorboard"))
    events.Reload()
    assert done.rows[-1]["test/loss"]
    assert sorted({row["epoch"] for row in done.rows}) == ["0", "1"]  # the test shares the row of the last validation, and is in its epoch
    for name in ("train/loss", "val/loss", "learning_rate", "test/exact_match"):
        rows = {int(row["step"]): float(row[name]) for row in done.rows if row[name]}
        assert {event.step: event.value for event in events.Scalars(name)} == pytest.approx(rows, rel=1e-6)  # event files hold float32


@pytest.fixture
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def grumpy_server() -> Iterator[str]:
    """A server that answers everything with an error."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.0 403 Forbidden\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_wandb_is_offline_without_a_key(no_key: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "seqlab"):
        assert loggers.choose_mode(1.0) == "offline"
    assert "there is no key" in caplog.text


def test_a_key_is_looked_for_where_wandb_looks(no_key: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine api.example.org login user password secret\n")
    assert loggers.has_key("https://api.example.org")
    assert not loggers.has_key("https://api.wandb.ai")
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    assert loggers.has_key("https://api.wandb.ai")


def test_wandb_is_offline_when_the_server_is_silent(no_key: None, silent_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    monkeypatch.setenv("WANDB_BASE_URL", silent_server)
    started = time.perf_counter()
    assert loggers.choose_mode(0.3) == "offline"
    assert time.perf_counter() - started < 5


def test_a_silent_name_server_is_not_waited_for(no_key: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking up a name keeps no timeout."""
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    stuck = threading.Event()

    def look_up(*arguments: Any, **options: Any) -> None:
        stuck.wait(60)
        raise OSError("no such name")

    monkeypatch.setattr(loggers.urllib.request, "urlopen", look_up)
    started = time.perf_counter()
    assert loggers.choose_mode(0.3) == "offline"
    assert time.perf_counter() - started < 30
    stuck.set()


def test_wandb_is_online_with_a_key_and_a_server(no_key: None, grumpy_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    monkeypatch.setenv("WANDB_BASE_URL", grumpy_server)
    assert loggers.choose_mode(5.0) == "online"


class FakeWandb(types.ModuleType):
    """Stands where wandb is imported; `breaks` names the call that fails."""

    def __init__(self, breaks: str = "") -> None:
        super().__init__("wandb")
        self.breaks, self.logged, self.started, self.finished = breaks, [], {}, []

    def Settings(self, **settings: Any) -> dict[str, Any]:
        return settings

    def init(self, **options: Any) -> FakeWandb:
        self._fail("init")
        self.started = options
        return self

    def define_metric(self, *names: Any, **options: Any) -> None:
        pass

    def log(self, metrics: dict[str, float]) -> None:
        self._fail("log")
        self.logged.append(metrics)

    def finish(self, exit_code: int) -> None:
        self._fail("finish")
        self.finished.append(exit_code)

    def _fail(self, call: str) -> None:
        if call == self.breaks:
            raise RuntimeError("the cat sits on the cable")


def test_wandb_is_told_everything(no_key: None, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    done = run("logger=wandb", "tags=[a]", "logger.wandb.project=mine")
    assert (fake.started["mode"], fake.started["project"], fake.started["tags"]) == ("offline", "mine", ["a"])
    assert fake.started["config"]["cell"]["hidden_size"] == 16
    assert [row["train/loss"] for row in fake.logged if "train/loss" in row] == done.column("train/loss")
    assert [row["step"] for row in fake.logged if "test/loss" in row] == [6]  # the test comes after Lightning has closed the loggers
    assert fake.finished == [0]


def test_a_run_that_is_resumed_is_the_same_run_there(no_key: None, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    done, other = run("logger=wandb"), run("logger=wandb", "seed=1")
    second = fake.started["id"]
    train(resumed_config(done.directory, small_config(), []), done.directory, [], resuming=True)
    assert fake.started["id"] == (done.directory / "wandb_id.txt").read_text() != second == (other.directory / "wandb_id.txt").read_text()


@pytest.mark.parametrize("breaks", ["init", "log", "finish"])
def test_a_failure_of_wandb_is_said_and_the_training_goes_on(
    breaks: str, no_key: None, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", FakeWandb(breaks))
    done = run("logger=wandb")
    assert done.summary["status"] == "finished"
    assert len(done.column("train/loss")) == 6
    assert caplog.text.count("the cat sits on the cable") == 1


@pytest.mark.slow
def test_the_real_wandb_writes_offline(no_key: None, run: Callable[..., Run]) -> None:
    done = run("logger=wandb")
    assert len(list((done.directory / "wandb").glob("offline-run-*/*.wandb"))) == 1


def test_metrics_csv_is_whole_at_any_moment(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.csv")
    file.log_metrics({"epoch": 0, "a": 1.0}, step=1)
    file.log_metrics({"a": 2.0}, step=2)
    assert (tmp_path / "metrics.csv").read_text() == "epoch,step,a\n0,1,1.0\n"
    file.log_metrics({"b": 3.0}, step=2)  # the same row, and a new column
    file.log_metrics({"a": 4.0}, step=3)
    assert (tmp_path / "metrics.csv").read_text() == "epoch,step,a,b\n0,1,1.0,\n,2,2.0,3.0\n"
    file.finalize("success")
    assert (tmp_path / "metrics.csv").read_text() == "epoch,step,a,b\n0,1,1.0,\n,2,2.0,3.0\n,3,4.0,\n"
    file.log_metrics({"b": 5.0}, step=3)  # the test, of the last step
    file.save()
    assert (tmp_path / "metrics.csv").read_text() == "epoch,step,a,b\n0,1,1.0,\n,2,2.0,3.0\n,3,4.0,5.0\n"
