"""Configs of plugins: cells without a YAML, folders of configs, and names that two folders hold."""

import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from seqlab.completion import complete
from seqlab.config import config_folder, config_folders, configs, groups, plugin_folders, shadowed_configs
from seqlab.hydra_setup import prepare_hydra
from seqlab.runs import check_targets
from tests.registry.installed import CELL, write_package

PACKAGE = {"leaky/__init__.py": "", "leaky/cells.py": CELL.format(name="leaky", cls="Leaky")}


def composed(*overrides):
    prepare_hydra()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return compose("train", list(overrides))


def test_a_plugin_cell_needs_no_yaml(site):
    write_package(site, "leaky", PACKAGE, {"leaky": "leaky.cells:Leaky"})
    assert "leaky" in groups()["cell"]
    config = composed("cell=leaky", "cell.beta=2", "~experiment").cell
    assert config == {"_target_": "seqlab.make_cell", "_partial_": True, "name": "leaky", "hidden_size": 128, "alpha": 0.5, "beta": 2}
    assert instantiate(config)(input_size=3).alpha == 0.5


def test_a_yaml_of_its_own_goes_before(site):
    yaml = "_target_: seqlab.make_cell\n_partial_: true\nname: leaky\nhidden_size: 7\nbeta: 1\n"
    write_package(site, "leaky", {**PACKAGE, "leaky/conf/cell/leaky.yaml": yaml}, {"leaky": "leaky.cells:Leaky"}, "leaky:conf")
    assert composed("cell=leaky", "~experiment").cell == {"_target_": "seqlab.make_cell", "_partial_": True, "name": "leaky", "hidden_size": 7, "beta": 1}


def test_a_default_that_yaml_cannot_hold_stays_with_the_class(site):
    text = CELL.format(name="leaky", cls="Leaky").replace("alpha=0.5", "alpha={1, 2}").replace("beta", "beta=1, gamma=print")
    write_package(site, "leaky", {**PACKAGE, "leaky/cells.py": text}, {"leaky": "leaky.cells:Leaky"})
    assert set(composed("cell=leaky", "~experiment").cell) == {"_target_", "_partial_", "name", "hidden_size", "beta"}


def test_a_broken_plugin_gets_no_config_and_spares_the_others(site):
    write_package(site, "broken", {"broken.py": "def f(:\n"}, {"broken": "broken:Mine"})
    assert "broken" not in groups()["cell"]
    assert composed("cell=lstm", "~experiment").cell.name == "lstm"


@pytest.mark.parametrize("value", ["extra:conf", "extra.conf"])
def test_a_folder_of_configs_comes_with_a_package(site, value):
    files = {"extra/__init__.py": "", "extra/conf/experiment/theirs.yaml": "# @package _global_\nseed: 5\n", "extra/conf/optimizer/own.yaml": "lr: 9\n"}
    write_package(site, "extra", files, configs=value)
    assert [folder.origin for folder in config_folders()] == ["seqlab", "extra"]
    assert "own" in groups()["optimizer"]
    assert composed("experiment=theirs").seed == 5
    assert composed("optimizer=own", "~experiment").optimizer == {"lr": 9}


@pytest.mark.parametrize(("value", "reason"), [("extra:nowhere", "there is no folder .*nowhere"), ("absent:conf", "no module named 'absent'")])
def test_a_folder_that_is_missing_is_named_and_left_out(site, value, reason, capsys):
    write_package(site, "extra", {"extra/__init__.py": ""}, configs=value)
    (folder,) = plugin_folders()
    assert "seqlab.configs" in folder.error
    assert composed("~experiment").seed == 0
    with pytest.raises(AssertionError, match=rf"the configs of extra are left out: its entry point seqlab.configs names '{value}'.* {reason}"):
        raise AssertionError(capsys.readouterr().err)


@pytest.mark.parametrize("name", ["optimizer/adam", "train"])
def test_of_a_config_that_is_shadowed_both_files_are_named(site, name, capsys):
    write_package(site, "extra", {"extra/__init__.py": "", f"extra/conf/{name}.yaml": "lr: 9\n"}, configs="extra:conf")
    ours, theirs = config_folder() / f"{name}.yaml", site / f"extra/conf/{name}.yaml"
    assert [file for file, _ in configs()[name]] == [ours, theirs]
    message = f"the config '{name}' is given twice, by {ours} (seqlab) and by {theirs} (extra). Rename one of them, or uninstall the plugin."
    assert shadowed_configs() == {name: message}
    assert composed("~experiment").optimizer.lr == 0.001  # seqlab's own, said on stderr
    assert message in capsys.readouterr().err


def test_two_plugins_with_one_config_are_both_named(site):
    for plugin in ("one", "two"):
        write_package(site, plugin, {f"{plugin}/__init__.py": "", f"{plugin}/conf/data/same.yaml": "x: 1\n"}, configs=f"{plugin}:conf")
    (message,) = shadowed_configs().values()
    assert re.match(r"the config 'data/same' is given twice, by .*one/conf/data/same.yaml \(one\) and by .*two/conf/data/same.yaml \(two\)", message)


def test_a_plugin_cell_with_the_name_of_a_config_of_seqlabs_is_named(site):
    write_package(site, "leaky", PACKAGE, {"rnn_classic": "leaky.cells:Leaky"})
    message = shadowed_configs()["cell/rnn_classic"]
    assert re.match(r"the cell 'rnn_classic' of leaky \(leaky.cells.Leaky\) has the name of the config .*rnn_classic.yaml \(seqlab\)", message)


def test_a_config_of_a_plugin_that_is_no_yaml_spares_runs_and_completion(site, caplog):
    write_package(site, "extra", {"extra/__init__.py": "", "extra/conf/optimizer/own.yaml": "a: [\n"}, configs="extra:conf")
    check_targets(OmegaConf.create({"data": {"_target_": "seqlab.data.text.Text"}}), ("data",), Path("config.yaml"))
    assert "own.yaml (extra) cannot be read and is left out" in caplog.text
    assert complete("seqlab train optimizer.mom") == ["optimizer.momentum="]


def test_seqlabs_own_configs_are_in_order():
    assert not shadowed_configs()
    assert set(groups()["cell"]) >= {"rnn", "lstm", "gru", "plugin"}
    assert not [group for group in groups() if group.startswith("hydra")]
