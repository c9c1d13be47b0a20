"""match=params: equal numbers of parameters for every cell, counted on the models that are trained."""

from __future__ import annotations

import pytest
from omegaconf import DictConfig, OmegaConf

from seqlab.build import build_data, build_model
from seqlab.config import groups
from seqlab.data.base import DataSpec
from seqlab.match import match_parameters
from tests.train.conftest import small_config

LSTM_OF_20 = 4 * 20 * (2 + 20 + 1) + 20  # four gates over two inputs, the state and a bias; a head with one output and no bias
CELLS = [name for name in groups()["cell"] if name != "plugin"]


def matched(*overrides: str) -> tuple[DictConfig, DataSpec]:
    """The config after matching, and what its data gave."""
    config = small_config("match=params", *overrides)
    spec = build_data(config).spec
    assert match_parameters(config, spec)
    return config, spec


def built(config: DictConfig, spec: DataSpec, size: int) -> int:
    """The parameters of the model as it is trained, with a hidden_size."""
    config.cell.hidden_size = size
    return sum(parameter.numel() for parameter in build_model(config, spec).parameters())


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_comes_as_near_as_a_whole_number_lets_it(cell: str) -> None:
    config, spec = matched(f"cell={cell}", "cell.hidden_size=20")
    size, budget = config.cell.hidden_size, config.match.parameters
    assert budget == LSTM_OF_20
    below, found, above = (built(config, spec, other) for other in (size - 1, size, size + 1))
    assert below < found < above
    assert abs(found - budget) <= min(budget - below, above - budget)
    assert cell != "lstm" or size == 20


def test_layers_directions_and_wrappers_are_counted() -> None:
    config, spec = matched("cell=gru", "cell.hidden_size=30", "encoder.num_layers=2", "encoder.bidirectional=true", "wrap=[zoneout]")
    size = config.cell.hidden_size
    assert size > 30
    assert abs(built(config, spec, size) / config.match.parameters - 1) < 0.03  # one unit more is 6 % here


def test_no_match_changes_nothing() -> None:
    config = small_config()
    before = OmegaConf.to_yaml(config)
    assert not match_parameters(config, build_data(config).spec)
    assert OmegaConf.to_yaml(config) == before


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["match.parameters=3"], r"with hidden_size=2 the model has \d+ already"),
        (["encoder.cell=[lstm,gru]", "encoder.hidden_size=4"], r"encoder\.cell names cells of its own"),
    ],
)
def test_what_cannot_be_matched_is_said(overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        matched(*overrides)


def test_the_run_keeps_the_size_that_was_solved(run) -> None:
    done = run("match=params", "cell=rnn", "cell.hidden_size=8")
    config = OmegaConf.load(done.directory / "config.yaml")
    assert config.cell.hidden_size == config.encoder.cell.hidden_size > 8
    assert config.match.hidden_size == 8
    assert abs(done.summary["parameters"] / config.match.parameters - 1) < 0.1  # one unit more is 8 % here
