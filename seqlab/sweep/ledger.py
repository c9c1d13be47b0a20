"""What became of the jobs of a sweep, in its directory: below `.sweeps/`, a folder for each `seqlab train -m` that ran there,
with its command, a record for each job, and a mark when all were run. Neither torch nor Hydra is imported.

Jobs in other processes and on other machines write their own records, so the directory is all that has to be shared.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from seqlab import run_directory
from seqlab.locks import held, is_held

LEDGER = ".sweeps"
COMMAND, ENDED, EARLIER, LOCKS = "command.json", "ended.json", "earlier", "locks"
DONE = ("finished", "pruned")  # these are not run again
RUNNING = "running"


class InUse(ValueError):
    """Another process trains the job."""


@dataclass
class Record:
    """One job: `directory` relative to the sweep's, `state` finished, pruned, failed, interrupted or running. reused: its
    result is an earlier sweep's. A job that says it is running and holds no lock was killed: `state_of`. started: 0 of a job
    that was refused its directory, which another process or another job had."""

    number: int
    overrides: list[str]
    directory: str
    hash: str
    state: str = RUNNING
    reused: bool = False
    monitor: str = ""
    metric: float | None = None
    message: str = ""
    started: float = 0.0
    process: int = 0
    host: str = ""
    sweep: str = ""


def open_sweep(sweep_directory: Path, sweep: str, argv: Sequence[str]) -> Path:
    """The folder of a sweep that begins, with its command. Raises OSError when it cannot be written."""
    folder = sweep_directory / LEDGER / sweep
    folder.mkdir(parents=True, exist_ok=True)
    run_directory.write(folder / COMMAND, json.dumps({"argv": list(argv), "folder": str(Path.cwd())}, ensure_ascii=False, indent=2) + "\n")
    return folder


def read_command(folder: Path) -> tuple[list[str], Path]:
    """The words with which a sweep was started, and the folder in which. Raises ValueError when they cannot be read."""
    file = folder / COMMAND
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
        argv, where = content["argv"], Path(content["folder"])
        if not isinstance(argv, list):
            raise TypeError(f"argv is {argv!r}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"the command {file} cannot be read: {error!r}; expected what `seqlab train -m` wrote. Start the sweep again by hand.") from error
    return [str(word) for word in argv], where


def close_sweep(folder: Path) -> None:
    """Mark that the sweep came to its end: every job was started."""
    run_directory.write(folder / ENDED, json.dumps({"at": time.time()}) + "\n")


def write_record(sweep_directory: Path, record: Record) -> None:
    """Write or renew a job's record."""
    folder = sweep_directory / LEDGER / record.sweep
    folder.mkdir(parents=True, exist_ok=True)
    run_directory.write(folder / f"{record.number}.json", run_directory.strict_json(asdict(record)) + "\n")


def new_record(number: int, overrides: Sequence[str], directory: str, job_hash: str, sweep: str) -> Record:
    """The record of a job that begins now, here."""
    return Record(number, list(overrides), directory, job_hash, started=time.time(), process=os.getpid(), host=socket.gethostname(), sweep=sweep)


def read_records(folder: Path) -> list[Record]:
    """The records in a sweep's folder, by job. Raises ValueError for one that cannot be read."""
    files = [file for file in folder.glob("*.json") if file.stem.isdigit()]
    return [_read_record(file) for file in sorted(files, key=lambda file: int(file.stem))]


def _read_record(file: Path) -> Record:
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
        record = Record(**{field.name: content[field.name] for field in fields(Record)})
        for name, kind in (("number", int), ("overrides", list), ("directory", str), ("state", str), ("message", str), ("started", (int, float))):
            if not isinstance(content[name], kind):
                raise TypeError(f"{name} is {content[name]!r}")
        return record
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"the record {file} cannot be read: {error!r}; expected what `seqlab train -m` wrote. Remove the file.") from error


def sweep_folders(sweep_directory: Path) -> list[Path]:
    """The folders of the sweeps that ran in a directory, oldest first. Raises ValueError when there is none."""
    found = sorted(file.parent for file in (sweep_directory / LEDGER).glob(f"*/{COMMAND}"))
    if not found:
        wrong = "holds no sweep" if sweep_directory.is_dir() else "does not exist"
        raise ValueError(f"{sweep_directory} {wrong}; expected the directory of a `seqlab train -m`, which prints it at its end.")
    return found


def all_records(sweep_directory: Path) -> list[Record]:
    """The records of all sweeps of the directory, oldest first."""
    return sorted((record for folder in sweep_folders(sweep_directory) for record in read_records(folder)), key=lambda record: record.started)


def latest_records(sweep_directory: Path) -> dict[str, Record]:
    """{directory: the latest record of the job in it}, in the order in which jobs were first run."""
    latest: dict[str, Record] = {}
    for record in all_records(sweep_directory):
        latest[record.directory] = record
    return {name: _settled(sweep_directory, record) for name, record in latest.items()}


def _settled(sweep_directory: Path, record: Record) -> Record:
    """The record, with the result of a job whose process ended after its summary was written and before this was."""
    if record.state != RUNNING or is_locked(sweep_directory, record.directory):
        return record
    summary = read_summary(sweep_directory / record.directory)
    if summary is None or summary["status"] not in DONE:
        return record
    return replace(record, state=summary["status"], metric=summary["monitor_value"])


def read_summary(directory: Path) -> dict[str, Any] | None:
    """The summary of a run as training wrote it, None where there is none that can be read."""
    try:
        summary = json.loads((directory / run_directory.SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return summary if isinstance(summary, dict) and {"status", "monitor_value"} <= summary.keys() else None


def superseded(sweep_directory: Path) -> set[str]:
    """The directories of jobs whose overrides were later trained in another directory: their cell or a config was changed since."""
    records = all_records(sweep_directory)
    newest = {tuple(record.overrides): record.directory for record in records}
    return {record.directory for record in records if newest[tuple(record.overrides)] != record.directory}


def state_of(sweep_directory: Path, record: Record) -> str:
    """The record's state; "killed" for one that was running when its process ended without a word."""
    if record.state != RUNNING or is_locked(sweep_directory, record.directory):
        return record.state
    return "killed" if record.host == socket.gethostname() else RUNNING  # another machine's lock may not be seen here


def last_record(sweep_directory: Path, directory: str) -> Record | None:
    """The record of the job that last had a directory of the sweep, None when there is none."""
    record = latest_records(sweep_directory).get(directory) if (sweep_directory / LEDGER).is_dir() else None
    return record if record is not None and record.started else None


def set_aside(sweep_directory: Path, directory: str) -> Path:
    """Move what an unfinished attempt left out of the way. Returns where it lies now."""
    folder = sweep_directory / LEDGER / EARLIER
    name = directory.replace("/", "_")
    place = next(place for number in range(1, 1_000_000) if not (place := folder / f"{name}-{number}").exists())
    folder.mkdir(parents=True, exist_ok=True)
    os.replace(sweep_directory / directory, place)
    return place


def _lock_file(sweep_directory: Path, directory: str) -> Path:
    return sweep_directory / LEDGER / LOCKS / f"{directory.replace('/', '_')}.lock"


@contextmanager
def locked(sweep_directory: Path, directory: str) -> Iterator[None]:
    """Hold a job for the length of a block; a process that dies lets go. Raises InUse when another process holds it."""
    file = _lock_file(sweep_directory, directory)
    file.parent.mkdir(parents=True, exist_ok=True)
    job = sweep_directory / directory
    with held(file, InUse(f"the job in {job} is being trained by another process. Wait for it; `seqlab sweep status` shows it.")):
        yield


def is_locked(sweep_directory: Path, directory: str) -> bool:
    """Whether a process of this machine is training the job."""
    return is_held(_lock_file(sweep_directory, directory))
