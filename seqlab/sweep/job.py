"""One job of a sweep, around its training: found done, or claimed, recorded, and its end recorded."""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from seqlab import run_directory
from seqlab.sweep.job_hash import job_hash
from seqlab.sweep.ledger import DONE, InUse, Record, last_record, locked, new_record, open_sweep, read_summary, set_aside, write_record

log = logging.getLogger("seqlab")
started: list[tuple[Path, Path]] = []  # (directory, folder in its ledger) of the sweeps that this process began


class SweepStart(Callback):
    """Hydra's callback that opens the ledger. id: of the sweep, the same in all its jobs, wherever they run."""

    def __init__(self, id: str) -> None:
        self.id = id

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        directory = Path(config.hydra.sweep.dir).absolute()
        started.append((directory, open_sweep(directory, self.id, sys.argv[1:])))


def run_job(config: DictConfig, train: Callable[[bool], float | None], explain: Callable[[Exception], str]) -> Record:
    """Train the job that Hydra has begun, or take over the result of one that is done. Returns its record, that of a failed job too.

    train: is told whether the job goes on from the checkpoints of an attempt that was stopped or killed. explain: what is
    wrong, in words. What is no Exception, such as Ctrl-C, is recorded and raised.
    """
    hydra: Any = HydraConfig.get()
    sweep_directory, directory = Path(hydra.sweep.dir).absolute(), Path(hydra.runtime.output_dir)
    name = os.path.relpath(directory, sweep_directory)
    record = new_record(hydra.job.num, list(hydra.overrides.task), name, job_hash(config), hydra.callbacks.sweep.id)
    record.monitor = str(config.monitor)
    try:
        with locked(sweep_directory, name):
            _take_over_or_train(sweep_directory, directory, record, train)
    except Exception as error:
        record.state, record.message = "failed", explain(error)
        if isinstance(error, InUse):
            record.started = 0.0  # never: what is known of the job is the record of the process that trains it
    except BaseException:
        record.state = "interrupted"
        raise
    finally:
        write_record(sweep_directory, record)
    return record


def _take_over_or_train(sweep_directory: Path, directory: Path, record: Record, train: Callable[[bool], float | None]) -> None:
    """Fill the record of a job that this process holds."""
    before = last_record(sweep_directory, record.directory)
    own = record.hash == (before.hash if before is not None else record.directory)  # else train() refuses the directory of another job
    if not own and (directory / run_directory.CONFIG).exists():
        record.started = 0.0  # never, as train() says: the directory stays that of the job before
    found = read_summary(directory) if own else None
    if found is not None and found["status"] in DONE:
        record.state, record.reused, record.metric = found["status"], True, found["monitor_value"]
        log.info(f"job {record.number} ({' '.join(record.overrides)}) is {record.state} already: {record.monitor} {record.metric}, in {directory}")
        return
    goes_on = own and before is not None and before.state != "failed" and any((directory / run_directory.CHECKPOINTS).glob("*.ckpt"))
    if own and not goes_on and any(directory.iterdir()):
        place = set_aside(sweep_directory, record.directory)
        directory.mkdir()  # before the first line, for the log is in it
        log.info(f"job {record.number}: what an unfinished attempt left is set aside, in {place}")
    write_record(sweep_directory, record)
    value = train(goes_on)
    ended = read_summary(directory)
    record.state = ended["status"] if ended is not None else "finished"
    record.metric = value if value is not None and math.isfinite(value) else None


def names(records: Sequence[Record]) -> str:
    """job 0 (overrides), job 3 (overrides)."""
    return ", ".join(f"job {record.number} ({' '.join(record.overrides)})" for record in records)
