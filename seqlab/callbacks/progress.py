"""The progress bar: one line for training, one for the test."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import ProgressBar
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from seqlab.callbacks.record import Record
from seqlab.show import console

BAR = 16  # columns of the terminal
TIMES_AND_SPEED = 30  # 0:00:00 twice, 1,234/s, and what lies between


class Progress(ProgressBar):
    """Batches of the epoch, speed, the training loss last reported and what validation found last.

    The bar moves at most every `interval` seconds, since a small model makes thousands of steps in one; Lightning's own
    bars move with every step. Where the output is no terminal only the finished line is printed.
    """

    def __init__(self, interval: float = 0.1) -> None:
        super().__init__()
        self.interval = interval
        self._bars: Bars | None = None
        self._bar = TaskID(0)
        self._next = 0.0
        self._enabled = True

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        last = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        self._show(f"epoch {trainer.current_epoch + 1}{last}", trainer.num_training_batches)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._move(trainer, batch_idx + 1)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._move(trainer, trainer.fit_loop.epoch_loop.batch_progress.current.completed, at_once=True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "validate":  # while training the bar is that of the epoch
            self._show("validation", sum(trainer.num_val_batches))

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if trainer.state.fn == "validate":
            self._move(trainer, batch_idx + 1, at_once=batch_idx + 1 == sum(trainer.num_val_batches))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._stop()

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._show("test", sum(trainer.num_test_batches))

    def on_test_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._move(trainer, batch_idx + 1, at_once=batch_idx + 1 == sum(trainer.num_test_batches))

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _show(self, description: str, total: float) -> None:
        whole = total if total != float("inf") else None
        if self._bars is None:
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=BAR), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
            texts = (TextColumn("{task.fields[speed]}"), TextColumn("{task.fields[metrics]}"))
            self._bars = Bars(*columns, *texts, console=console, disable=not self._enabled)
            self._bars.start()
            self._bar = self._bars.add_task(description, total=whole, speed="", metrics="")
        else:
            self._bars.reset(self._bar, description=description, total=whole)

    def _move(self, trainer: L.Trainer, completed: int, at_once: bool = False) -> None:
        now = time.monotonic()
        if self._bars is None or (now < self._next and not at_once):
            return
        self._next = now + self.interval
        speed = self._bars.tasks[0].speed
        self._bars.update(self._bar, completed=completed, speed=shown(speed), metrics=self._metrics(trainer))

    def _metrics(self, trainer: L.Trainer) -> str:
        """As many of the metrics reported last as the line has room for; rich would cut the columns before them."""
        record = next((c for c in trainer.callbacks if isinstance(c, Record)), None)  # pyright: ignore[reportAttributeAccessIssue]
        if record is None or trainer.testing or self._bars is None:
            return ""
        task = self._bars.tasks[0]
        room = console.width - len(task.description) - BAR - 2 * len(str(task.total)) - TIMES_AND_SPEED
        words = ""
        for name, value in record.latest().items():
            word = f"{name} {value:.4g}  "
            if len(words) + len(word) > room:
                break
            words += word
        return words.rstrip()

    def _stop(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None


def shown(speed: float | None) -> str:
    """Batches per second, short."""
    if not speed:
        return ""
    return f"{speed:,.0f}/s" if speed >= 100 else f"{speed:.3g}/s"
