"""How a run that did not end by itself ends the process."""

from __future__ import annotations

import errno
import logging
import os
import re
import signal
import subprocess
from pathlib import Path

from seqlab.callbacks.interrupt import Interrupted
from seqlab.checkpoint import free_space
from seqlab.command_errors import say
from seqlab.ranks.group import is_first
from seqlab.run_directory import CHECKPOINTS

log = logging.getLogger("seqlab")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
REFUSED = re.compile(r"(\S+) does not have a deterministic implementation")


def stopped(interruption: Interrupted, step: int, directory: Path) -> BaseException:
    """What to raise for a run that a signal stopped: KeyboardInterrupt for Ctrl-C, else SystemExit with 128 + the signal's number.

    SIGUSR1 inside a SLURM job puts the job into the queue again first.
    """
    number = interruption.signal_number
    if number == signal.SIGINT:
        return KeyboardInterrupt(f"interrupted at step {step}; what was trained is in {directory}. Go on with `seqlab train resume={directory}`.")
    if not is_first():  # of several ranks the first speaks
        return SystemExit(128 + number)
    name = signal.Signals(number).name
    say("seqlab train", f"{name} at step {step}; what was trained is in {directory}. Go on with `seqlab train resume={directory}`.")
    if number == signal.SIGUSR1 and (job := slurm_job()):
        requeue(job)
    return SystemExit(128 + number)


def slurm_job() -> str | None:
    """The number of the SLURM job that we are, of an array with the task's; None outside SLURM."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def requeued() -> bool:
    """Whether SLURM has started this job before."""
    return slurm_job() is not None and int(os.environ.get("SLURM_RESTART_COUNT") or 0) > 0


def requeue(job: str) -> None:
    """Put a SLURM job into the queue again. Where that fails it is said, and the run can be resumed by hand."""
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
    except OSError as error:
        log.error("the SLURM job %s was not put into the queue again: scontrol cannot be run (%s)", job, error.strerror)
        return
    if done.returncode:
        log.error("the SLURM job %s was not put into the queue again: scontrol says %s", job, (done.stderr or done.stdout).strip())
    else:
        log.info("the SLURM job %s is in the queue again", job)


def explained(error: RuntimeError | OSError, directory: Path) -> Exception | None:
    """The error with what to do, when it is one of a full disk or of an operation that trainer=deterministic refuses; else None."""
    if isinstance(error, OSError):
        if error.errno not in NO_ROOM or "resume=" in str(error):
            return None
        return OSError(
            error.errno,
            f"{error.filename or directory} cannot be written: {error.strerror}; {free_space(directory / CHECKPOINTS)}. What was saved is whole. "
            f"Free some space or allow writing, then go on with `seqlab train resume={directory}`.",
        )
    found = REFUSED.search(str(error))
    if found is None:
        return None
    return ValueError(
        f"the operation {found[1]} has no deterministic implementation on this device, and trainer.deterministic is true. "
        "Choose another cell, layer or executor, train on the CPU, or give trainer.deterministic=false."
    )
