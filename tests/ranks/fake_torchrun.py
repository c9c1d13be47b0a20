"""A torchrun that needs no torch: python fake_torchrun.py FOLDER WHAT-RANK-0-DOES WHAT-RANK-1-DOES …"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ERROR = {"message": "no file is there", "foreseen": True, "notes": ["(a note)"], "traceback": "Traceback of the rank"}


def put(file: Path, content: object) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(content))
    partial.rename(file)


def rank(folder: Path, number: int, does: str) -> int:
    """returns: gives its number as the metric. stops: waits for a signal and stops in good order. fails, dies. sleeps: hears no signal."""
    stopped: list[int] = []
    for each in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(each, {"stops": lambda got, frame: stopped.append(got), "sleeps": signal.SIG_IGN}.get(does, signal.SIG_DFL))
    put(folder / f"{number}.pid", os.getpid())
    while not (folder / "0.pid").exists():
        time.sleep(0.01)
    if does == "returns":
        put(folder / f"{number}.json", {"value": float(number), "at": time.time()})
    elif does == "fails":
        put(folder / f"{number}.json", {"error": ERROR, "at": time.time()})
        return 1
    elif does == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    elif does == "sleeps":
        time.sleep(60)
    else:
        while not stopped:
            time.sleep(0.01)
        put(folder / f"{number}.json", {"exit": 128 + stopped[0], "at": time.time()})
    return 0


def main(folder: Path, behaviours: list[str]) -> int:
    words = [sys.executable, "-S", "-E", __file__, "rank", str(folder)]
    ranks = [subprocess.Popen([*words, str(number), does], start_new_session=True) for number, does in enumerate(behaviours)]
    while any(one.poll() is None for one in ranks):
        failed = {number: one.returncode for number, one in enumerate(ranks) if one.poll() not in (None, 0)}
        if failed:
            for one in ranks:
                if one.poll() is None:
                    one.terminate()
            for one in ranks:
                one.wait()
            put(folder / "failures.json", failed)
            return 1
        time.sleep(0.01)
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "rank":
        sys.exit(rank(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
