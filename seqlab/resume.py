"""`seqlab train resume=DIR`: the run in DIR goes on in its directory, as if it had never been stopped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from seqlab import run_directory
from seqlab.callbacks.position import RESUME
from seqlab.checkpoint import PROVENANCE, newest_whole, read_checkpoint
from seqlab.locks import held
from seqlab.ranks.group import is_first
from seqlab.runs import check_plugins, check_targets, read_config

FIRST_CONFIG = "config.first.yaml"  # the config that the run began with, once it has been resumed
# what a resumed run may have otherwise than before, since its steps stay the same
MAY_CHANGE = (
    *("trainer.max_epochs", "trainer.max_steps", "trainer.max_time", "trainer.accelerator", "trainer.enable_progress_bar", "trainer.enable_model_summary"),
    *("callbacks.checkpoints.every_seconds", "callbacks.checkpoints.every_steps", "callbacks.progress", "logger"),
    *("data.num_workers", "data.data_dir", "tags", "plugins", "test_best"),
)
PARTIAL = re.compile(r"\.\d+\..+")  # what `run_directory.replace` leaves behind when the process is killed


@dataclass(frozen=True)
class Start:
    """What a training starts from. checkpoint: None for a run from its beginning. place: (epoch, batch) of the first batch.

    step: optimizer steps that are done. mark: how far the metrics.csv goes that is gone on with, None for a new one.
    seconds: what the run has taken until now.
    """

    checkpoint: Path | None = None
    place: tuple[int, int] = (0, 0)
    step: int = 0
    mark: dict[str, Any] | None = None
    seconds: float = 0.0


def start_of(config: DictConfig, directory: Path, resuming: bool) -> Start:
    """Where a run starts: at its newest whole checkpoint, at `ckpt_path`, or at its beginning."""
    own = newest_whole(directory / run_directory.CHECKPOINTS) if resuming else None
    path = own or (None if config.ckpt_path is None else Path(config.ckpt_path))
    from_beginning = {"rows": 0, "row": {}} if resuming else None
    if path is None:
        return Start(mark=from_beginning)
    content = read_checkpoint(path)
    if RESUME not in content:
        raise ValueError(f"checkpoint {path} does not say where in its training it is; expected one that this version of seqlab wrote. Use init_from=DIR.")
    if own:
        check_unchanged(config, content[PROVENANCE]["config"], directory)
    position = content[RESUME]["position"]
    mark = content[RESUME]["metrics"] if own else from_beginning
    return Start(path, (position["epoch"], position["batch"]), content["global_step"], mark, _seconds(directory) if own else 0.0)


def check_unchanged(config: DictConfig, made_with: dict[str, Any], directory: Path) -> None:
    """Raise ValueError when the config is another than the newest checkpoint of the run was made with, but for what may change.

    As that of a run whose config.yaml was edited or cut short, or of a SLURM job whose config was edited before it started again.
    """
    now: Any = OmegaConf.to_container(config, resolve=True)
    found, before = dict(_leaves(now)), dict(_leaves(made_with))
    for key in sorted(found.keys() | before.keys()):
        own = key.endswith(".directory") or (config.match is not None and (key.startswith("match.") or key.endswith(".hidden_size")))  # solved when it trains
        if not own and not _may_change(key) and repr(found.get(key)) != repr(before.get(key)):
            raise ValueError(
                f"{key} is {found.get(key)!r} in the config of the run in {directory}, but its newest checkpoint was made with {before.get(key)!r}; a run "
                f"that goes on has to be the same run. Restore {run_directory.CONFIG}, or train anew, with init_from={directory} from its weights."
            )


def _leaves(node: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of all that is no mapping, or an empty one."""
    for name, value in node.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _may_change(key: str) -> bool:
    return key == "resume" or any(key == allowed or key.startswith(f"{allowed}.") for allowed in MAY_CHANGE)


def _seconds(directory: Path) -> float:
    """What the summary of an earlier part says it took, 0 when that part was killed before it could write one."""
    path = directory / run_directory.SUMMARY
    try:
        return float(json.loads(path.read_text(encoding="utf-8")).get("seconds", 0.0)) if path.is_file() else 0.0
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}. Remove it: training writes it anew when it ends.") from error


def resumed_config(directory: Path, composed: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The config of the run in `directory`, with what the overrides change of it.

    composed: the config that the overrides make of the default one; the values are taken from there. Raises ValueError when
    the directory holds no run, names foreign code or plugin files that `overrides` does not name, or when an override would
    make it another run.
    """
    config = read_config(directory)
    if linked := sorted(path.name for path in directory.iterdir() if path.is_symlink()):
        raise ValueError(
            f"run directory {directory} has links in it: {', '.join(linked)}; expected files, since what is written to them goes elsewhere. Remove them."
        )
    changed = [override for override in overrides if override.partition("=")[0] != "resume"]
    for override in changed:
        key = override.partition("=")[0].lstrip("+~")
        if not _may_change(key):
            raise ValueError(
                f"{override} would make the run in {directory} another run; expected a change of {', '.join(MAY_CHANGE)} alone. "
                f"Leave it out, or train anew, with init_from={directory} from its weights."
            )
    plugins = composed.plugins if any(override.startswith("plugins=") for override in changed) else []
    check_plugins(config, list(plugins))
    check_targets(config, [str(key) for key in config], directory / run_directory.CONFIG)
    with open_dict(config):
        for override in changed:
            key = override.partition("=")[0].lstrip("+~")
            OmegaConf.update(config, key, OmegaConf.select(composed, key), merge=False)
        for callback in config.callbacks.values():
            if isinstance(callback, DictConfig) and "directory" in callback:
                callback.directory = str(directory)  # where the run lies now: it may have been moved, and may be a stranger's
    return config


def reclaim(directory: Path, config: str, overrides: Sequence[str]) -> None:
    """Write the config of the resumed run and keep the first beside it; take away what a killed process left half written."""
    path = directory / run_directory.CONFIG
    before = path.read_text(encoding="utf-8")
    if before != config:
        if not (directory / FIRST_CONFIG).exists():
            run_directory.write(directory / FIRST_CONFIG, before)
        run_directory.write(path, config)
    added = [override for override in overrides if override.partition("=")[0] != "resume"]
    if added:
        known = directory / run_directory.OVERRIDES
        first: Any = OmegaConf.to_container(OmegaConf.load(known)) if known.is_file() else []  # as they are: one may be an interpolation
        run_directory.write(known, OmegaConf.to_yaml(OmegaConf.create([*first, *added])))
    for folder in (directory, directory / run_directory.CHECKPOINTS):
        for left in folder.glob(".*") if folder.is_dir() else ():
            if PARTIAL.fullmatch(left.name) and left.is_file():
                left.unlink()


@contextmanager
def sole_user(directory: Path) -> Iterator[None]:
    """Hold the run directory for the length of a block; a process that dies lets go. Raises ValueError when another process holds it.

    Of the processes of one run, the first holds it for all.
    """
    if not is_first():
        yield
        return
    with held(directory, ValueError(f"run directory {directory} is being trained in by another process. Wait until it has ended, or stop it.")):
        yield
