"""The files of a user's own code that a module imports, directly and through others: an edit of any of them may change a result."""

from __future__ import annotations

import ast
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

LIBRARIES = {"builtins", "abc", "typing", "torch", "lightning", "hydra", "omegaconf", "seqlab"}
INSTALLED = tuple(str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def with_imports(modules: Iterable[ModuleType]) -> list[str]:
    """The files of these modules and of what they import of the same package or from outside of the installed ones, in order.

    Imports are read from the source, inside of functions too, and are not run; a name that is put together while running is
    not found.
    """
    files: dict[str, None] = {}
    waiting = [(module.__name__, module.__package__ or "", Path(str(module.__file__))) for module in modules if getattr(module, "__file__", None)]
    while waiting:
        name, package, file = waiting.pop()
        if str(file) in files:
            continue
        files[str(file)] = None
        if file.suffix == ".py":
            waiting += [found for found in _imports(file, package) if _is_own(found, name)]
    return sorted(files)


def _imports(file: Path, package: str) -> Iterator[tuple[str, str, Path]]:
    """(name, package, file) of the modules that a source file imports."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1], *([base] if base else [])])
            names = [base, *(f"{base}.{name.name}" for name in node.names)]
        for name in names:
            yield from _found(name)


def _found(name: str) -> Iterator[tuple[str, str, Path]]:
    if not name or name.partition(".")[0] in LIBRARIES or name.partition(".")[0] in sys.stdlib_module_names:
        return
    module = sys.modules.get(name)
    try:
        spec = module.__spec__ if module is not None else importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):  # a class of a module, or a part that is not installed
        return
    if spec is not None and spec.origin and Path(spec.origin).is_file():
        package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
        yield name, package, Path(spec.origin)


def _is_own(found: tuple[str, str, Path], importer: str) -> bool:
    name, _, file = found
    return name.partition(".")[0] == importer.partition(".")[0] or not str(file.resolve()).startswith(INSTALLED)
