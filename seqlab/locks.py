"""A folder or file that one process holds, until it lets go or dies, and that the processes it has made do not hold for it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where two processes are not kept apart
    fcntl = None
PATIENCE = 0.2  # seconds in which one who only looks, `is_held`, has looked
_held: set[int] = set()


@contextmanager
def held(path: Path, refusal: Exception) -> Iterator[None]:
    """Hold a folder, or a file that is made where there is none, for the length of a block. Raises `refusal` when another process holds it."""
    if fcntl is None:
        yield
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    _held.add(handle)
    try:
        if not _taken(handle, time.monotonic() + PATIENCE):
            raise refusal
        yield
    finally:
        if handle in _held:
            _held.remove(handle)
            os.close(handle)


def _taken(handle: int, deadline: float) -> bool:
    assert fcntl is not None
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
        time.sleep(0.01)


def is_held(path: Path) -> bool:
    """Whether a process of this machine holds the file."""
    if fcntl is None or not path.exists():
        return False
    with open(path, encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _let_go() -> None:
    """Workers that read data share the hold of the process that made them, and outlive it by seconds when it is killed."""
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
