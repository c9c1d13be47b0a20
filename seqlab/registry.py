"""Names of cells: who registered what, and how a name becomes a class.

Standard library only: `seqlab cells` and shell completion read names, summaries and sources from the text of the files,
without importing torch or a plugin. A cell is known by one of three claims: a file of `seqlab/cells`, an entry point of
the group `seqlab.cells` in an installed package, or a module that ran `@register_cell` (a notebook, a plugin file).
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

ENTRY_POINT_GROUP = "seqlab.cells"
T = TypeVar("T", bound=type)


@dataclass(frozen=True)
class CellInfo:
    """What can be said of a cell without importing it. `error` is set when its file cannot be read or is ambiguous."""

    name: str
    location: str  # module.Class
    origin: str  # "seqlab" or the distribution or file that brings it
    summary: str = ""
    source: str = ""
    options: dict[str, Any] = field(default_factory=dict)  # keyword-only arguments with literal defaults
    error: str = ""


@dataclass(frozen=True)
class _Registered:
    cls: type
    location: str
    file: str


_registered: dict[str, _Registered] = {}


def register_cell(name: str) -> Callable[[T], T]:
    """Class decorator: `make_cell(name, ...)` and `cell=name` build this class from now on.

    Raises ValueError when another class holds the name; the message names both places. Defining the same class again
    (a notebook cell run twice) replaces the first.
    """

    def decorate(cls: T) -> T:
        location = f"{cls.__module__}.{cls.__qualname__}"
        file = str(getattr(sys.modules.get(cls.__module__), "__file__", None) or "an interactive session")
        known = _registered.get(name)
        if known is not None and (known.location, known.file) != (location, file):
            raise ValueError(_taken(name, f"{known.location} ({known.file})", f"{location} ({file})"))
        builtin = _builtin().get(name)
        if builtin is not None and builtin.location != location:
            raise ValueError(_taken(name, f"{builtin.location} (seqlab)", f"{location} ({file})"))
        _registered[name] = _Registered(cls, location, file)
        return cls

    return decorate


def resolve_cell(name: str) -> type:
    """The class registered under `name`, importing only the module that holds it.

    Raises ValueError for an unknown name (with the closest match and all known names), for a name claimed twice, and
    for a plugin that cannot be imported.
    """
    claims = _claims(name)
    if not claims:
        raise ValueError(unknown("cell", name, known_names(), f"Plugins add names through the entry-point group {ENTRY_POINT_GROUP!r}."))
    if len({location for location, _ in claims}) > 1:
        (first, by_first), (second, by_second) = claims[:2]
        raise ValueError(_taken(name, f"{first} ({by_first})", f"{second} ({by_second})"))
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
    return sorted({*_builtin(), *_entry_points(), *_registered})


def list_cells() -> list[CellInfo]:
    """One CellInfo for each known name, read from the files' text: no cell is imported and no plugin's code runs."""
    infos = []
    for name in known_names():
        claims = _claims(name)
        if len({location for location, _ in claims}) > 1:
            both = " and ".join(f"{location} ({origin})" for location, origin in claims)
            infos.append(CellInfo(name, claims[0][0], claims[0][1], error=f"claimed twice, by {both}"))
        elif name in _builtin():
            infos.append(_builtin()[name])
        else:
            infos.append(_describe(name, *claims[0]))
    return infos


def load_plugin_file(path: str | Path) -> ModuleType:
    """Import a bare Python file so that the cells it registers are known. Loading the same file twice is one load.

    Raises ValueError when the file is missing, cannot be imported, or registers no cell.
    """
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise ValueError(f"plugin file {str(path)!r} does not exist (looked at {file}). Give plugins=[path/to/file.py].")
    module_name = f"seqlab_plugin_{file.stem}"
    loaded = sys.modules.get(module_name)
    if loaded is not None and loaded.__file__ == str(file):
        return loaded
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"plugin file {str(path)!r} is not a Python file; expected a name ending in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise ValueError(f"plugin file {file} cannot be imported: {type(error).__name__}: {error}. Run `python {file}` to see where.") from error
    if not any(r.file == str(file) for r in _registered.values()):
        raise ValueError(f"plugin file {file} registers no cell; expected a class under @register_cell('name').")
    return module


def unknown(kind: str, name: str, known: list[str], hint: str = "") -> str:
    """The message for a name that is not known: the closest match, every known name, and what to do."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    return f"no {kind} is named {name!r}.{guess} Known: {', '.join(known)}. {hint}".rstrip()


def _taken(name: str, first: str, second: str) -> str:
    return f"the cell name {name!r} is claimed twice, by {first} and by {second}. Rename one of them."


def _claims(name: str) -> list[tuple[str, str]]:
    """(module.Class, origin) of everybody who claims the name."""
    claims = []
    if name in _builtin():
        claims.append((_builtin()[name].location, "seqlab"))
    if name in _entry_points():
        claims += [(p.value.replace(":", "."), _distribution(p)) for p in _entry_points()[name]]
    if name in _registered:
        claims.append((_registered[name].location, _registered[name].file))
    return claims


def _load(name: str, location: str, origin: str) -> None:
    module, _, attribute = location.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise ValueError(
            f"cell {name!r} of {origin} cannot be imported from {location}: {type(error).__name__}: {error}. Repair or uninstall {origin}."
        ) from error
    if not isinstance(cls, type):
        raise ValueError(f"cell {name!r} of {origin} is {cls!r}; expected a subclass of seqlab.Cell at {location}.")
    if name not in _registered:
        register_cell(name)(cls)


@cache
def _entry_points() -> dict[str, list[importlib.metadata.EntryPoint]]:
    found: dict[str, list[importlib.metadata.EntryPoint]] = {}
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        found.setdefault(point.name, []).append(point)
    return found


def _distribution(point: importlib.metadata.EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unnamed distribution"


@cache
def _builtin() -> dict[str, CellInfo]:
    folder = Path(__file__).parent / "cells"
    found: dict[str, CellInfo] = {}
    for file in sorted(folder.glob("*.py")):
        for info in _read(file, f"seqlab.cells.{file.stem}", "seqlab"):
            if info.name in found:
                raise ValueError(_taken(info.name, found[info.name].location, info.location))
            found[info.name] = info
    return found


def _describe(name: str, location: str, origin: str) -> CellInfo:
    """The info of a plugin's cell, from the text of its file. What is wrong with it stands in `error`."""
    module, _, attribute = location.rpartition(".")
    try:
        file = Path(_registered[name].file) if name in _registered else _module_file(module)
        for info in _read(file, module, origin, attribute):
            if info.location == location:
                return CellInfo(name, location, origin, info.summary, info.source, info.options)
    except (OSError, SyntaxError, ValueError, ImportError) as error:
        return CellInfo(name, location, origin, error=f"{type(error).__name__}: {error}")
    return CellInfo(name, location, origin, error=f"no class {attribute} in {file}")


def _module_file(module: str) -> Path:
    """Where a module's text lies, without importing the module or the packages above it."""
    search = None
    for part in module.split("."):
        spec = importlib.machinery.PathFinder.find_spec(part, search)
        if spec is None:
            raise ImportError(f"no module named {module!r}")
        search = spec.submodule_search_locations
    if spec.origin is None:
        raise ImportError(f"module {module!r} has no file")
    return Path(spec.origin)


def _read(file: Path, module: str, origin: str, only: str | None = None) -> list[CellInfo]:
    """CellInfo for each class in the file that is registered by a literal name, and for the class named `only`."""
    infos = []
    for node in ast.parse(file.read_text(encoding="utf-8"), str(file)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        names = [_literal_name(d) for d in node.decorator_list]
        names = [n for n in names if n] or ([node.name] if node.name == only else [])
        summary, source = _first_line_and_source(ast.get_docstring(node) or "")
        infos += [CellInfo(n, f"{module}.{node.name}", origin, summary, source, _options(node)) for n in names]
    return infos


def _literal_name(decorator: ast.expr) -> str:
    if not (isinstance(decorator, ast.Call) and decorator.args and isinstance(decorator.args[0], ast.Constant)):
        return ""
    function = decorator.func
    called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return str(decorator.args[0].value) if called == "register_cell" else ""


def _first_line_and_source(docstring: str) -> tuple[str, str]:
    lines = [line.strip() for line in docstring.splitlines()]
    summary = next((line for line in lines if line), "").rstrip(".")
    for i, line in enumerate(lines):
        if line.startswith("Source:"):
            rest = [line.removeprefix("Source:").strip()]
            for more in lines[i + 1 :]:
                if not more or rest[-1].endswith("."):
                    break
                rest.append(more)
            return summary, " ".join(rest).rstrip(".")
    return summary, ""


def _options(node: ast.ClassDef) -> dict[str, Any]:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            options = {}
            for argument, default in zip(item.args.kwonlyargs, item.args.kw_defaults, strict=True):
                if default is None:
                    options[argument.arg] = "???"
                    continue
                try:
                    options[argument.arg] = ast.literal_eval(default)
                except ValueError:
                    continue  # a computed default: the class knows it, the listing need not
            return options
    return {}
