"""Bare files that register cells: plugins=[FILE]."""

import importlib
import sys

import pytest

from seqlab.registry import cell_file, known_names, list_cells, load_plugin_file, resolve_cell
from tests.registry.installed import CELL


@pytest.fixture
def write(site, tmp_path):
    def write_file(text, name="mine.py", folder="."):
        (tmp_path / folder).mkdir(exist_ok=True)
        file = tmp_path / folder / name
        file.write_text(text, encoding="utf-8")
        return file

    return write_file


def test_a_file_makes_its_cells_known_and_is_loaded_once(write):
    file = write(CELL.format(name="leaky", cls="Leaky") + "\nloads = globals().get('loads', 0) + 1\n")
    module = load_plugin_file(file)
    assert load_plugin_file(str(file)) is module
    assert resolve_cell("leaky") is module.Leaky
    assert cell_file("leaky") == str(file)
    (info,) = [info for info in list_cells() if info.name == "leaky"]
    assert (info.origin, info.summary, info.error) == (str(file), "Leaky sum: h_t = a h_(t-1) + x_t", "")


def test_a_file_is_one_file_by_whatever_path(write, tmp_path, monkeypatch):
    file = write(CELL.format(name="leaky", cls="Leaky"), folder="real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    module = load_plugin_file(file)
    assert load_plugin_file(tmp_path / "link" / "mine.py") is module
    monkeypatch.syspath_prepend(tmp_path / "link")
    imported = importlib.import_module("mine")
    assert resolve_cell("leaky") is imported.Leaky


def test_two_files_of_one_name_do_not_get_in_each_others_way(write):
    first = load_plugin_file(write(CELL.format(name="one", cls="Leaky"), folder="a"))
    second = load_plugin_file(write(CELL.format(name="two", cls="Leaky"), folder="b"))
    assert resolve_cell("one") is first.Leaky
    assert resolve_cell("two") is second.Leaky
    assert sys.modules[first.__name__] is first
    assert sys.modules[second.__name__] is second


def test_a_missing_file_says_where_it_was_looked_for(site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"plugin file 'nowhere.py' does not exist \(looked at .*/nowhere.py\). Give plugins=\["):
        load_plugin_file("nowhere.py")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def f(:\n", "cannot be imported: SyntaxError"),
        ("import no_such_module\n", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = 1\n", "registers no cell; expected a class under @register_cell"),
        (CELL.format(name="rnn", cls="Mine"), "'rnn' is claimed twice, by seqlab.cells.rnn.RNN"),
        (CELL.format(name="twice", cls="One") + CELL.format(name="twice", cls="Two"), "'twice' is claimed twice, by .*One .* and by .*Two"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_and_leaves_nothing_behind(write, text, reason):
    file = write(text)
    before = known_names()
    for _ in range(2):  # the second time it is no better
        with pytest.raises(ValueError, match=f"plugin file .*mine.py .*{reason}"):
            load_plugin_file(file)
    assert known_names() == before
    assert not [name for name in sys.modules if name.startswith("seqlab_plugin_mine")]


def test_a_repaired_file_can_be_loaded_after_all(write):
    file = write(CELL.format(name="leaky", cls="Leaky") + "\n1 / 0\n")
    with pytest.raises(ValueError, match="ZeroDivisionError"):
        load_plugin_file(file)
    write(CELL.format(name="leaky", cls="Leaky"))
    assert load_plugin_file(file).Leaky is resolve_cell("leaky")


def test_a_folder_is_no_plugin(site, tmp_path):
    with pytest.raises(ValueError, match=r"plugin file .* is a folder \(looked at .*\). Give plugins=\["):
        load_plugin_file(tmp_path)


def test_a_text_file_is_no_plugin(write):
    with pytest.raises(ValueError, match=r"is not a Python file; expected a name ending in .py"):
        load_plugin_file(write("x", name="mine.txt"))
