"""The suite as a product: results, reasons, known failures, and what it leaves as it was."""

from __future__ import annotations

import importlib
import pkgutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import seqlab.testing
from seqlab import make_cell
from seqlab.cells.base import State
from seqlab.cells.zoneout import Zoneout
from seqlab.executors import EXECUTORS
from seqlab.testing import CHECKS, QUICK_CHECKS, Nonconforming, check_cell
from seqlab.testing.contract import check_project_is_per_step, check_spec
from seqlab.testing.executors import check_compiled_agrees
from seqlab.testing.sequences import check_resumes
from seqlab.testing.verdict import expect_same
from tests.testing.bugs_in_steps import DropsLeaf
from tests.testing.sound import Sound


def test_the_readme_counts_the_checks() -> None:
    readme = Path(__file__).parents[2] / "README.md"
    assert f"the suite holds it to {len(CHECKS)} properties" in readme.read_text(encoding="utf-8")


def noisy() -> Zoneout:
    return Zoneout(Sound(), 0.5)


def test_results_come_in_the_order_of_the_checks() -> None:
    results = check_cell(Sound, checks=QUICK_CHECKS)
    assert [result.check for result in results] == [check.__name__ for check in QUICK_CHECKS]
    assert all(result.outcome == "passed" and result.ok and result.seconds > 0 for result in results)
    assert len(CHECKS) == len(QUICK_CHECKS) + 1


def test_no_check_is_forgotten() -> None:
    modules = [importlib.import_module(module.name) for module in pkgutil.iter_modules(seqlab.testing.__path__, "seqlab.testing.")]
    found = {name for module in modules for name in vars(module) if name.startswith("check_")}
    assert found - {"check_cell"} == {check.__name__ for check in CHECKS}


def test_a_check_called_by_itself_raises_with_the_reason() -> None:
    with pytest.raises(Nonconforming, match=r"step returned the state leaves \['h'\]; expected \['c', 'h'\]. Return every leaf"):
        check_spec(DropsLeaf)


def test_raising_names_every_failing_check() -> None:
    with pytest.raises(Nonconforming, match=r"(?s)2 of 2 checks fail:\ncheck_spec: .*\ncheck_resumes: raised ValueError: step of DropsLeaf"):
        check_cell(DropsLeaf, checks=[check_spec, check_resumes], raising=True)


def test_an_error_of_the_cell_is_reported_with_its_place() -> None:
    class Broken(Sound):
        def step(self, p: Any, state: State) -> tuple[Tensor, State]:
            return state["hidden"], state

    (result,) = check_cell(Broken, checks=[check_resumes])
    assert result.outcome == "failed"
    assert "raised KeyError: 'hidden' (test_check_cell.py:" in result.reason
    assert result.reason.endswith("in step)")


def test_what_noise_leaves_out_is_said() -> None:
    (result,) = check_cell(noisy, checks=[check_project_is_per_step])
    assert result.ok
    assert result.reason == "shapes compared in evaluation only: the cell draws random numbers in training"


def test_a_known_failure_conforms_and_shows_its_reason() -> None:
    (result,) = check_cell(DropsLeaf, checks=[check_spec], known_failures={"check_spec": "c is a secret"})
    assert (result.outcome, result.ok) == ("known failure", True)
    assert result.reason.startswith("c is a secret (step returned")


def test_a_known_failure_that_passes_is_a_failure() -> None:
    (result,) = check_cell(Sound, checks=[check_spec], known_failures={"check_spec": "it once did"})
    assert (result.outcome, result.ok) == ("failed", False)
    assert "passes, but is listed as a known failure (it once did)" in result.reason


@pytest.mark.parametrize(("known", "message"), [({"check_specs": "x"}, "Did you mean 'check_spec'"), ({"check_spec": " "}, "has no reason")])
def test_known_failures_need_a_check_and_a_reason(known: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_cell(Sound, known_failures=known)


def test_a_factory_that_builds_no_cell_is_an_error() -> None:
    (result,) = check_cell(lambda: torch.nn.Linear(3, 4), checks=[check_spec])  # type: ignore[arg-type, return-value]
    assert "raised TypeError: the factory returned a Linear; expected a seqlab.Cell" in result.reason


def test_the_callers_random_numbers_and_grad_mode_are_untouched() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with torch.no_grad():
        results = check_cell(noisy, checks=QUICK_CHECKS)
        assert not torch.is_grad_enabled()
    assert all(result.ok for result in results)
    assert torch.equal(torch.rand(3), expected)


def test_inference_mode_around_the_suite_changes_nothing() -> None:
    with torch.inference_mode():
        assert all(result.ok for result in check_cell(Sound, checks=QUICK_CHECKS))


def test_a_compiled_executor_that_differs_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = EXECUTORS["loop"]

    def scaled(cell: Any, inputs: Any) -> tuple[Tensor, State]:
        y, state = loop(cell, inputs)
        return y * 1.01, state

    monkeypatch.setitem(EXECUTORS, "compiled", scaled)
    with pytest.raises(Nonconforming, match=r"output on executor 'compiled' in torch\.float64, training"):
        check_compiled_agrees(Sound)


def test_a_cell_that_cannot_compile_passes_with_what_prevents_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from seqlab.executors.compiled import CannotCompile

    def refuse(cell: Any, inputs: Any) -> tuple[Tensor, State]:
        raise CannotCompile("step of Sound reads the values of a tensor")

    monkeypatch.setitem(EXECUTORS, "compiled", refuse)
    assert "step of Sound reads the values of a tensor" in check_compiled_agrees(Sound)


@pytest.mark.slow
def test_the_compiled_executor_agrees() -> None:
    check_compiled_agrees(partial(make_cell, "lstm", 3, 4))


def test_an_infinity_lets_nothing_else_pass() -> None:
    expected = {"state": torch.tensor([-torch.inf, 1.0])}
    expect_same(expected, expected, "here", "there", "")
    for wrong in ([-torch.inf, 2.0], [torch.inf, 1.0], [0.0, 1.0], [torch.nan, 1.0]):
        with pytest.raises(Nonconforming):
            expect_same({"state": torch.tensor(wrong)}, expected, "here", "there", "")
