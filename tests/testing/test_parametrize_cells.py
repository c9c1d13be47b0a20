"""The suite in somebody's own test file, run by pytest itself."""

from __future__ import annotations

import pytest

from seqlab.testing import parametrize_cells
from tests.testing.sound import Sound

pytest_plugins = "pytester"

FILE = """
from seqlab.testing import QUICK_CHECKS, parametrize_cells
from tests.testing.bugs_in_steps import DropsLeaf
from tests.testing.sound import Sound

KNOWN = {KNOWN}
CHECKS = [check for check in QUICK_CHECKS if check.__name__ in ("check_spec", "check_round_trip")]

@parametrize_cells({"sound": Sound, "drops": DropsLeaf}, checks=CHECKS, known_failures=KNOWN)
def test_conformance(check):
    check()
"""


def run(pytester: pytest.Pytester, known: dict[str, dict[str, str]]) -> pytest.RunResult:
    pytester.makepyfile(test_mine=FILE.replace("{KNOWN}", repr(known)))
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-rA", "-v")


def test_ids_name_cell_and_check(pytester: pytest.Pytester) -> None:
    result = run(pytester, {})
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*Nonconforming: step returned the state leaves*", "PASSED *[[]sound-check_spec]", "FAILED *[[]drops-check_spec]*"])


def test_known_failures_are_expected_and_strict(pytester: pytest.Pytester) -> None:
    known = {"drops": {"check_spec": "it drops c", "check_round_trip": "so it does here"}, "sound": {"check_spec": "a mistake"}}
    result = run(pytester, known)
    result.assert_outcomes(xfailed=2, passed=1, failed=1)
    result.stdout.fnmatch_lines(["*XPASS(strict)*a mistake*"])


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"sond": {"check_spec": "x"}}, "no cell under test is named 'sond'"),
        ({"sound": {"check_spc": "x"}}, "no check is named 'check_spc'"),
        ({"sound": {"check_spec": ""}}, "has no reason"),
    ],
)
def test_known_failures_that_name_nothing_are_errors(known: dict[str, dict[str, str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parametrize_cells({"sound": Sound}, known_failures=known)
