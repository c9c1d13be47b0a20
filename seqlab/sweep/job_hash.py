"""The name of a job: a hash of what decides its result, so that the same job is found again and a changed one is another.

It covers the resolved config and the source of the code that a user edits between two sweeps: cells and wrappers with
their base classes, plugin files, every module outside seqlab, torch and lightning that the config names, and what of the
user's own code these import.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from seqlab.sweep.own_code import LIBRARIES, with_imports

# what only shows, records or says where things lie; `seqlab report` leaves these out as well
WITHOUT_EFFECT = (
    *("tags", "logger", "resume", "callbacks.progress", "callbacks.checkpoints.every_steps", "callbacks.checkpoints.every_seconds"),
    *("data.num_workers", "data.data_dir"),
    *("trainer.enable_progress_bar", "trainer.enable_model_summary"),
)
LENGTH = 12  # hexadecimal digits: a million jobs in a sweep meet with a chance of 0.2 %
OF_THE_RUN = re.compile(r"\$\{(hydra|now):[^{}]*\}")  # where a run lies and when it began
BUILTIN_ROOTS = LIBRARIES - {"seqlab"}


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
        plain["plugins"] = []  # by what is in them, below: not by where they lie
        sources = source_digests(plain, files)
    except Exception as error:
        sources = {"error": f"{type(error).__name__}: {error}"}
    text = json.dumps({"config": plain, "sources": sources}, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def source_digests(config: Any, plugins: list[str]) -> dict[str, str]:
    """{what the config names: digest of its source}, for cells and for code that is neither seqlab's nor a library's."""
    from seqlab.registry import load_plugin_file, resolve_cell

    loaded = [load_plugin_file(file) for file in plugins]
    found = {}
    for kind, name in sorted(set(_named(config))):
        if kind == "cell":
            modules = _class_modules(resolve_cell(name))
        else:
            thing = _module_of(name)
            made = getattr(thing, name.rpartition(".")[2], None)
            modules = _class_modules(made) if isinstance(made, type) else [thing]
        found[f"{kind} {name}"] = _digests(with_imports(modules))
    for place, module in enumerate(loaded):  # last, so that a changed cell is named before its file; not by where they lie
        found[f"plugin file {place}"] = _digests(with_imports([module]))
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


def _class_modules(cls: type) -> list[ModuleType]:
    """The modules that define a class and its base classes, those of libraries left out."""
    names = dict.fromkeys(base.__module__ for base in cls.__mro__ if base.__module__.partition(".")[0] not in BUILTIN_ROOTS)
    return [sys.modules[name] for name in names if name in sys.modules]


def _digests(files: list[str]) -> str:
    """Of what is in the files, whatever their names are."""
    return " ".join(sorted(hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files))


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
