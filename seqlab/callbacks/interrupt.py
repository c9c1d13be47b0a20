"""Ctrl-C: finish the step, save, stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as L

MESSAGE = b"\nstopping after this step or validation, then saving; press Ctrl-C again to stop at once\n"


class Interrupted(BaseException):
    """The user asked the run to stop. No Exception, so that nothing on the way takes it for a failure of its own.

    between_steps: the weights and the optimizer are those of a whole step and may be saved.
    """

    def __init__(self, signal_number: int, between_steps: bool) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number
        self.between_steps = between_steps


class StopOnInterrupt(L.Callback):
    """While `listening`, the first Ctrl-C lets the training step or validation under way finish and then raises Interrupted;
    the second does so at once, and outside training the first.

    Without it a Ctrl-C falls into the middle of a step, with half of the weights changed, and Lightning ends the process
    with status 1.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.training = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Not from a hook: Lightning puts back, after the hooks, the handlers it found before them."""
        if threading.current_thread() is not threading.main_thread():  # where Python delivers no signals
            yield
            return
        before = signal.signal(signal.SIGINT, self._receive)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.training = True

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.training = False

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._stop_if_asked()

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        self._stop_if_asked()  # after a validation, whose checkpoints are saved now

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self.received is not None:
            raise Interrupted(self.received, between_steps=True)

    def _receive(self, signal_number: int, frame: Any) -> None:
        if not self.training or self.received is not None:
            raise Interrupted(signal_number, between_steps=False)
        self.received = signal_number
        os.write(2, MESSAGE)  # not print: the signal may have come in the middle of one
