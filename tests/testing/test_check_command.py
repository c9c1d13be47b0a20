"""`seqlab check`, by its exit status and by what it prints."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from seqlab import registry
from seqlab.check import main, parser, table
from seqlab.testing import CHECKS, QUICK_CHECKS, Result

PLUGIN = '''
import torch
from torch import nn
from seqlab import Cell, register_cell

@register_cell("leaky")
class Leaky(Cell):
    """A leaky integrator."""
    def __init__(self, input_size, hidden_size, *, rate=0.5, drop=False):
        super().__init__(input_size, hidden_size, {"h": (hidden_size,)}, output_key="h")
        self.rate, self.drop = rate, drop
        self.weight = nn.Parameter(torch.randn(hidden_size, input_size))
    def project(self, x):
        return x @ self.weight.T
    def step(self, p, state):
        h = (1 - self.rate) * state["h"] + self.rate * p
        return h, {} if self.drop else {"h": h}
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugin file; what it registers is forgotten after the test."""
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    file = tmp_path / "leaky.py"
    file.write_text(PLUGIN)
    yield file
    sys.modules.pop("seqlab_plugin_leaky", None)


def test_a_conforming_cell_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lstm", "--quick"]) == 0
    shown = capsys.readouterr().out
    assert all(check.__name__ in shown for check in QUICK_CHECKS)
    assert f"lstm: all {len(QUICK_CHECKS)} checks pass in" in shown
    assert "1 left out by --quick" in shown


def test_a_plugin_with_options(plugin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["leaky", "--plugin", str(plugin), "--option", "rate=0.25", "--size", "2,5", "--quick", "--json"]
    assert main(arguments) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["cell"], shown["input_size"], shown["hidden_size"], shown["options"], shown["passed"]) == ("leaky", 2, 5, {"rate": 0.25}, True)
    assert [check["check"] for check in shown["checks"]] == [check.__name__ for check in QUICK_CHECKS]
    assert all(check["outcome"] == "passed" and check["seconds"] > 0 for check in shown["checks"])


def test_a_failing_cell_exits_with_1_and_says_why(plugin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaky", "--plugin", str(plugin), "--option", "drop=true", "--quick"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "check_spec: step returned the state leaves []; expected ['h']. Return every leaf of state_shapes and no other." in shown
    assert "checks fail" in shown


def test_a_cell_that_cannot_be_built_says_where(plugin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin.write_text(PLUGIN.replace("self.rate, self.drop = rate, drop", "self.rates[0] = rate"))
    assert main(["leaky", "--plugin", str(plugin)]) == 2
    shown = capsys.readouterr().err
    assert "cell 'leaky' cannot be built: it raised AttributeError: 'Leaky' object has no attribute 'rates' (leaky.py:11, in __init__)." in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("text", "value"),
    [("false", False), ("False", False), ("None", None), ("null", None), (".5", 0.5), ("1e-3", 1e-3), ("tanh", "tanh"), ("[1, 2]", [1, 2]), ("", "")],
)
def test_values_of_options_are_read_as_they_are_written(text: str, value: object) -> None:
    """A word would be true, so that a bias=False in Python's spelling would switch the bias on."""
    ((key, found),) = parser().parse_args(["lstm", "--option", f"bias={text}"]).option
    assert (key, found, type(found)) == ("bias", value, type(value))


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_result_is_shown_on_a_terminal_of_any_width(width: int) -> None:
    results = [Result(check.__name__, "passed", 1.5) for check in CHECKS]
    console = Console(width=width, file=io.StringIO())
    console.print(table("lstm", results))
    lines = console.file.getvalue().splitlines()[4:-1]
    assert len(lines) == len(CHECKS)
    for line, result in zip(lines, results, strict=True):
        assert [cell.strip() for cell in line.split("│")[1:4]] == [result.check, "passed", "1500"]


def test_a_known_failure_is_shown_and_does_not_fail(plugin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = [argument for check in QUICK_CHECKS for argument in ("--known-failure", f"{check.__name__}=drops h on purpose")]
    arguments = ["leaky", "--plugin", str(plugin), "--option", "drop=true", "--quick", "--json"]
    status = main([*arguments, *known])
    outcomes = {check["check"]: check["outcome"] for check in json.loads(capsys.readouterr().out)["checks"]}
    assert outcomes["check_spec"] == "known failure"
    assert status == (1 if "failed" in outcomes.values() else 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lsmt"], "no cell is named 'lsmt'. Did you mean 'lstm'? Known: gru,"),
        (["lstm", "--option", "biass=false"], "no option of cell 'lstm' is named 'biass'. Did you mean 'bias'?"),
        (["rnn", "--option", "activation=tan"], "Did you mean 'tanh'?"),
        (["lstm", "--plugin", "nowhere.py"], "plugin file 'nowhere.py' does not exist"),
        (["lstm", "--known-failure", "check_spc=x"], "no check is named 'check_spc'. Did you mean 'check_spec'?"),
    ],
)
def test_what_cannot_be_checked_exits_with_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: NAME"),
        (["lstm", "--option", "bias"], "'bias' is no option; expected KEY=VALUE"),
        (["lstm", "--size", "4"], "'4' is no pair of sizes; expected input_size,hidden_size"),
        (["lstm", "--size", "0,4"], "'0,4' is no pair of sizes; expected input_size,hidden_size"),
        (["lstm", "--known-failure", "check_spec="], "has no reason; expected CHECK=REASON"),
    ],
)
def test_arguments_that_make_no_sense_exit_with_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("NAME", "--option", "--plugin", "--size", "--quick", "--known-failure", "--json", "Exit status"))
