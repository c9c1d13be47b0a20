"""A run directory or a checkpoint from a stranger runs no code: attacks, and that each is refused before anything happens."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from seqlab.evaluate import evaluate
from seqlab.runs import load_run, read_config
from seqlab.trust import check_targets, known_targets
from seqlab.warm_start import warm_start
from tests.text_runs import make_run

MARK = "pwned"  # the file that an attack makes when it succeeds
# each is callable from a config, and Hydra 1.3.8 alone blocks few of them
CALLS: list[dict[str, Any]] = [
    {"_target_": "os.system", "command": f"touch {MARK}"},
    {"_target_": "posix.system", "command": f"touch {MARK}"},  # the same function by another name
    {"_target_": "subprocess.run", "args": ["touch", MARK]},
    {"_target_": "builtins.eval", "_args_": [f"open('{MARK}', 'w')"]},
    {"_target_": "builtins.open", "_args_": [MARK, "w"]},
    {"_target_": "pathlib.Path.touch", "_args_": [{"_target_": "pathlib.Path", "_args_": [MARK]}]},
    {"_target_": "lightning.pytorch.core.saving.Path.unlink", "_args_": [{"_target_": "pathlib.Path", "_args_": ["kept"]}]},
    {"_target_": "torch.load", "f": "evil.pt", "weights_only": False},
    {"_target_": "torch.optim.optimizer.torch.load", "f": "evil.pt", "weights_only": False},
    {"_target_": "seqlab.checkpoint.torch.load", "f": "evil.pt", "weights_only": False},
    {"_target_": "torch.utils.cpp_extension.load_inline", "name": "x", "cpp_sources": ""},
    {"_target_": "torch.hub.load", "repo_or_dir": ".", "model": "x", "source": "local"},
    {"_target_": "pickle.load", "file": "evil.pt"},
    {"_target_": "hydra.utils.instantiate", "config": {"path": "os.system"}},
    {"_target_": "hydra.utils.get_method", "path": "os.system"},
    {"_target_": "hydra.utils.call", "_args_": [{"_target_": "os.system", "command": f"touch {MARK}"}]},
    {"_target_": "functools.partial", "_args_": [{"_target_": "hydra.utils.get_method", "path": "os.system"}]},
    {"_target_": "importlib.import_module", "name": "evil_module"},
    {"_target_": "evil_module.Thing"},
    {"_target_": "seqlab.registry.load_plugin_file", "path": "evil_module.py"},
    {"_target_": "seqlab.run_directory.write", "path": MARK, "text": ""},
    {"_target_": "seqlab.run_directory.shutil.rmtree", "path": "kept"},
    {"_target_": "seqlab.sweep.job.SweepStart", "id": "x"},  # what seqlab itself tells Hydra is no part of a run
    {"_target_": "logging.FileHandler", "filename": MARK},
    {"_target_": ["os.system"]},
    {"_target_": {"_target_": "os.system", "command": f"touch {MARK}"}},
]
PLACES = ["encoder.cell", "optimizer", "head.extra", "task.deep.list", "data", "data.extra", "trainer.logger", "callbacks.record", "schedule.x.y.z"]


class Evil:
    """Pickled, it calls a function when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {MARK}",)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "run", "experiment=char_lm")


@pytest.fixture
def run(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to poison, in a working directory with what the attacks would load, which is on Python's path as well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "kept").touch()
    torch.save(Evil(), tmp_path / "evil.pt")
    (tmp_path / "evil_module.py").write_text(f"open('{MARK}', 'w')\nclass Thing: pass\n")
    return Path(shutil.copytree(whole, tmp_path / "run"))


def assert_nothing_happened() -> None:
    assert not Path(MARK).exists()
    assert Path("kept").exists()
    assert "evil_module" not in sys.modules


def poison(run: Path, key: str, value: Any) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    *above, last = key.split(".")
    node = config
    for name in above:
        node = node.setdefault(name, {}) if isinstance(node.get(name, {}), dict) else node
    node[last] = [value] if last == "list" else value
    (run / "config.yaml").write_text(yaml.safe_dump(config))


def test_the_attacks_would_work(run: Path) -> None:
    """Else a refusal proves nothing."""
    from hydra.utils import instantiate

    instantiate({"_target_": "torch.optim.optimizer.torch.load", "f": "evil.pt", "weights_only": False})
    assert Path(MARK).exists()
    instantiate({"_target_": "lightning.pytorch.core.saving.Path.unlink", "_args_": [{"_target_": "pathlib.Path", "_args_": ["kept"]}]})
    assert not Path("kept").exists()


@pytest.mark.parametrize("call", CALLS, ids=lambda call: str(call["_target_"]))
def test_a_call_is_refused_wherever_it_stands(call: dict[str, Any], run: Path) -> None:
    clean = (run / "config.yaml").read_text()
    for place in PLACES:
        (run / "config.yaml").write_text(clean)
        poison(run, place, call)
        config = read_config(run)
        with pytest.raises(ValueError, match=f"under {place.partition('.')[0]}; expected what a config of seqlab"):
            check_targets(config, [str(key) for key in config], run / "config.yaml")
    assert_nothing_happened()


@pytest.mark.parametrize("place", ["encoder.cell", "optimizer", "head.extra"])
def test_every_way_to_a_model_refuses(place: str, run: Path) -> None:
    poison(run, place, CALLS[0])
    for way in (load_run, evaluate, lambda run: warm_start(torch.nn.Module(), run, run)):  # pyright: ignore[reportArgumentType]
        with pytest.raises(ValueError, match=r"names 'os\.system' under"):
            way(run)
    assert_nothing_happened()


@pytest.mark.parametrize("place", ["data", "trainer.logger"])
def test_evaluation_refuses_what_it_alone_builds(place: str, run: Path) -> None:
    poison(run, place, CALLS[0])
    with pytest.raises(ValueError, match=r"names 'os\.system' under"):
        evaluate(run)
    assert_nothing_happened()


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "${x}", "${job_hash:}", "os.${y}", "${oc.decode:'{a: b}'}"])
def test_interpolations_are_refused_unresolved(text: str, run: Path) -> None:
    poison(run, "optimizer._target_", text)
    with pytest.raises(ValueError, match=r"has the interpolation .* at optimizer\._target_"):
        load_run(run)
    poison(run, "optimizer._target_", "torch.optim.Adam")
    poison(run, "tags", [{text: 1}])
    with pytest.raises(ValueError, match=r"has the interpolation"):
        load_run(run)


def test_yaml_makes_no_objects(run: Path) -> None:
    with open(run / "config.yaml", "a") as file:
        file.write(f"evil: !!python/object/apply:os.system ['touch {MARK}']\n")
    with pytest.raises(ValueError, match="cannot be read"):
        load_run(run)
    assert_nothing_happened()


@pytest.mark.parametrize("where", ["whole", "inside"])
def test_a_pickle_is_refused(where: str, run: Path) -> None:
    path = run / "checkpoints/best.ckpt"
    content = torch.load(path, weights_only=True)
    path.with_name("best.ckpt.sha256").unlink()  # a stranger's checksum would be right
    torch.save(Evil() if where == "whole" else {**content, "callbacks": {"x": Evil()}}, path)
    with pytest.raises(ValueError, match="which could run code when it is loaded"):
        load_run(run)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match="is cut short, or no checkpoint"):
        load_run(run)
    assert_nothing_happened()


def test_a_plugin_file_is_refused_unless_named_again(run: Path) -> None:
    poison(run, "plugins", ["evil_module.py"])
    with pytest.raises(ValueError, match=r"imported only when you name them: plugins=\[evil_module\.py\]"):
        load_run(run)
    with pytest.raises(ValueError, match="imported only when you name them"):
        load_run(run, plugins=["kept"])
    assert_nothing_happened()


def test_another_name_of_a_known_class_is_that_class(run: Path) -> None:
    assert "torch.optim.adam.Adam" not in known_targets()
    config = OmegaConf.create({"optimizer": {"_target_": "torch.optim.adam.Adam"}, "x": {"_target_": "torch.optim.adam.Optimizer"}})
    check_targets(config, ["optimizer"], run)
    with pytest.raises(ValueError, match=r"names 'torch\.optim\.adam\.Optimizer' under x"):
        check_targets(config, ["x"], run)


def test_what_every_installed_config_names_is_known() -> None:
    assert {"seqlab.make_cell", "torch.optim.Adam", "seqlab.layers.Stack.of"} <= known_targets()
    assert not any(target.startswith(("hydra", "logging")) for target in known_targets())
