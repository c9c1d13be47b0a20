"""Class attributes under watch: which of them are written to while a cell is built and run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from seqlab.cells.base import Cell

_WRITES = {
    dict: ("__setitem__", "__delitem__", "__ior__", "clear", "pop", "popitem", "setdefault", "update"),
    list: ("__setitem__", "__delitem__", "__iadd__", "append", "clear", "extend", "insert", "pop", "remove"),
    set: ("__ior__", "__iand__", "add", "clear", "discard", "pop", "remove", "update"),
}


@contextmanager
def watched_class_attributes(cls: type) -> Iterator[list[str]]:
    """Yield a list that collects the names of the dict, list and set attributes of the cell's classes that are written to.

    A dict of defaults that each instance updates is the same after a second instance with the same options, so that
    comparing it finds nothing: the write itself has to be seen. Afterwards the attributes are as they were.
    """
    written: list[str] = []
    watched: list[tuple[type, str, Any]] = []
    for owner in cls.__mro__:
        if not issubclass(owner, Cell) or owner is Cell:
            continue
        for name, value in vars(owner).copy().items():
            if type(value) in _WRITES and not name.startswith("__"):
                watched.append((owner, name, value))
                setattr(owner, name, _watch(value, f"{owner.__name__}.{name}", written))
    try:
        yield written
    finally:
        for owner, name, value in watched:
            setattr(owner, name, value)


def _watch(value: Any, name: str, written: list[str]) -> Any:
    """A copy of a container that notes its name whenever one of its writing methods is called."""
    base = type(value)

    def noting(method: str) -> Any:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            written.append(name)
            return getattr(base, method)(self, *args, **kwargs)

        return call

    return type(f"Watched{base.__name__.title()}", (base,), {method: noting(method) for method in _WRITES[base]})(value)
