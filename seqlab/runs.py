"""A finished run, rebuilt from its directory alone: config, sizes and weights, without the data it was trained on.

A run directory may come from somebody else. Nothing in it is run as code: weights are loaded as plain tensors, and the
config may only name what the configs shipped with seqlab or with an installed plugin name.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from seqlab import run_directory
from seqlab.build import build_task
from seqlab.checkpoint import BEST, load_weights
from seqlab.data.base import SPEC, DataSpec
from seqlab.registry import unknown
from seqlab.tasks import Task
from seqlab.trust import check_plugins, check_resolved, check_targets

log = logging.getLogger("seqlab")
MODEL_GROUPS = ("frontend", "encoder", "head", "task", "optimizer", "schedule")  # what `build_task` instantiates


@dataclass(frozen=True)
class LoadedRun:
    """The run's resolved config, what its data gave, and the task with the trained weights, in evaluation mode."""

    config: DictConfig
    spec: DataSpec
    task: Task


def load_run(directory: Path, checkpoint: str | None = None, plugins: Sequence[str] = ()) -> LoadedRun:
    """Rebuild the run in `directory` with the weights of checkpoints/{checkpoint}.ckpt.

    checkpoint: "best", "last", or None for the one that training tested. plugins: the plugin files that may be imported; one
    that the config names and the caller does not is an error.
    Raises ValueError when the directory holds no run, names foreign code, or when its checkpoint is missing, cut short
    or of another model.
    """
    config, spec = read_config(directory), read_spec(directory)
    check_targets(config, MODEL_GROUPS, directory / run_directory.CONFIG)
    check_plugins(config, plugins)
    task = build_task(config, spec)
    load_weights(task, directory / run_directory.CHECKPOINTS / f"{checkpoint or tested(directory, config)}.ckpt")
    return LoadedRun(config, spec, task.eval())


def tested(directory: Path, config: DictConfig) -> str:
    """Which checkpoint the run in `directory` tested: "best", or "last" where nothing chose a best one, as in a run without validation."""
    best = directory / run_directory.CHECKPOINTS / BEST
    return "best" if config.get("test_best", True) and best.is_file() else "last"


def read_config(directory: Path) -> DictConfig:
    """The resolved config of the run. Raises ValueError when there is none or it cannot be read."""
    path = directory / run_directory.CONFIG
    if not path.is_file():
        reason = "does not exist" if not directory.is_dir() else f"has no {run_directory.CONFIG}"
        raise ValueError(f"run directory {directory} {reason}; expected a directory that `seqlab train` made. Its path is the last line of a training run.")
    try:
        config: Any = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, YAMLError, OmegaConfBaseException, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}. Restore the file.") from error
    check_resolved(config, path)
    missing = [key for key in (*MODEL_GROUPS, "plugins") if not isinstance(config, dict) or key not in config]
    if missing:
        raise ValueError(f"{path} has no {', '.join(missing)}; expected the config of a run, whole. Restore the file.")
    return OmegaConf.create(config)


def read_spec(directory: Path) -> DataSpec:
    """What the run's data gave. Raises ValueError when training ended before the data was read."""
    path = directory / SPEC
    if not path.is_file():
        raise ValueError(f"run directory {directory} has no {SPEC}: the run ended before its data was read. Train it again.")
    return DataSpec.from_json(path.read_text(encoding="utf-8"))


def writes_text(directory: Path) -> bool:
    """Whether the run is a language model, without loading it. Raises ValueError as `read_config` does."""
    return str(read_config(directory).task.get("_target_", "")).rpartition(".")[2] == "LanguageModelling"


def changed(config: DictConfig, changes: Sequence[str]) -> DictConfig:
    """The config with KEY=VALUE changes, values as YAML reads them. Raises ValueError for a key that it has not."""
    for change in changes:
        key, equals, _ = change.partition("=")
        above, _, name = key.rpartition(".")
        node = OmegaConf.select(config, above)
        if not isinstance(node, DictConfig) or name not in node:
            known = [str(k) for k in node if not str(k).startswith("_")] if isinstance(node, DictConfig) else list(map(str, config))
            raise ValueError(unknown(f"key of {above!r}", name, known))
        if not equals:
            raise ValueError(f"{key!r} has no value; expected {key}=VALUE.")
    return OmegaConf.merge(config, OmegaConf.from_dotlist(list(changes)))  # pyright: ignore[reportReturnType]
