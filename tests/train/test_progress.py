"""The line that moves while a run trains, and what is printed above it."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from seqlab import show
from seqlab import train as training
from seqlab.callbacks import progress
from seqlab.sweep.ledger import Record
from seqlab.sweep.table import jobs_table
from seqlab.tasks import BitLabelling
from tests.train.conftest import Run


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Console]:
    """screen(width) puts a terminal of that width in the place of the real one."""

    def make(width: int) -> Console:
        console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False)
        for module in (show, progress):
            monkeypatch.setattr(module, "console", console)
        return console

    return make


def lines(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().replace("\r", "\n").split("\n")]


@pytest.mark.parametrize(("width", "metrics"), [(80, 1), (100, 2), (160, 4)])
def test_the_line_holds_as_many_metrics_as_fit(width: int, metrics: int, screen: Callable[[int], Console], run: Callable[..., Run]) -> None:
    console = screen(width)
    run("trainer.enable_progress_bar=true", "trainer.max_epochs=2", "callbacks.progress.interval=0")
    last = [line for line in lines(console) if "epoch 2/2" in line and "6/6" in line][-1]
    assert [name in last for name in ("train/loss", "val/loss", "val/bit_accuracy", "val/exact_match")] == [n < metrics for n in range(4)]
    assert any("test" in line and "1/1" in line for line in lines(console))


def test_no_bar_where_none_is_wanted(screen: Callable[[int], Console], run: Callable[..., Run]) -> None:
    console = screen(100)
    run("trainer.enable_progress_bar=false")
    assert not any("epoch" in line for line in lines(console))


def test_log_lines_are_printed_whole_and_unchanged(screen: Callable[[int], Console]) -> None:
    console = screen(20)
    logger = logging.Logger("test")
    logger.addHandler(show.ConsoleHandler())
    logger.info("a line with [brackets] and 12 numbers, longer than the terminal")
    assert lines(console)[0] == "a line with [brackets] and 12 numbers, longer than the terminal"


def test_brackets_in_what_is_shown_are_no_markup(
    screen: Callable[[int], Console], run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BitLabelling, "closing_lines", lambda self, data: ["a text with [/b] and [red]"])
    monkeypatch.setattr(training, "console", screen(120))
    run()
    jobs = [Record(0, ["a=1", "wrap=[/b]"], "first", "", state="finished", metric=0.5), Record(1, ["a=1", "wrap=[c]"], "second", "", state="failed")]
    show.console.print(jobs_table(tmp_path, jobs))
    shown = lines(show.console)
    assert "a text with [/b] and [red]" in shown
    assert any("wrap=[/b]" in line and "0.5" in line and "a=1" not in line for line in shown)
