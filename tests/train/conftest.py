"""Runs of seqlab small enough for a test: the adder of 3 bits, a few batches, in this process."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Callback
from omegaconf import DictConfig

from seqlab import train as training
from seqlab.config import config_folder

SMALL = [
    "data.num_bits=3",
    "data.num_pairs=24",
    "data.batch_size=4",
    "executor=loop",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
    "trainer.val_check_interval=1.0",
    "callbacks.record.every=1",
]


@dataclass(frozen=True)
class Run:
    """What a run left behind: `value` is what train returned."""

    directory: Path
    value: float | None

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads((self.directory / "summary.json").read_text(encoding="utf-8"))

    @property
    def rows(self) -> list[dict[str, str]]:
        with open(self.directory / "metrics.csv", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def column(self, name: str) -> list[float]:
        """The values of a column of metrics.csv, rows without one left out."""
        return [float(row[name]) for row in self.rows if row.get(name)]

    def checkpoint(self, name: str) -> dict[str, Any]:
        return torch.load(self.directory / "checkpoints" / f"{name}.ckpt", weights_only=True)


def small_config(*overrides: str) -> DictConfig:
    """The config of `seqlab train`, small, with overrides."""
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return compose("train", [*SMALL, *overrides])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads only get into each other's way at these sizes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine's power cut would lose is nothing that a test can see; a file system may take 10 ms for each file."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(autouse=True)
def no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing is half of the time of a run this small; tests that look at pictures ask for the fixture `pictures`."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr(training, "draw_learning_curve", lambda *arguments: None)


@pytest.fixture
def pictures() -> None:
    """Draw pictures."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """run("key=value", …, watch=callback) trains in a directory of its own; the callback comes before all others."""
    training.quiet_libraries()
    runs = []
    make = training.build_trainer

    def start(*overrides: str, directory: Path | None = None, watch: Callback | None = None) -> Run:
        runs.append(directory or tmp_path / f"run{len(runs)}")

        def build(*arguments: Any) -> Any:
            trainer: Any = make(*arguments)
            trainer.callbacks[:0] = [] if watch is None else [watch]
            return trainer

        monkeypatch.setattr(training, "build_trainer", build)
        return Run(runs[-1], training.train(small_config(*overrides), runs[-1], list(overrides)))

    return start
