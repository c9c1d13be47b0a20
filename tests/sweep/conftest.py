"""Sweeps in this process, small, in a folder of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seqlab import train as training
from seqlab.cli import main
from tests.train.conftest import SMALL, run  # noqa: F401 - a fixture

Sweep = Callable[..., int]
QUICK = [*SMALL, "trainer.limit_train_batches=1", "trainer.limit_val_batches=1", "trainer.limit_test_batches=1", "cell.hidden_size=2"]


@pytest.fixture(autouse=True)
def plugin_modules_as_they_were() -> Iterator[None]:
    """A plugin file that a test loads leaves no module to the next one."""
    before = set(sys.modules)
    yield
    for name in [name for name in sys.modules if name.startswith("seqlab_plugin_") and name not in before]:
        del sys.modules[name]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """sweep("key=a,b", …) runs `seqlab train -m` in a folder of its own and returns the exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "draw_learning_curve", lambda *arguments: None)

    def start(*words: str) -> int:
        own = {word.partition("=")[0] for word in words}
        return main(["train", "-m", *(word for word in QUICK if word.partition("=")[0] not in own), *words])

    return start
