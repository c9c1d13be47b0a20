"""Ctrl-C at every place a run can be in."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback

from seqlab.callbacks.interrupt import Interrupted, StopOnInterrupt
from tests.train.conftest import Run


class Press(Callback):
    """Sends SIGINT `times` times when `hook` is called for the `call`-th time."""

    def __init__(self, hook: str, call: int, times: int = 1) -> None:
        self.calls = 0
        self.went_on = False  # past the signals

        def press(*arguments: Any) -> None:
            self.calls += 1
            if self.calls == call:
                for _ in range(times):
                    os.kill(os.getpid(), signal.SIGINT)
                self.went_on = True

        setattr(self, hook, press)


@pytest.fixture
def interrupted(run: Callable[..., Run], tmp_path: Path) -> Callable[..., tuple[Run, Press]]:
    def start(press: Press, *overrides: str) -> tuple[Run, Press]:
        handler = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt, match=r"interrupted at step \d+; what was trained is in"):
            run("trainer.max_epochs=2", *overrides, directory=tmp_path / "run", watch=press)
        assert signal.getsignal(signal.SIGINT) is handler
        stopped = Run(tmp_path / "run", None)
        assert stopped.summary["status"] == "interrupted"
        return stopped, press

    return start


def test_in_a_step_the_step_is_finished_and_saved(interrupted: Callable[..., tuple[Run, Press]]) -> None:
    run, press = interrupted(Press("on_before_backward", 3))
    assert press.went_on
    assert run.summary["steps"] == run.checkpoint("last")["global_step"] == 3
    assert [int(row["step"]) for row in run.rows] == [1, 2, 3]


def test_what_was_saved_goes_on_as_if_nothing_had_happened(interrupted: Callable[..., tuple[Run, Press]], run: Callable[..., Run]) -> None:
    options = ["optimizer=adam", "trainer.precision=64-true"]
    stopped, _ = interrupted(Press("on_before_backward", 6), *options)  # the end of the first epoch
    whole = run(*options, "trainer.max_epochs=2")
    rest = run(*options, "trainer.max_epochs=2", f"ckpt_path={stopped.directory}/checkpoints/last.ckpt")
    for name, value in whole.checkpoint("last")["state_dict"].items():
        assert torch.equal(rest.checkpoint("last")["state_dict"][name], value)


@pytest.mark.parametrize("epoch", [1, 2])
def test_in_a_validation_the_validation_is_finished_and_saved(epoch: int, interrupted: Callable[..., tuple[Run, Press]]) -> None:
    run, press = interrupted(Press("on_validation_batch_start", epoch), "callbacks=[default,ema]")
    assert press.went_on
    assert run.summary["steps"] == run.checkpoint("last")["global_step"] == 6 * epoch
    assert len(run.column("val/loss")) == epoch
    assert "test/loss" not in run.summary["metrics"]


def test_the_second_stops_at_once_and_keeps_what_is_saved(interrupted: Callable[..., tuple[Run, Press]]) -> None:
    run, press = interrupted(Press("on_before_backward", 8, times=2))
    assert not press.went_on
    assert run.checkpoint("last")["global_step"] == 6
    assert run.summary["steps"] == 7


def test_in_the_test_it_stops_at_once(interrupted: Callable[..., tuple[Run, Press]]) -> None:
    run, press = interrupted(Press("on_test_batch_start", 1))
    assert not press.went_on
    assert run.checkpoint("last")["global_step"] == 12


def test_at_the_end_of_training_it_is_not_forgotten(interrupted: Callable[..., tuple[Run, Press]]) -> None:
    run, press = interrupted(Press("on_fit_end", 1))
    assert press.went_on
    assert run.checkpoint("last")["global_step"] == 12
    assert "test/loss" not in run.summary["metrics"]


def test_the_handlers_are_ours_from_the_first_hook_to_the_last(run: Callable[..., Run]) -> None:
    """Lightning's would send a message to the other ranks in the middle of another one."""
    found = []

    class Look(Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            found.append(signal.getsignal(signal.SIGTERM))

        on_validation_end = on_test_start = on_test_end = on_train_start

    run(watch=Look())
    assert len(found) == 4
    assert all(getattr(handler, "__func__", None) is StopOnInterrupt._receive for handler in found)


def test_a_signal_that_comes_while_the_ranks_agree_waits_for_the_next_step() -> None:
    """Else one of them stops alone, and the others wait for it for ever."""
    stop = StopOnInterrupt()

    def agree(asked: bool, all: bool) -> bool:
        stop.received = signal.SIGINT
        return asked

    trainer: Any = SimpleNamespace(world_size=2, strategy=SimpleNamespace(reduce_boolean_decision=agree))
    assert stop._asked(trainer) is None
    assert stop._asked(trainer) == signal.SIGINT


def test_a_signal_of_another_rank_stops_this_one_too() -> None:
    stop = StopOnInterrupt()
    trainer: Any = SimpleNamespace(world_size=2, strategy=SimpleNamespace(reduce_boolean_decision=lambda asked, all: True))
    assert stop._asked(trainer) == signal.SIGTERM
    with pytest.raises(Interrupted):
        stop.on_train_end(trainer, SimpleNamespace())  # type: ignore[arg-type]


def test_after_a_step_the_ranks_stop_by_what_they_told_each_other_and_not_by_what_came_since() -> None:
    stop = StopOnInterrupt()
    trainer: Any = SimpleNamespace(world_size=2, is_last_batch=False, fit_loop=SimpleNamespace(_data_fetcher=1))
    trainer.fit_loop.epoch_loop = SimpleNamespace(_should_check_val_fx=lambda fetcher: False)
    task: Any = SimpleNamespace()
    stop.received = signal.SIGINT  # after the message of this step: the others do not know
    stop.on_train_batch_end(trainer, task, {"agreed": {"stop": False}}, None, 0)
    with pytest.raises(Interrupted, match="SIGINT"):
        stop.on_train_batch_end(trainer, task, {"agreed": {"stop": True}}, None, 1)
