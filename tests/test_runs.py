"""A run is rebuilt from its directory alone, and what is wrong with the directory is said without running anything in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from seqlab.runs import load_run
from tests.text_runs import make_run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "run", "experiment=char_lm")


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def change(run: Path, key: str, value: object) -> None:
    config = OmegaConf.load(run / "config.yaml")
    OmegaConf.update(config, key, value, force_add=True)
    OmegaConf.save(config, run / "config.yaml")


def test_weights_sizes_and_config_come_back(run: Path) -> None:
    loaded = load_run(run, "last")
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert loaded.task.state_dict().keys() == saved.keys()
    for name, value in loaded.task.state_dict().items():
        assert value.equal(saved[name])
    assert loaded.spec.inputs == "tokens"
    assert loaded.config.cell.name == "lstm"
    assert not loaded.task.training


def test_best_and_last_are_different_weights(run: Path) -> None:
    best, last = load_run(run).task.state_dict(), load_run(run, "last").task.state_dict()
    assert any(not best[name].equal(last[name]) for name in best)


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none does not exist; expected a directory that `seqlab train` made"):
        load_run(tmp_path / "none")
    with pytest.raises(ValueError, match=r"has no config\.yaml"):
        load_run(tmp_path)


def test_a_run_that_ended_too_early(run: Path) -> None:
    (run / "spec.json").unlink()
    with pytest.raises(ValueError, match=r"has no spec\.json: the run ended before its data was read"):
        load_run(run)


@pytest.mark.parametrize(
    ("content", "message"), [("data: [", "cannot be read"), ("- 1", "has no frontend, encoder"), ("head: {}", "has no frontend, encoder, task")]
)
def test_a_damaged_config(run: Path, content: str, message: str) -> None:
    (run / "config.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load_run(run)


def test_a_missing_checkpoint_names_those_there_are(run: Path) -> None:
    with pytest.raises(ValueError, match=r"nine\.ckpt does not exist\. .*: best, last"):
        load_run(run, "nine")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_checkpoint_that_is_cut_short(run: Path, share: float) -> None:
    path = run / "checkpoints" / "best.ckpt"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"best\.ckpt of \d+ bytes is cut short"):
        load_run(run)


def test_a_checkpoint_of_another_model(run: Path) -> None:
    change(run, "encoder.cell.hidden_size", 9)
    with pytest.raises(ValueError, match=r"belongs to another model .*has shape .*, the model's"):
        load_run(run)


@pytest.mark.parametrize("key", ["encoder.cell._target_", "head._target_", "optimizer.extra._target_", "task.deep"])
@pytest.mark.parametrize("target", ["os.system", "torch.optim.optimizer.torch.load", "seqlab.run_directory.write"])
def test_a_config_may_not_name_code_of_its_own(run: Path, key: str, target: str) -> None:
    change(run, key, target if key.endswith("_target_") else [{"_target_": target}])
    with pytest.raises(ValueError, match=f"names '{target}' under {key.partition('.')[0]}"):
        load_run(run)


def test_plugin_files_are_imported_only_when_named(run: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text("raise RuntimeError('imported')", encoding="utf-8")
    change(run, "plugins", [str(plugin)])
    with pytest.raises(ValueError, match=r"they are imported only when you name them: plugins=\["):
        load_run(run)
    with pytest.raises(ValueError, match="RuntimeError: imported"):
        load_run(run, plugins=[str(plugin)])
