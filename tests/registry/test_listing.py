"""`seqlab cells`: a row for every cell, whatever is wrong with a plugin."""

import json

import pytest

from seqlab.list_cells import main
from seqlab.registry import known_names
from tests.registry.installed import CELL, write_package


@pytest.fixture
def listing(site, capsys):
    def run(*words):
        assert main([*words, "--json"]) == 0
        return {row["name"]: row for row in json.loads(capsys.readouterr().out)}

    return run


def test_the_table_has_a_row_for_every_cell_with_its_source(capsys, site):
    assert main([]) == 0
    table = capsys.readouterr().out
    assert all(f"│ {name} " in table for name in known_names())
    assert "Learning to forget" in table
    assert all(name in table.splitlines()[1] for name in ("name", "summary", "source", "origin"))


def test_every_cell_of_seqlab_has_a_summary_and_a_source(listing):
    for row in listing().values():
        assert row["summary"], row["name"]
        assert row["source"], row["name"]
        assert row["error"] == "", row["name"]


def test_a_plugin_is_listed_and_what_is_wrong_stands_in_its_row(site, listing, capsys):
    write_package(site, "leaky", {"leaky.py": CELL.format(name="leaky", cls="Leaky")}, {"leaky": "leaky:Leaky"})
    write_package(site, "broken", {"broken.py": "def f(:\n"}, {"broken": "broken:Mine"})
    write_package(site, "taker", {"taker.py": CELL.format(name="lstm", cls="Mine")}, {"lstm": "taker:Mine"})
    rows = listing()
    assert rows["leaky"] | {"error": ""} == rows["leaky"]
    assert (rows["leaky"]["origin"], rows["leaky"]["options"]) == ("leaky", {"alpha": 0.5, "beta": "???"})
    assert rows["broken"]["error"].startswith("SyntaxError")
    assert rows["lstm"]["error"] == "claimed twice, by seqlab.cells.lstm.LSTM (seqlab) and taker.Mine (taker)"
    assert main([]) == 0
    assert "error: SyntaxError" in capsys.readouterr().out


def test_a_size_adds_what_only_a_cell_that_is_built_knows(listing):
    lstm = listing("--size", "3,5")["lstm"]
    assert lstm["parameters"] == 4 * 5 * (3 + 5 + 1)  # four gates of five units: input, recurrent, bias
    assert lstm["state"] == {"h": [5], "c": [5]}
    assert {"loop", "native"} <= set(lstm["executors"])
    assert "native" not in listing("--size", "3,5")["lstm_peephole"]["executors"]  # torch.nn has no kernel for peepholes


def test_with_a_size_a_plugin_that_cannot_be_built_says_why_and_the_others_are_measured(site, listing):
    write_package(site, "leaky", {"leaky.py": CELL.format(name="leaky", cls="Leaky")}, {"leaky": "leaky:Leaky"})
    write_package(site, "late", {"late.py": "raise RuntimeError('no licence')\n" + CELL.format(name="late", cls="Late")}, {"late": "late:Late"})
    rows = listing("--size", "3,5")
    assert "missing 1 required keyword-only argument: 'beta'" in rows["leaky"]["error"]
    assert "no licence" in rows["late"]["error"]
    assert rows["late"]["parameters"] is None
    assert rows["gru"]["parameters"] == 3 * 5 * (3 + 5 + 1)


def test_the_table_shows_sizes(site, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # a narrow terminal folds the row
    assert main(["--size", "3,5"]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│ lstm ")]
    assert " 180 │ h 5, c 5 │ loop, " in row


@pytest.mark.parametrize("size", ["64", "64,", "a,b", "0,5", "1,2,3", "-1,2"])
def test_a_size_that_is_none_is_refused(size, capsys):
    with pytest.raises(SystemExit) as stop:
        main([f"--size={size}"])
    assert stop.value.code == 2
    assert f"'{size}' is no pair of sizes; expected input_size,hidden_size as in 64,128" in capsys.readouterr().err
