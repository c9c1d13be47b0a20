"""conf/cell holds every built-in cell, with all of its options at their defaults."""

import inspect
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from seqlab import make_cell
from seqlab.registry import list_cells, resolve_cell

FOLDER = Path(__file__).parents[2] / "conf" / "cell"
BUILTIN = [info.name for info in list_cells() if info.origin == "seqlab"]


def load(name):
    return OmegaConf.load(FOLDER / f"{name}.yaml")


@pytest.mark.parametrize("name", BUILTIN)
def test_keys_and_values_are_those_of_the_constructor(name):
    keywords = list(inspect.signature(resolve_cell(name)).parameters.values())[2:]
    assert all(p.kind is p.KEYWORD_ONLY for p in keywords)
    expected = {"_target_": "seqlab.make_cell", "_partial_": True, "name": name, "hidden_size": 128, **{p.name: p.default for p in keywords}}
    assert dict(load(name)) == expected


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda f: f.stem)
def test_each_file_is_a_factory_that_takes_the_input_size(file):
    config = OmegaConf.load(file)
    if file.stem == "plugin":
        assert OmegaConf.is_missing(config, "name")
        config.name = "lstm"
    config.hidden_size = 6
    cell = instantiate(config)(input_size=4)
    assert (type(cell), cell.input_size, cell.output_size) == (resolve_cell(config.name), 4, 6)


@pytest.mark.parametrize("name", BUILTIN)
def test_the_listing_says_what_the_cell_is_and_where_it_is_from(name):
    info = next(info for info in list_cells() if info.name == name)
    assert not info.error
    assert info.summary
    assert info.source
    assert set(info.options) == set(load(name)) - {"_target_", "_partial_", "name", "hidden_size"}


def test_an_unknown_option_names_the_closest():
    with pytest.raises(ValueError, match=r"no option of cell 'lstm_peephole' is named 'cells_per_blok'\. Did you mean 'cells_per_block'"):
        make_cell("lstm_peephole", 4, 6, cells_per_blok=2)
