"""Every seeded bug is caught by the check named for it, and the sound cell by none."""

from __future__ import annotations

import pytest

from seqlab.cells.base import Cell
from seqlab.testing import QUICK_CHECKS, check_cell
from tests.testing import bugs_in_numbers, bugs_in_steps
from tests.testing.sound import BUGS, Sound, Unusual

assert bugs_in_numbers, bugs_in_steps  # importing them fills BUGS
BY_NAME = {check.__name__: check for check in QUICK_CHECKS}


@pytest.mark.parametrize(("cls", "check", "message"), [pytest.param(*bug, id=f"{bug[0].__name__}-{bug[1]}") for bug in BUGS])
def test_the_check_named_for_the_bug_sees_it(cls: type[Cell], check: str, message: str) -> None:
    (result,) = check_cell(cls, checks=[BY_NAME[check]])
    assert result.outcome == "failed"
    assert message in result.reason


@pytest.mark.parametrize("cls", [Sound, Unusual])
def test_a_sound_cell_passes(cls: type[Cell]) -> None:
    assert [(result.check, result.reason) for result in check_cell(cls, checks=QUICK_CHECKS) if not result.ok] == []


def test_every_check_sees_a_bug() -> None:
    assert {check for _, check, _ in BUGS} == set(BY_NAME)
