"""Ctrl-C, and the signals with which a machine takes itself back: finish the step, save, stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as L

from seqlab.callbacks.position import validation_due
from seqlab.ranks.group import is_first
from seqlab.tasks import Task

MESSAGE = b"\nstopping after this step or validation, then saving; press Ctrl-C again to stop at once\n"
STOP = "stop"  # the question to all processes
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)  # the last is what SLURM sends before the time is up, with --signal=USR1@60


class Interrupted(BaseException):
    """The run was asked to stop. No Exception, so that nothing on the way takes it for a failure of its own.

    between_steps: the weights and the optimizer are those of a whole step, and are to be saved. validation_due: a validation
    would have followed that step.
    """

    def __init__(self, signal_number: int, between_steps: bool = False, validation_due: bool = False) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number
        self.between_steps = between_steps
        self.validation_due = validation_due


class StopOnInterrupt(L.Callback):
    """While `listening`, the first signal lets the training step or validation under way finish and then raises Interrupted;
    the second does so at once, and outside training the first. A step after which a validation is due is saved without it:
    the run that goes on begins with the validation.

    Without it a Ctrl-C falls into the middle of a step, with half of the weights changed, and Lightning ends the process
    with status 1; after SIGTERM it ends with status 0 and saves nothing.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.training = False
        self._saved = False  # the signal came before the hooks in which checkpoints are saved

    @contextmanager
    def listening(self) -> Iterator[None]:
        """From before the first hook until after the last."""
        if threading.current_thread() is not threading.main_thread():  # where Python delivers no signals
            yield
            return
        before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        assert isinstance(pl_module, Task)
        pl_module.asked_of_all[STOP] = lambda: self.received is not None
        # Lightning (2.6.6) puts a handler before ours that sends a message to the other ranks, whatever they are at, and asks the first
        # rank before every step for a SIGTERM, in a message of its own; the handlers are ours
        trainer._signal_connector.register_signal_handlers = lambda: None
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.training = True

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.received is not None:  # it came when the training had just ended
            raise Interrupted(self.received)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.training = False

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        received = self.received if trainer.world_size == 1 else self._agreed(outputs["agreed"][STOP])
        if received is None:
            return
        due = validation_due(trainer)
        if due or not trainer.is_last_batch:  # else the end of the epoch follows at once
            raise Interrupted(received, between_steps=True, validation_due=due)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._saved = self._asked(trainer) is not None

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._saved = self._asked(trainer) is not None

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        if self._saved and self.received is not None:
            raise Interrupted(self.received)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if (received := self._asked(trainer)) is not None:
            raise Interrupted(received)

    def _asked(self, trainer: L.Trainer) -> int | None:
        """The signal that came, to any of the processes: each has to stop after the same step. One that comes while they agree waits for the next step."""
        if trainer.world_size == 1:
            return self.received
        return self._agreed(trainer.strategy.reduce_boolean_decision(self.received is not None, all=False))

    def _agreed(self, stop: bool) -> int | None:
        if not stop:
            return None
        self.received = self.received or signal.SIGTERM
        return self.received

    def _receive(self, signal_number: int, frame: Any) -> None:
        if not self.training or self.received is not None:
            raise Interrupted(signal_number)
        self.received = signal_number
        if is_first():
            os.write(2, MESSAGE)  # not print: the signal may have come in the middle of one
