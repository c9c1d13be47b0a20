"""One torchrun for one job. The process that is the job starts it, passes signals on, and ends as its ranks end: with rank 0's
result, with the error of the rank that failed first, or stopped. It trains nothing, so that a sweep goes on whatever becomes of them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seqlab.job_errors import RankError, from_plain
from seqlab.ranks.agent import FAILURES
from seqlab.ranks.worker import JOB, gone, is_running, processes
from seqlab.run_directory import write

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
GRACE = 10.0  # seconds that ranks have to end once one of them has
INTERVAL = 0.05  # seconds between two looks


@dataclass(frozen=True)
class Job:
    """What all ranks train: the arguments of `seqlab.train.train`, the config resolved and as YAML; Hydra's settings for the log."""

    config: str
    directory: str
    overrides: Sequence[str]
    resuming: bool
    logging: dict[str, Any]
    verbose: Any = False


def launch(job: Job, number: int) -> float | None:
    """Train with `number` ranks on this machine. Returns what `train` returns in rank 0.

    Raises RankError when a rank fails or is killed, within seconds; KeyboardInterrupt after Ctrl-C and SystemExit after another
    signal, once the ranks have saved. When this returns or raises, and when this process is killed, no rank is left.
    """
    with tempfile.TemporaryDirectory(prefix="seqlab-ranks-") as name:
        folder = Path(name)
        write(folder / JOB, json.dumps({**asdict(job), "path": sys.path}))
        ranks = Ranks(folder, number)
        with ranks.signals_passed_on():
            try:
                ranks.watch(subprocess.Popen(command(folder, number), env=environment(number), start_new_session=True))
            finally:
                ranks.kill()
            return result(ranks.outcomes(), ranks.failures(), ranks.received, number, ranks.lost)


def command(folder: Path, number: int) -> list[str]:
    """The words that start torchrun."""
    return [sys.executable, "-m", "seqlab.ranks.agent", str(folder), str(os.getpid()), str(number)]


def environment(number: int, before: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of torchrun. Each rank has its part of the cores; torchrun would give it one."""
    known = dict(os.environ if before is None else before)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    known.setdefault("OMP_NUM_THREADS", str(max(1, cores // number)))
    known.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # each rank would say that it looked for parameters without a gradient and found none
    known["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), known.get("PYTHONPATH", "")]))  # this seqlab, and no other
    known["PYTHONSAFEPATH"] = "1"  # -m would import from the folder one is in, which may be that of a stranger's run; a rank gets the path of its job
    return known


class Ranks:
    """The ranks of a job, as they show themselves in its folder."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder, number
        self.agent: subprocess.Popen[bytes] | None = None
        self.received: list[int] = []  # signals
        self.lost: list[int] = []  # ranks that were gone without a word before any had failed
        self._told: dict[int, int] = {}  # rank: how many of the signals it has got

    def watch(self, agent: subprocess.Popen[bytes]) -> None:
        """Until torchrun ends, or for GRACE seconds after the first rank that ended."""
        self.agent = agent
        deadline: float | None = None
        while agent.poll() is None and (deadline is None or time.monotonic() < deadline):
            time.sleep(INTERVAL)
            self.pass_on()
            if deadline is None and self.has_ended():
                deadline = time.monotonic() + GRACE

    def has_ended(self) -> bool:
        """Whether the end of the job has come: rank 0 is done, or another has failed or is gone without a word."""
        missing = gone(self.folder)  # before the outcomes: the last thing that a rank does is to write its own
        outcomes = self.outcomes()
        failed = any("error" in outcome for outcome in outcomes.values())
        self.lost = [] if failed else [rank for rank in missing if rank not in outcomes]
        return bool(failed or self.lost or 0 in outcomes)

    def outcomes(self) -> dict[int, dict[str, Any]]:
        """{rank: how it ended}, of those that have said so."""
        return {int(file.stem): json.loads(file.read_text(encoding="utf-8")) for file in self.folder.glob("[0-9]*.json")}

    def failures(self) -> dict[int, int]:
        """{rank: exit status} of those that failed first, as torchrun saw it."""
        file = self.folder / FAILURES
        found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        return {int(rank): status for rank, status in found.items()}

    def pass_on(self) -> None:
        """Send each rank the signals it has not got yet; one that has only begun gets them then."""
        for rank, process in processes(self.folder).items():
            for number in self.received[self._told.get(rank, 0) :]:
                self._told[rank] = self._told.get(rank, 0) + 1
                if is_running(process):
                    os.kill(process, number)

    def kill(self) -> None:
        """End what is left: torchrun, the ranks, and the processes that read data for them."""
        if self.agent is None:
            return
        if self.agent.poll() is None:
            self.agent.kill()
            self.agent.wait()
        for process in processes(self.folder).values():
            try:
                os.killpg(process, signal.SIGKILL)  # torchrun makes each rank the leader of a group
            except ProcessLookupError:
                continue

    @contextmanager
    def signals_passed_on(self) -> Iterator[None]:
        """For the length of a block. torchrun is in a session of its own: else a Ctrl-C would reach the ranks twice."""
        if threading.current_thread() is not threading.main_thread():  # where Python delivers no signals
            yield
            return
        before = {number: signal.signal(number, lambda number, frame: self.received.append(number)) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def result(outcomes: dict[int, dict[str, Any]], failures: dict[int, int], received: Sequence[int], number: int, lost: Sequence[int] = ()) -> float | None:
    """What `launch` returns or raises, for what is known of the ranks at the end. received: the signals that were passed on. lost:
    ranks that were seen to be gone; what torchrun knows of them is not told where it had to be ended.
    """
    first = outcomes.get(0, {})
    if "value" in first:
        return first["value"]
    if received and ("error" not in first or any(-status in received for status in failures.values())):
        if received[0] == signal.SIGINT:
            raise KeyboardInterrupt(first.get("interrupt", ""))
        raise SystemExit(first.get("exit", 128 + received[0]))
    killed = {rank: status for rank, status in failures.items() if rank not in outcomes}
    if killed:
        rank, status = min(killed.items(), key=lambda one: (one[1] == -signal.SIGTERM, one))  # with which torchrun ends those that are left
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status} and said nothing"
        reason = " For want of memory, perhaps: then a smaller batch helps." if status == -signal.SIGKILL else ""
        raise RankError(f"rank {rank} of {number} {how}, and the others were stopped.{reason} What was saved is whole.")
    if lost:
        raise RankError(f"rank {lost[0]} of {number} ended and said nothing, and the others were stopped. What was saved is whole.")
    errors = [outcome for outcome in outcomes.values() if "error" in outcome]
    if errors:
        raise from_plain(min(errors, key=lambda outcome: outcome["at"])["error"])
    if "exit" in first:  # a signal that was sent to a rank itself
        raise SystemExit(first["exit"])
    raise RankError(f"the {number} ranks ended without a result. What was saved is whole.")
