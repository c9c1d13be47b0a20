"""Who may hold a name, and what is said when a name is taken, unknown or broken."""

import pytest

from seqlab import Cell, make_cell, register_cell
from seqlab.registry import known_names, list_cells, load_plugin_file, resolve_cell
from tests.registry.installed import CELL, write_package


def listed(name):
    return next(info for info in list_cells() if info.name == name)


def test_the_decorator_makes_a_class_known(site):
    @register_cell("here")
    class Here:
        """A cell of a test.

        Source: this file.
        """

    assert resolve_cell("here") is Here
    assert listed("here").summary == "A cell of a test"
    assert listed("here").source == "this file"


def test_the_same_class_again_replaces_the_first(site):
    def define():
        @register_cell("again")
        class Again:
            pass

        return Again

    define()
    second = define()
    assert resolve_cell("again") is second


def test_another_class_cannot_take_a_name(site):
    @register_cell("mine")
    class First:
        pass

    with pytest.raises(ValueError, match=r"'mine' is claimed twice, by .*First \(.*test_names.py\) and by .*Second") as caught:

        @register_cell("mine")
        class Second:
            pass

    assert "Rename one of them" in str(caught.value)
    assert resolve_cell("mine") is First


@pytest.mark.parametrize("name", ["", "two words", "a/b", "a=b", "a,b", "[a]"])
def test_a_name_that_no_command_line_takes_is_refused(site, name):
    with pytest.raises(ValueError, match=r"cannot be written on a command line; expected letters, digits and _ - . \+ alone"):
        register_cell(name)
    assert name not in known_names()


def test_the_decorator_without_parentheses_says_so(site):
    """It would put a function in the place of the class."""
    with pytest.raises(TypeError, match=r"the name of a cell is <class .*Mine'>; expected a string. Write @register_cell\('name'\)"):

        @register_cell
        class Mine:
            pass


def test_what_is_no_name_is_a_type_error():
    with pytest.raises(TypeError, match=r"the name of a cell is None; expected a string, e.g. 'lstm'"):
        make_cell(None, 3, 3)


def test_a_built_in_name_is_taken_before_the_cell_is_imported(site):
    with pytest.raises(ValueError, match=r"'lstm' is claimed twice, by seqlab.cells.lstm.LSTM \(seqlab\) and by .*Mine"):

        @register_cell("lstm")
        class Mine:
            pass


def test_a_plugin_with_a_built_in_name_names_both_and_spares_the_rest(site):
    write_package(site, "taker", {"taker.py": CELL.format(name="lstm", cls="Mine")}, {"lstm": "taker:Mine"})
    with pytest.raises(ValueError, match=r"'lstm' is claimed twice, by seqlab.cells.lstm.LSTM \(seqlab\) and by taker.Mine \(taker\)"):
        resolve_cell("lstm")
    assert "taker.Mine (taker)" in listed("lstm").error
    assert resolve_cell("gru").__name__ == "GRU"


def test_two_plugins_with_one_name_are_both_named(site):
    for plugin in ("one", "two"):
        write_package(site, plugin, {f"{plugin}.py": CELL.format(name="shared", cls="Mine")}, {"shared": f"{plugin}:Mine"})
    with pytest.raises(ValueError, match=r"'shared' is claimed twice, by (one.Mine \(one\) and by two.Mine \(two\)|two.* and by one)"):
        resolve_cell("shared")
    assert all(plugin in listed("shared").error for plugin in ("one.Mine (one)", "two.Mine (two)"))


def test_a_plugin_is_known_by_its_text_and_imported_when_asked_for(site):
    write_package(site, "leaky", {"leaky.py": CELL.format(name="leaky", cls="Leaky")}, {"leaky": "leaky:Leaky"})
    info = listed("leaky")
    assert (info.origin, info.summary, info.source) == ("leaky", "Leaky sum: h_t = a h_(t-1) + x_t", "nobody, 2026, eq. 1")
    assert info.options == {"alpha": 0.5, "beta": "???"}
    assert make_cell("leaky", 3, 3, beta=1).alpha == 0.5
    assert resolve_cell("leaky") is resolve_cell("leaky")


def test_an_entry_point_may_name_the_package_that_re_exports_the_class(site):
    files = {"outer/__init__.py": "from .inner import Leaky\n", "outer/inner.py": CELL.format(name="outer", cls="Leaky")}
    write_package(site, "outer", files, {"outer": "outer:Leaky"})
    assert listed("outer").summary.startswith("Leaky sum")
    assert not listed("outer").error
    for _ in range(2):  # the second time it is registered, under the module that defines it
        assert resolve_cell("outer").__module__ == "outer.inner"
    assert not listed("outer").error


@pytest.mark.parametrize(
    ("text", "value", "listing", "asking"),
    [
        ("import no_such_module\n" + CELL.format(name="broken", cls="Leaky"), "broken:Leaky", "", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise RuntimeError('no licence')\n" + CELL.format(name="broken", cls="Leaky"), "broken:Leaky", "", "RuntimeError: no licence"),
        ("def f(:\n", "broken:Leaky", "SyntaxError", "SyntaxError"),
        ("x = 1\n", "broken:Leaky", "no class Leaky in", "has no attribute 'Leaky'"),
        ("x = 1\n", "nowhere.at_all:Leaky", "no module named 'nowhere.at_all'", "No module named 'nowhere'"),
        ("Leaky = 3\n", "broken:Leaky", "no class Leaky in", "is 3; expected a subclass of seqlab.Cell"),
    ],
)
def test_a_broken_plugin_shows_in_its_row_and_when_asked_for_and_nowhere_else(site, text, value, listing, asking):
    write_package(site, "broken", {"broken.py": text}, {"broken": value})
    assert listing in listed("broken").error
    with pytest.raises(ValueError, match="cell 'broken' of broken") as caught:
        make_cell("broken", 3, 3)
    assert asking in str(caught.value)
    assert make_cell("lstm", 3, 3).output_size == 3
    assert len(list_cells()) == len(known_names())


def test_a_class_that_is_no_cell_is_refused(site):
    write_package(site, "plain", {"plain.py": "class Plain:\n    pass\n"}, {"plain": "plain:Plain"})
    with pytest.raises(TypeError, match=r"cell 'plain' is plain.Plain, which is no subclass of seqlab.Cell"):
        make_cell("plain", 3, 3)


def test_an_unknown_name_gets_the_closest_match_all_names_and_how_to_add_one():
    with pytest.raises(ValueError, match="no cell is named 'lsmt'") as caught:
        make_cell("lsmt", 3, 3)
    message = str(caught.value)
    assert "Did you mean 'lstm'?" in message
    assert all(name in message for name in known_names())
    assert "entry-point group 'seqlab.cells'" in message
    assert "plugins=[FILE]" in message


def test_a_name_like_no_other_gets_no_guess():
    with pytest.raises(ValueError, match="no cell is named 'zzzz'") as caught:
        resolve_cell("zzzz")
    assert "Did you mean" not in str(caught.value)


def test_an_unknown_option_of_a_plugin_file_is_refused(site, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(CELL.format(name="from_file", cls="Leaky"))
    load_plugin_file(file)
    with pytest.raises(ValueError, match=r"no option of cell 'from_file' is named 'alfa'. Did you mean 'alpha'"):
        make_cell("from_file", 3, 3, alfa=1.0)
    assert isinstance(make_cell("from_file", 3, 3, beta=0), Cell)
