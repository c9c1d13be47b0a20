"""One rank of a job: python -m seqlab.ranks.worker FOLDER, started by torchrun. FOLDER/job.json says what to train; how it ended
is written to FOLDER/RANK.json, from which the job makes its own end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from seqlab.ranks.agent import AGENT
from seqlab.ranks.lifeline import die_with_parent
from seqlab.run_directory import write

JOB = "job.json"
PATIENCE = 5.0  # seconds that a rank that has failed waits for rank 0, which may be writing its records


def main(folder: Path) -> int:
    """Train as rank RANK. Returns 0 after an end in good order, a stop by a signal included, 1 after an error."""
    rank = int(os.environ["RANK"])
    write(folder / f"{rank}.pid", str(os.getpid()))
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    sys.path[:] = job["path"]
    signal.signal(signal.SIGTERM, lambda number, frame: stop(folder, number))
    try:
        outcome = train(job)
    except KeyboardInterrupt as interrupt:
        outcome = {"interrupt": str(interrupt)}
    except SystemExit as end:
        outcome = {"exit": end.code}
    write(folder / f"{rank}.json", json.dumps({**outcome, "at": time.time()}))
    if "error" not in outcome:
        return 0
    deadline = time.monotonic() + PATIENCE
    while rank and not (folder / "0.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return 1


def stop(folder: Path, number: int) -> None:
    """For SIGTERM outside of the training itself. Where another rank is dead it is torchrun's, and what this one is about to record goes first."""
    if not gone(folder):
        raise SystemExit(128 + number)


def processes(folder: Path) -> dict[int, int]:
    """{rank: process}, of those that have begun."""
    return {int(file.stem): int(file.read_text(encoding="utf-8")) for file in folder.glob("[0-9]*.pid")}


def gone(folder: Path) -> list[int]:
    """The ranks that were there and are not now."""
    return [rank for rank, process in processes(folder).items() if not is_running(process)]


def is_running(process: int) -> bool:
    """Whether a process is there, and no zombie that nobody has asked about yet."""
    try:
        os.kill(process, 0)
        status = Path(f"/proc/{process}/stat")
        return not (status.parent.parent / "self").exists() or status.read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except (ProcessLookupError, FileNotFoundError):
        return False


def train(job: dict[str, Any]) -> dict[str, Any]:
    """How the training of this rank ended: {"value": …} or {"error": …}. Raises what is no Exception, as a stop by a signal."""
    from hydra.core.utils import configure_log
    from omegaconf import DictConfig, OmegaConf

    from seqlab.job_errors import to_plain
    from seqlab.train import quiet_libraries, train

    try:
        config, log = OmegaConf.create(job["config"]), OmegaConf.create(job["logging"])
        assert isinstance(config, DictConfig)
        assert isinstance(log, DictConfig)
        configure_log(log, job["verbose"])
        quiet_libraries()
        return {"value": train(config, Path(job["directory"]), job["overrides"], job["resuming"])}
    except Exception as error:
        return {"error": to_plain(error)}


if __name__ == "__main__":
    die_with_parent(int(os.environ[AGENT]))
    sys.exit(main(Path(sys.argv[1])))
