"""The conformance suite: all checks, in the order in which a person mends a cell, and a way to run them on one cell."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from seqlab.registry import unknown
from seqlab.testing.contract import check_project_is_per_step, check_rows_are_independent, check_spec
from seqlab.testing.copies import check_instances_are_separate, check_round_trip
from seqlab.testing.executors import check_compiled_agrees, check_executors_agree
from seqlab.testing.gradients import check_double_backward, check_gradcheck, check_gradients_reach_everything
from seqlab.testing.observe import CellFactory, Check
from seqlab.testing.precision import check_autocast, check_dtypes
from seqlab.testing.purity import check_evaluation_is_deterministic, check_is_pure
from seqlab.testing.sequences import check_any_length, check_ignores_padding, check_resumes, check_unequal_histories
from seqlab.testing.verdict import Nonconforming

CHECKS: tuple[Check, ...] = (
    check_spec,
    check_is_pure,
    check_evaluation_is_deterministic,
    check_project_is_per_step,
    check_rows_are_independent,
    check_unequal_histories,
    check_resumes,
    check_ignores_padding,
    check_any_length,
    check_gradients_reach_everything,
    check_gradcheck,
    check_double_backward,
    check_dtypes,
    check_autocast,
    check_round_trip,
    check_instances_are_separate,
    check_executors_agree,
    check_compiled_agrees,
)
QUICK_CHECKS = tuple(check for check in CHECKS if check is not check_compiled_agrees)  # milliseconds each
NAMES = [check.__name__ for check in CHECKS]
_HERE, _TORCH = str(Path(__file__).parent), str(Path(torch.__file__).parent)


@dataclass(frozen=True)
class Result:
    """What one check found. outcome: "passed", "failed", or "known failure", which counts as conforming.

    reason: why it failed, or what a passing check left out; empty when there is nothing to say.
    """

    check: str
    outcome: str
    seconds: float
    reason: str = ""

    @property
    def ok(self) -> bool:
        return self.outcome != "failed"


def check_cell(
    factory: CellFactory, *, checks: Sequence[Check] = CHECKS, known_failures: Mapping[str, str] | None = None, raising: bool = False
) -> list[Result]:
    """Run the checks on the cells of a factory: check_cell(lambda: make_cell("lstm", 3, 4)).

    Small sizes are enough, and fast. checks: QUICK_CHECKS leaves out what compiles. known_failures: {name of a check: why
    it cannot hold for this cell}; a known failure that passes counts as failed. Raises ValueError for a name that is no
    check or a reason that is empty, and with `raising` Nonconforming, with every failure's reason, unless all is well.
    """
    known = known_failures or {}
    validate_known_failures(known)
    results = [_run(check, factory, known.get(check.__name__)) for check in checks]
    failures = [f"{result.check}: {result.reason}" for result in results if not result.ok]
    if raising and failures:
        raise Nonconforming(f"{len(failures)} of {len(results)} checks fail:\n" + "\n".join(failures))
    return results


def validate_known_failures(known_failures: Mapping[str, str]) -> None:
    """Raise ValueError unless each name is a check's and each reason is written."""
    for name, reason in known_failures.items():
        if name not in NAMES:
            raise ValueError(unknown("check", name, NAMES))
        if not reason.strip():
            raise ValueError(f"the known failure {name!r} has no reason; expected a sentence that says why the property cannot hold. Write one.")


def _run(check: Check, factory: CellFactory, known: str | None) -> Result:
    start = time.perf_counter()
    try:
        note = check(factory)
    except Exception as error:  # whatever a cell raises is that cell's verdict, reported with its place
        reason, outcome = describe_failure(error), "failed"
    else:
        reason, outcome = note, "passed"
    seconds = time.perf_counter() - start
    if known is not None and outcome == "failed":
        return Result(check.__name__, "known failure", seconds, f"{known} ({reason})")
    if known is not None:
        return Result(check.__name__, "failed", seconds, f"passes, but is listed as a known failure ({known}); expected it to fail. Take it off the list.")
    return Result(check.__name__, outcome, seconds, reason)


def describe_failure(error: Exception) -> str:
    """What a check or a cell raised, and where in the cell's code."""
    if isinstance(error, Nonconforming):
        return str(error)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith((_HERE, _TORCH))]
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno}, in {frames[-1].name})" if frames else ""
    return f"raised {type(error).__name__}: {error}{where}"
