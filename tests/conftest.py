"""What every test leaves as it found it."""

import logging
import os

import pytest

from seqlab import registry

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported: the workers share the cores, and threads beyond them wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def logging_as_it_was():
    """A run in this process sets up logging as Hydra says; its lines would stand in the output of the tests after it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


@pytest.fixture(autouse=True)
def cells_as_they_were(monkeypatch: pytest.MonkeyPatch):
    """A cell that a test registers is no cell of the next one."""
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    monkeypatch.setattr(registry, "_plugin_files", dict(registry._plugin_files))
