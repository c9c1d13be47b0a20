"""Names of cells: who registered what, and how a name becomes a class.

Standard library only: `seqlab cells` and shell completion read names, summaries and sources from the text of the files,
without importing torch or a plugin. A cell is known by one of three claims: a file of `seqlab/cells`, an entry point of
the group `seqlab.cells` in an installed package, or a module that ran `@register_cell` (a notebook, a plugin file).
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from seqlab.cell_text import CellInfo, describe, describe_class, read_cells

ENTRY_POINT_GROUP = "seqlab.cells"
HOW_TO_ADD = f"Plugins add names through the entry-point group {ENTRY_POINT_GROUP!r}, a file through plugins=[FILE] cell=plugin cell.name=NAME."
_CELLS = Path(__file__).parent / "cells"
T = TypeVar("T", bound=type)


@dataclass(frozen=True)
class _Registered:
    cls: type
    location: str
    file: str
    claim: str  # the location an entry point gives for it, which may be one that re-exports the class


_registered: dict[str, _Registered] = {}
_plugin_files: dict[Path, ModuleType] = {}


def register_cell(name: str) -> Callable[[T], T]:
    """Class decorator: `make_cell(name, ...)` and `cell=name` build this class from now on.

    Raises ValueError when another class holds the name; the message names both places. Defining the same class again
    (a notebook cell run twice) replaces the first. A name is letters, digits and _ - . +, as a command line takes it
    without quotes; any other is a ValueError, and no name at all (@register_cell without parentheses) a TypeError.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a cell is {name!r}; expected a string. Write @register_cell('name') above the class.")
    if not re.fullmatch(r"[\w.+-]+", name):
        raise ValueError(f"the cell name {name!r} cannot be written on a command line; expected letters, digits and _ - . + alone. Rename the cell.")

    def decorate(cls: T) -> T:
        location = f"{cls.__module__}.{cls.__qualname__}"
        module_file = getattr(sys.modules.get(cls.__module__), "__file__", None)
        file = str(Path(module_file).resolve()) if module_file else "an interactive session"  # one file may be reached by two paths
        builtin = _builtin().get(name)
        if builtin is not None and builtin.location != location:
            raise ValueError(_taken(name, f"{builtin.location} (seqlab)", f"{location} ({file})"))
        known = _registered.get(name)
        if known is not None and (known.cls.__qualname__, known.file) != (cls.__qualname__, file):
            raise ValueError(_taken(name, f"{known.location} ({known.file})", f"{location} ({file})"))
        _registered[name] = _Registered(cls, location, file, location)
        return cls

    return decorate


def resolve_cell(name: str) -> type:
    """The class registered under `name`, importing only the module that holds it.

    Raises ValueError for an unknown name (with the closest match and all known names), for a name claimed twice, and
    for a plugin that cannot be imported; TypeError for what is no name.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a cell is {name!r}; expected a string, e.g. 'lstm'.")
    claims = _claims(name)
    if not claims:
        raise ValueError(unknown("cell", name, known_names(), HOW_TO_ADD))
    if len(claims) > 1:
        raise ValueError(_taken(name, *(f"{location} ({origin})" for location, origin in claims[:2])))
    if name not in _registered:
        location, origin = claims[0]
        _load(name, location, origin)
    return _registered[name].cls


def cell_file(name: str) -> str:
    """The file that defines the cell, for records of a run."""
    resolve_cell(name)
    return _registered[name].file


def known_names() -> list[str]:
    """Every name that can be asked for, sorted, without importing any cell."""
    return sorted({*_builtin(), *_plugins(), *_registered})


def list_cells() -> list[CellInfo]:
    """One CellInfo for each known name, read from the files' text: no cell is imported and no plugin's code runs."""
    return [_info(name) for name in known_names()]


def load_plugin_file(path: str | Path) -> ModuleType:
    """Import a bare Python file so that the cells it registers are known. Loading the same file twice is one load.

    Raises ValueError when the file is missing, cannot be imported, or registers no cell; then it leaves nothing behind.
    """
    file = Path(path).expanduser().resolve()
    if file in _plugin_files:
        return _plugin_files[file]
    if not file.is_file():
        wrong = "is a folder" if file.is_dir() else "does not exist"
        raise ValueError(f"plugin file {str(path)!r} {wrong} (looked at {file}). Give plugins=[path/to/file.py].")
    module_name = f"seqlab_plugin_{file.stem}"
    if module_name in sys.modules:  # two files of one name in two folders
        module_name += f"_{len(_plugin_files)}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"plugin file {str(path)!r} is not a Python file; expected a name ending in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        for name in [name for name, known in _registered.items() if known.file == str(file)]:
            del _registered[name]
        reason = f"{type(error).__name__}: {str(error).rstrip('.')}"
        raise ValueError(f"plugin file {file} cannot be imported: {reason}. Run `python {file}` to see where.") from error
    if not any(known.file == str(file) for known in _registered.values()):
        del sys.modules[module_name]
        raise ValueError(f"plugin file {file} registers no cell; expected a class under @register_cell('name').")
    _plugin_files[file] = module
    return module


def unknown(kind: str, name: str, known: Collection[str], hint: str = "", elsewhere: Collection[str] = ()) -> str:
    """The message for a name that is not known: the closest match, every known name, and what to do.

    elsewhere: where exactly this name is known; better guesses than what is merely spelt alike.
    """
    close = elsewhere or [repr(match) for match in difflib.get_close_matches(name, known, n=1, cutoff=0.5)]
    guess = f" Did you mean {' or '.join(close)}?" if close else ""
    return f"no {kind} is named {name!r}.{guess} Known: {', '.join(known)}. {hint}".rstrip()


def _taken(name: str, first: str, second: str) -> str:
    return f"the cell name {name!r} is claimed twice, by {first} and by {second}. Rename one of them."


def _claims(name: str) -> list[tuple[str, str]]:
    """(module.Class, origin) of everybody who claims the name, each location once."""
    claims: dict[str, str] = {}
    if name in _builtin():
        claims[_builtin()[name].location] = "seqlab"
    for location, distribution in _plugins().get(name, []):
        claims.setdefault(location, distribution)
    if name in _registered:
        claims.setdefault(_registered[name].claim, _registered[name].file)
    return list(claims.items())


def _info(name: str) -> CellInfo:
    claims = _claims(name)
    location, origin = claims[0]
    if len(claims) > 1:
        both = " and ".join(f"{location} ({origin})" for location, origin in claims)
        return CellInfo(name, location, origin, error=f"claimed twice, by {both}")
    if name in _builtin():
        return _builtin()[name]
    if name in _registered:
        return describe_class(name, location, origin, _registered[name].cls)
    return describe(name, location, origin)


def _load(name: str, location: str, origin: str) -> None:
    module, _, attribute = location.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise ValueError(
            f"cell {name!r} of {origin} cannot be imported from {location}: {type(error).__name__}: {str(error).rstrip('.')}. Repair or uninstall {origin}."
        ) from error
    if not isinstance(cls, type):
        raise ValueError(f"cell {name!r} of {origin} is {cls!r}; expected a subclass of seqlab.Cell at {location}.")
    if name not in _registered:
        register_cell(name)(cls)
    if _registered[name].cls is cls:
        _registered[name] = replace(_registered[name], claim=location)


def entry_points(group: str) -> list[tuple[str, str, str]]:
    """(name, value, distribution) of each entry point of a group, from the metadata of what is installed."""
    found = importlib.metadata.entry_points(group=group)
    return [(point.name, point.value, point.dist.name if point.dist is not None else "an unnamed distribution") for point in found]


@cache
def _plugins() -> dict[str, list[tuple[str, str]]]:
    """{name: [(module.Class, distribution)]} of the cells that installed packages bring."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, value, distribution in entry_points(ENTRY_POINT_GROUP):
        found.setdefault(name, []).append((value.replace(":", "."), distribution))
    return found


@cache
def _builtin() -> dict[str, CellInfo]:
    found: dict[str, CellInfo] = {}
    for file in sorted(_CELLS.glob("*.py")):
        module = f"seqlab.cells.{file.stem}"
        try:
            infos = read_cells(file, module, "seqlab")
        except SyntaxError as error:  # a file that is being written: the others are listed none the less
            infos = [CellInfo(file.stem, f"{module}.{file.stem}", "seqlab", error=f"SyntaxError: {error}")]
        for info in infos:
            if info.name in found:
                raise ValueError(_taken(info.name, found[info.name].location, info.location))
            found[info.name] = info
    return found
