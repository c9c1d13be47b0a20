"""What can be said of a cell from the text of its file, importing neither cells nor plugins; or from its class, once there is one."""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import inspect
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

MISSING = "???"  # how Hydra writes a value that has to be given


@dataclass(frozen=True)
class CellInfo:
    """What can be said of a cell without importing it. `error` is set when its file cannot be read or is ambiguous."""

    name: str
    location: str  # module.Class
    origin: str  # "seqlab" or the distribution or file that brings it
    summary: str = ""
    source: str = ""
    options: dict[str, Any] = field(default_factory=dict)  # with their literal defaults; MISSING where there is none
    error: str = ""


def read_cells(file: Path, module: str, origin: str, only: str | None = None) -> list[CellInfo]:
    """CellInfo for each class in the file that is registered by a literal name, and for the class named `only`.

    Raises OSError, UnicodeDecodeError or SyntaxError when the file cannot be read.
    """
    infos = []
    for node in ast.parse(file.read_text(encoding="utf-8"), str(file)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        names = [_literal_name(d) for d in node.decorator_list]
        names = [n for n in names if n] or ([node.name] if node.name == only else [])
        summary, source = _summary_and_source(ast.get_docstring(node) or "")
        infos += [CellInfo(n, f"{module}.{node.name}", origin, summary, source, _options(node)) for n in names]
    return infos


def describe(name: str, location: str, origin: str) -> CellInfo:
    """The info of the class at `location` (module.Class). What is wrong stands in its `error`."""
    module, _, attribute = location.rpartition(".")
    try:
        file = _file(module)
        for info in read_cells(file, module, origin, attribute):
            if info.location == location:
                return replace(info, name=name)
        elsewhere = _imported_from(file, module, attribute)
        if elsewhere not in ("", location):
            return replace(describe(name, elsewhere, origin), location=location)
    except (OSError, SyntaxError, ValueError, ImportError) as error:
        return CellInfo(name, location, origin, error=f"{type(error).__name__}: {error}")
    return CellInfo(name, location, origin, error=f"no class {attribute} in {file}")


def describe_class(name: str, location: str, origin: str, cls: type) -> CellInfo:
    """The same of a class that is imported already: a notebook's, say, which has no file."""
    summary, source = _summary_and_source(cls.__doc__ or "")
    parameters = list(inspect.signature(cls).parameters.values())[2:]
    named = (p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
    return CellInfo(name, location, origin, summary, source, {p.name: MISSING if p.default is p.empty else p.default for p in named})


def package_folder(package: str) -> Path:
    """Where an importable package lies. Raises ImportError when there is none of that name."""
    folders = _find(package).submodule_search_locations
    if not folders:
        raise ImportError(f"{package!r} is a module, not a package")
    return Path(next(iter(folders)))


def _summary_and_source(docstring: str) -> tuple[str, str]:
    """A docstring's first line, and what stands after `Source:` up to a full stop at a line's end or an empty line."""
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


def _file(module: str) -> Path:
    origin = _find(module).origin
    if origin is None:
        raise ImportError(f"module {module!r} has no file")
    return Path(origin)


def _imported_from(file: Path, module: str, attribute: str) -> str:
    """module.Class where a file imports the class from, or an empty string."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.parse(file.read_text(encoding="utf-8"), str(file)).body:
        if not isinstance(node, ast.ImportFrom):
            continue
        for alias in node.names:
            if attribute == (alias.asname or alias.name):
                return f"{importlib.util.resolve_name('.' * node.level + (node.module or ''), package)}.{alias.name}"
    return ""


def _find(module: str) -> importlib.machinery.ModuleSpec:
    """Where a module lies. importlib.util.find_spec would import the packages above it."""
    top, *inside = module.split(".")
    spec = importlib.util.find_spec(top)
    for part in inside:
        spec = spec and importlib.machinery.PathFinder.find_spec(part, spec.submodule_search_locations or [])
    if spec is None:
        raise ImportError(f"no module named {module!r}")
    return spec


def _literal_name(decorator: ast.expr) -> str:
    if not (isinstance(decorator, ast.Call) and decorator.args and isinstance(decorator.args[0], ast.Constant)):
        return ""
    function = decorator.func
    called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return str(decorator.args[0].value) if called == "register_cell" else ""


def _options(node: ast.ClassDef) -> dict[str, Any]:
    """Everything that __init__ takes after self, input_size and hidden_size."""
    init = next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"), None)
    if init is None:
        return {}
    positional = init.args.posonlyargs + init.args.args
    defaults = [*[None] * (len(positional) - len(init.args.defaults)), *init.args.defaults, *init.args.kw_defaults]
    options = {}
    for argument, default in list(zip(positional + init.args.kwonlyargs, defaults, strict=True))[3:]:
        try:
            options[argument.arg] = MISSING if default is None else ast.literal_eval(default)
        except ValueError:
            continue  # a computed default: the class knows it, the listing need not
    return options
