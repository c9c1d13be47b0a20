"""Where a training stands, and how Lightning's loops are told so.

Lightning (2.6.6) writes the counters of its loops into a checkpoint as they are at that moment, and guesses from them what
was under way; saved between steps, it skips a validation that was due, or makes one twice. Here the place is said outright.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightning.pytorch as L

RESUME = "resume"  # the key of a checkpoint under which a training's place lies, with all that Lightning does not keep


@dataclass(frozen=True)
class Position:
    """`batch` batches of epoch `epoch` are done, and the validation that is due after them too, unless `validated` is false.

    total: batches done in all epochs. last: this batch is the last of its epoch. An epoch that has ended is batch 0 of the next.
    """

    epoch: int
    batch: int
    total: int
    validated: bool = True
    last: bool = False

    @classmethod
    def of(cls, trainer: L.Trainer, epoch_ended: bool, validated: bool = True) -> Position:
        """Between two batches. epoch_ended: the hooks of the epoch's end are running."""
        epochs, progress = trainer.fit_loop.epoch_progress, trainer.fit_loop.epoch_loop.batch_progress
        epoch: int = epochs.current.processed  # pyright: ignore[reportAttributeAccessIssue]
        total: int = progress.total.processed  # pyright: ignore[reportAttributeAccessIssue]
        done: int = progress.current.processed  # pyright: ignore[reportAttributeAccessIssue]
        if not epoch_ended:
            return cls(epoch, done, total, validated, progress.is_last_batch)
        return cls(epoch, 0, total) if progress.is_last_batch else cls(epoch - 1, done, total)

    def write_into(self, fit_loop: dict[str, Any]) -> None:
        """Make the state of Lightning's fit loop that of this position."""
        begun = self.epoch + (self.batch > 0)
        for part in fit_loop["epoch_progress"].values():
            part.update(ready=begun, started=begun, processed=self.epoch, completed=self.epoch)
        batches = fit_loop["epoch_loop.batch_progress"]
        batches["is_last_batch"] = self.last
        for part, done in (("total", self.total), ("current", self.batch)):
            batches[part].update(ready=done, started=done, processed=done, completed=done)
        validation = fit_loop["epoch_loop.val_loop.batch_progress"]
        for part in ("total", "current"):
            validation[part].update(ready=0, started=0, processed=0, completed=0)
        if not self.validated:  # how a validation looks that was stopped in its first batch; Lightning then makes it from there
            validation["total"].update(ready=1, started=1)


def validation_due(trainer: L.Trainer) -> bool:
    """Whether a validation follows the training batch that has just ended."""
    loop = trainer.fit_loop
    assert loop._data_fetcher is not None
    return loop.epoch_loop._should_check_val_fx(loop._data_fetcher)
