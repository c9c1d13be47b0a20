"""`seqlab train` with cells that are not seqlab's own."""

import json
import sys

import pytest

from seqlab.cli import main
from tests.registry.installed import CELL, write_package


@pytest.fixture
def train(site, tmp_path, monkeypatch, capsys):
    """(status, stderr) of a run of a few batches."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)

    def run(*words):
        status = main(["train", "debug=fast", "hydra.run.dir=run", *words])
        return status, capsys.readouterr().err

    return run


def test_a_bare_file_trains_with_its_options(train, tmp_path):
    (tmp_path / "mine.py").write_text(CELL.format(name="mine", cls="Leaky"))
    status, error = train("plugins=[mine.py]", "cell=plugin", "cell.name=mine", "+cell.beta=1", "+cell.alpha=0.25", "init=default")
    assert (error, status) == ("", 0)
    assert json.loads((tmp_path / "run/summary.json").read_text())["status"] == "finished"
    assert "alpha: 0.25" in (tmp_path / "run/config.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cell.name=mine", "+cell.alfa=1"], "no option of cell 'mine' is named 'alfa'. Did you mean 'alpha'? Known: alpha, beta."),
        (["cell.name=mien"], "no cell is named 'mien'. Did you mean 'mine'? Known: gru, "),
    ],
)
def test_what_is_misspelt_in_a_bare_file_is_said(train, tmp_path, words, said):
    (tmp_path / "mine.py").write_text(CELL.format(name="mine", cls="Leaky"))
    status, error = train("plugins=[mine.py]", "cell=plugin", *words)
    assert status == 1
    assert said in error


def test_an_installed_cell_that_cannot_be_imported_is_named_with_its_package(train, site):
    write_package(site, "late", {"late.py": "raise RuntimeError('no licence')\n" + CELL.format(name="late", cls="Late")}, {"late": "late:Late"})
    status, error = train("cell=late", "cell.beta=1")
    assert status == 1
    assert "cell 'late' of late cannot be imported from late.Late: RuntimeError: no licence. Repair or uninstall late." in error


def test_an_option_without_a_default_has_to_be_given(train, site):
    write_package(site, "leaky", {"leaky.py": CELL.format(name="leaky", cls="Leaky")}, {"leaky": "leaky:Leaky"})
    status, error = train("cell=leaky")
    assert status == 1
    assert "cell.beta has no value, and this config needs one. Give cell.beta=VALUE." in error


def test_a_cell_whose_text_cannot_be_read_says_so_when_it_is_asked_for_and_spares_the_others(train, site):
    write_package(site, "broken", {"broken.py": "def f(:\n"}, {"broken": "broken:Mine"})
    status, error = train("cell=broken")
    assert status == 2
    assert "cell=broken: cell 'broken' of broken cannot be used: SyntaxError" in error
    assert train("cell=gru") == (0, "")


def test_a_shadowed_config_is_named_and_stops_the_runs_that_choose_it_alone(train, site, tmp_path):
    write_package(site, "extra", {"extra/__init__.py": "", "extra/conf/cell/lstm.yaml": "x: 1\n"}, configs="extra:conf")
    status, error = train("cell=lstm")
    assert status == 1
    said, refused = error.splitlines()
    assert "the config 'cell/lstm' is given twice, by " in refused
    assert "lstm.yaml (seqlab) and by " in refused
    assert not (tmp_path / "run").exists()
    assert train("cell=gru") == (0, f"{said}\n")
    assert said.endswith("Until then a run that chooses it is refused.")


@pytest.mark.parametrize(("name", "word"), [("callbacks/ema", "callbacks=[default,ema]"), ("experiment/temporal_order", "experiment=theirs")])
def test_a_shadowed_config_in_a_list_or_below_another_stops_the_run_too(train, site, name, word):
    theirs = "# @package _global_\ndefaults: [temporal_order]\n"
    write_package(
        site, "extra", {"extra/__init__.py": "", f"extra/conf/{name}.yaml": "x: 1\n", "extra/conf/experiment/theirs.yaml": theirs}, configs="extra:conf"
    )
    status, error = train(word)
    assert status == 1
    assert f"seqlab train: the config '{name}' is given twice" in error


def test_a_built_in_name_that_a_plugin_claims_is_an_error_only_where_it_is_used(train, site):
    write_package(site, "taker", {"taker.py": CELL.format(name="lstm", cls="Mine")}, {"lstm": "taker:Mine"})
    status, error = train("cell=lstm")
    assert status == 1
    assert "'lstm' is claimed twice, by seqlab.cells.lstm.LSTM (seqlab) and by taker.Mine (taker). Rename one of them." in error
    assert train("cell=gru") == (0, "")
