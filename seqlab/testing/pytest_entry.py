"""The suite as pytest tests. pytest is imported here alone, and only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from seqlab.registry import unknown
from seqlab.testing.observe import CellFactory, Check
from seqlab.testing.suite import CHECKS, validate_known_failures


def parametrize_cells(
    factories: Mapping[str, CellFactory], *, checks: Sequence[Check] = CHECKS, known_failures: Mapping[str, Mapping[str, str]] | None = None
) -> Callable[[Any], Any]:
    """Decorator: one test for each cell and check, with ids like lstm-check_resumes. The test takes and calls `check`.

        @parametrize_cells({"mine": lambda: Mine(3, 4)})
        def test_conformance(check):
            check()

    checks: QUICK_CHECKS leaves out what compiles. known_failures: {id of a cell: {name of a check: why it cannot hold}},
    strict: one that passes is a failure. Raises ValueError for an id or a check that does not exist, and for a reason that
    is empty.
    """
    import pytest

    known = known_failures or {}
    for name, failures in known.items():
        if name not in factories:
            raise ValueError(unknown("cell under test", name, sorted(factories)))
        validate_known_failures(failures)
    cases = []
    for name, factory in factories.items():
        for check in checks:
            reason = known.get(name, {}).get(check.__name__)
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            cases.append(pytest.param(partial(check, factory), id=f"{name}-{check.__name__}", marks=marks))
    return pytest.mark.parametrize("check", cases)
