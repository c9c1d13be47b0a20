"""match=params: equal numbers of parameters for every cell, counted on the models that are trained."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from seqlab.build import build_data, build_model
from seqlab.config import config_folder, groups
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


@pytest.mark.parametrize("encoder", ["stack", "none"])
def test_a_decoder_of_the_cell_is_matched_in_a_config_that_was_resolved_too(encoder: str) -> None:
    options = [f"encoder={encoder}", "data=reverse", "task=seq2seq", "frontend=tokens", "head=decoder", f"head.bridge={str(encoder == 'stack').lower()}"]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", ["experiment=none", "match=params", "cell=rnn", "cell.hidden_size=20", *options])
    spec = DataSpec("tokens", 9, "symbols", 9)
    resolved = OmegaConf.create(OmegaConf.to_container(config, resolve=True))  # as the ranks of trainer=ddp get it
    for each in (config, resolved):
        assert match_parameters(each, spec)
        assert each.head.layers.cell.hidden_size == each.cell.hidden_size > 20
        found = sum(parameter.numel() for parameter in build_model(each, spec).parameters())
        assert abs(found / each.match.parameters - 1) < 0.05  # one unit more is 3 % here
    assert resolved.cell.hidden_size == config.cell.hidden_size


def test_no_match_changes_nothing() -> None:
    config = small_config()
    before = OmegaConf.to_yaml(config)
    assert not match_parameters(config, build_data(config).spec)
    assert OmegaConf.to_yaml(config) == before


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["match.parameters=3"], r"with hidden_size=2 the model has \d+ already"),
        (["encoder=none"], "neither the encoder nor the head is made of the cell"),
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
