"""The runs below some folders, read from their files: config.yaml, summary.json, metrics.csv."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from seqlab import run_directory

TRACEBACK = "error.txt"  # what `seqlab train` leaves of a run that failed, be it before its config was claimed
FINISHED = "finished"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # twenty times as fast, where PyYAML was built with it


@dataclass(frozen=True)
class Run:
    """A run directory. `problem` says why it has no figures to report; empty when it finished."""

    directory: Path
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    source: str = ""  # a digest of the code of the user's and of the cells that the config names

    @cached_property
    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """{metric: (step, value)} of metrics.csv; empty where there is none. Raises ValueError when it cannot be read."""
        path = self.directory / run_directory.METRICS
        if not path.is_file():
            return {}
        found: dict[str, list[tuple[int, float]]] = {}
        try:
            with open(path, encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    for name, value in row.items():
                        if "/" in str(name) and value:
                            found.setdefault(name, []).append((int(row["step"]), float(value)))
        except (ValueError, TypeError, KeyError, csv.Error) as error:
            raise ValueError(f"{path} cannot be read: {error}; expected rows of numbers as `seqlab train` writes them. Restore or remove the file.") from error
        return found


def read_runs(folders: Iterable[str | Path]) -> list[Run]:
    """Every run at or below the folders, each once, by path. Raises ValueError for a folder that is not there or holds no run."""
    found: dict[Path, Run] = {}
    for name in folders:
        folder = Path(name).expanduser()
        if not folder.is_dir():
            wrong = "is a file" if folder.exists() else "does not exist"
            raise ValueError(f"{folder} {wrong}; expected a run directory, or a folder that holds some. `seqlab train` prints where its runs are.")
        runs = {directory.resolve(): directory for directory in _run_directories(folder)}
        if not runs:
            raise ValueError(
                f"{folder} holds no run: no {run_directory.CONFIG} in it or below. Give a run directory, or a folder of them such as that of a sweep."
            )
        found |= {place: read_run(directory) for place, directory in runs.items() if place not in found}
    return [found[place] for place in sorted(found)]


def _run_directories(folder: Path) -> Iterator[Path]:
    """Folders with the config of a run, or with the error of one that could not start; nothing below a run is another."""
    for place, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if run_directory.CONFIG in files or TRACEBACK in files or run_directory.SUMMARY in files:
            below.clear()
            yield Path(place)


def read_run(directory: Path) -> Run:
    """The run in a directory, with what is wrong with it. Never raises for what a file holds."""
    config = _read(directory / run_directory.CONFIG, lambda text: yaml.load(text, _Loader))
    error = directory / TRACEBACK
    told = error.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] if error.is_file() else []
    if isinstance(config, str):
        return Run(directory, problem=f"failed before training: {told[0]}" if told else config)
    if "task" not in config or "data" not in config:
        return Run(directory, problem=f"{run_directory.CONFIG} is not that of a run: it names no data or no task")
    summary = _read(directory / run_directory.SUMMARY, json.loads)
    if isinstance(summary, str):
        return Run(directory, config, problem=f"{summary}: still running, or killed" if summary.endswith("is missing") else summary)
    status = summary.get("status")
    if status != FINISHED:
        return Run(directory, config, summary, ": ".join([f"{status or 'no status'} after {summary.get('steps', 0)} steps", *told]))
    if not isinstance(summary.get("metrics"), dict):
        return Run(directory, config, summary, f"{run_directory.SUMMARY} has no metrics")
    return Run(directory, config, summary, source=_source(directory / run_directory.FINGERPRINT))


def _source(path: Path) -> str:
    """Of the code that the run began with; empty where it was not noted."""
    noted = _read(path, json.loads)
    code = noted.get("code") if isinstance(noted, dict) else None
    return hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest()[:8] if code else ""


def _read(path: Path, parse: Any) -> Any:
    """The mapping in a file, or a sentence that says why there is none."""
    if not path.is_file():
        return f"{path.name} is missing"
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        return f"{path.name} cannot be read ({' '.join(str(error).split())})"
    return content if isinstance(content, dict) else f"{path.name} holds no mapping"
