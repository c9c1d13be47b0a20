"""What every test leaves as it found it."""

import logging

import pytest


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
