"""Ctrl-C: finish the step, save, stop."""

from __future__ import annotations

import signal
import threading
from typing import Any

import lightning.pytorch as L

from seqlab.show import console


class Interrupted(BaseException):
    """The user asked the run to stop. No Exception, so that nothing on the way takes it for a failure of its own.

    between_steps: the weights and the optimizer are those of a whole step and may be saved.
    """

    def __init__(self, signal_number: int, between_steps: bool) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number
        self.between_steps = between_steps


class StopOnInterrupt(L.Callback):
    """The first Ctrl-C lets the step or validation under way finish and then raises Interrupted; the second does so at once.

    While testing, when everything is saved already, the first does so at once. Without it a Ctrl-C falls into the middle
    of a step, with half of the weights changed, and Lightning ends the process with status 1.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: Any = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if threading.current_thread() is threading.main_thread() and self._before is None:
            self.received = None
            self._before = signal.signal(signal.SIGINT, self._remember if stage == "fit" else self._stop)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._restore()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._restore()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.received is not None:
            raise Interrupted(self.received, between_steps=True)

    def _remember(self, signal_number: int, frame: Any) -> None:
        if self.received is not None:
            self._stop(signal_number, frame)
        self.received = signal_number
        console.print("\nstopping after this step or validation, then saving; press Ctrl-C again to stop at once")

    def _stop(self, signal_number: int, frame: Any) -> None:
        raise Interrupted(signal_number, between_steps=False)

    def _restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
