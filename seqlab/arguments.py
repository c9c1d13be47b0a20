"""KEY=VALUE arguments of the commands that Hydra does not read. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seqlab.registry import unknown


def numbers(text: str) -> list[float]:
    """[X,…] or X,… -> the numbers. Raises ValueError for anything else."""
    return [float(number) for number in text.strip("[]").split(",")]


_KINDS = {int: "a whole number", float: "a number", numbers: "numbers, with commas between them"}  # others are yes or no


def parse(command: str, arguments: Sequence[str], readers: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """{key: value} of the arguments; readers say which keys there are and how each value is read.

    Raises ValueError for an unknown key, with the closest, for a key without a value or given twice, for a value of the
    wrong kind, and when `run` is among the keys and missing.
    """
    options: dict[str, Any] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key not in readers:
            raise ValueError(unknown(f"option of {command}", key, list(readers), "Options are written KEY=VALUE."))
        if not equals:
            raise ValueError(f"option {key!r} has no value; expected {key}=VALUE.")
        if key in options:
            raise ValueError(f"option {key!r} is given twice; expected one {key}=VALUE.")
        try:
            options[key] = readers[key](value)
        except ValueError as error:
            raise ValueError(f"{key} is {value!r}; expected {_KINDS.get(readers[key], 'true or false')}.") from error  # pyright: ignore[reportArgumentType, reportCallIssue]
    if "run" in readers and not options.get("run"):
        raise ValueError("run is missing; expected the directory of a training run. Give run=DIR.")
    return options


def files(text: str) -> list[str]:
    """[FILE,…] or FILE,… -> the files."""
    return [file.strip() for file in text.strip("[]").split(",") if file.strip()]
