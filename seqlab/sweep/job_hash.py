"""The name of a job: a hash of what decides its result, so that the same job is found again and a changed one is another.

It covers the resolved config and the source of the code that a user edits between two sweeps: cells and wrappers with
their base classes, plugin files, and every module outside seqlab, torch and lightning that the config names.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# what only shows, records or says where things lie; `seqlab report` leaves these out as well
WITHOUT_EFFECT = (
    *("tags", "logger", "resume", "callbacks.progress", "callbacks.checkpoints.every_steps", "callbacks.checkpoints.every_seconds"),
    *("data.num_workers", "data.data_dir"),
    *("trainer.enable_progress_bar", "trainer.enable_model_summary"),
)
LENGTH = 12  # hexadecimal digits: a million jobs in a sweep meet with a chance of 0.2 %
OF_THE_RUN = re.compile(r"\$\{(hydra|now):[^{}]*\}")  # where a run lies and when it began
BUILTIN_ROOTS = {"builtins", "abc", "typing", "torch", "lightning", "hydra", "omegaconf"}


def resolve_job_name(*, _root_: Any) -> str:
    """The OmegaConf resolver behind hydra.sweep.subdir."""
    return job_hash(_root_)


def job_hash(config: Any) -> str:
    """LENGTH digits that are equal for two configs if they train the same. Never raises: a config that cannot be resolved or
    built has a name too, and its job then fails with the reason, alone.
    """
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(config, resolve=False)
    plain.pop("hydra", None)
    for key in WITHOUT_EFFECT:
        _remove(plain, key.split("."))
    plain = _map(plain, lambda text: OF_THE_RUN.sub("", text))
    try:
        plain = OmegaConf.to_container(OmegaConf.create(plain), resolve=True)
        files = list(map(str, plain.get("plugins") or []))
        plain["plugins"] = [_digest(Path(file).expanduser()) for file in files]
        sources = source_digests(plain, files)
    except Exception as error:
        sources = {"error": f"{type(error).__name__}: {error}"}
    text = json.dumps({"config": plain, "sources": sources}, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def source_digests(config: Any, plugins: list[str]) -> dict[str, str]:
    """{what the config names: digest of its source}, for cells and for code that is neither seqlab's nor a library's."""
    from seqlab.registry import load_plugin_file, resolve_cell

    for file in plugins:
        load_plugin_file(file)
    found = {}
    for kind, name in sorted(set(_named(config))):
        if kind == "cell":
            files = _class_files(resolve_cell(name))
        else:
            thing = _module_of(name)
            made = getattr(thing, name.rpartition(".")[2], None)
            files = _class_files(made) if isinstance(made, type) else [str(thing.__file__)]
        found[f"{kind} {name}"] = " ".join(_digest(Path(file)) for file in files)
    return found


def _named(node: Any) -> Iterator[tuple[str, str]]:
    """("cell", name) and ("target", dotted name) of everything whose source counts, at any depth."""
    if isinstance(node, list):
        for value in node:
            yield from _named(value)
    if not isinstance(node, dict):
        return
    target = node.get("_target_")
    if target == "seqlab.make_cell":
        yield "cell", str(node.get("name"))
    elif isinstance(target, str) and (target.startswith("seqlab.cells.") or target.partition(".")[0] not in {*BUILTIN_ROOTS, "seqlab"}):
        yield "target", target
    for key, value in node.items():
        if key == "cell":  # encoder.cell=lstm, encoder.cell=[lstm,gru]
            yield from (("cell", name) for name in (value if isinstance(value, list) else [value]) if isinstance(name, str))
        yield from _named(value)


def _module_of(target: str) -> Any:
    """The module that the longest importable beginning of a dotted name is."""
    name = target.rpartition(".")[0]
    while True:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            name = name.rpartition(".")[0]
            if not name:
                raise


def _class_files(cls: type) -> list[str]:
    """The files that define a class and its base classes, those of libraries left out."""
    modules = dict.fromkeys(base.__module__ for base in cls.__mro__ if base.__module__.partition(".")[0] not in BUILTIN_ROOTS)
    files = (getattr(sys.modules.get(module), "__file__", None) for module in modules)
    return [file for file in files if file]


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _remove(node: Any, path: list[str]) -> None:
    for key in path[:-1]:
        node = node.get(key) if isinstance(node, dict) else None
    if isinstance(node, dict):
        node.pop(path[-1], None)


def _map(node: Any, change: Any) -> Any:
    """The same with every text changed."""
    if isinstance(node, dict):
        return {key: _map(value, change) for key, value in node.items()}
    if isinstance(node, list):
        return [_map(value, change) for value in node]
    return change(node) if isinstance(node, str) else node
