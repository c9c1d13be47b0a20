"""The rooms of the house: an import may only point down, and the lower rooms need nothing but what their row says."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SEQLAB = Path(__file__).parents[1] / "seqlab"
# room: (what of seqlab it may import, what of other packages), from the bottom to the top. A module without a row is on the
# top floor (train, evaluate, cli, callbacks, …): it may import everything but `testing`, and no row below may import it.
ROOMS = {
    "registry": ("", ""),
    "cell_text": ("", ""),
    "entity_tags": ("", ""),
    "cells": ("registry", "torch"),
    "executors": ("cells.base registry", "torch"),
    "layers": ("executors cells.base cells.convert registry", "torch"),
    "attention": ("executors cells.base registry", "torch"),
    "frontends": ("layers executors cells.base registry", "torch"),
    "heads": ("executors cells.base attention registry entity_tags", "torch"),
    "metrics": ("heads.forecast_losses entity_tags registry", "torch torchmetrics"),
    "model": ("frontends layers cells.base", "torch"),
    "seq2seq": ("layers attention executors cells.base registry", "torch"),
    "search": ("layers attention executors cells.base registry", "torch"),
    "run_directory": ("", ""),
    "pictures": ("run_directory", "matplotlib"),
    "data": ("pictures registry entity_tags", "torch lightning numpy rich"),
    "tasks": (
        "heads entity_tags frontends metrics seq2seq search model layers executors cells.base registry "
        "data.base data.checks data.order data.pairs data.windows",
        "torch lightning torchmetrics",
    ),
    "testing": ("layers executors cells.base registry", "torch numpy"),
}
EXTRA = {"registry.py": "seqlab.cell_text", "testing/pytest_entry.py": "pytest", "check.py": "seqlab.testing", "data/image_files.py": "PIL"}  # one file each


def imports(file: Path) -> set[str]:
    """Every module that the file imports, at its top or in a function."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: relative import; expected the whole name, which says where the arrow points."
            # `from seqlab import registry` imports seqlab.registry
            found |= {f"seqlab.{alias.name}" for alias in node.names} if node.module == "seqlab" else {str(node.module)}
    return found


def strays(file: Path) -> set[str]:
    """What the file imports against the table."""
    place = file.relative_to(SEQLAB)
    room = place.parts[0].removesuffix(".py")
    wanted = imports(file) - set(EXTRA.get(place.as_posix(), "").split())
    if room not in ROOMS:
        return {name for name in wanted if name.startswith("seqlab.testing")}
    inside, outside = (allowed.split() for allowed in ROOMS[room])
    allowed = [f"seqlab.{name}" for name in (room, *inside)] + [*outside, *sys.stdlib_module_names]
    return {name for name in wanted if not any(name == a or name.startswith(f"{a}.") for a in allowed)}


@pytest.mark.parametrize("file", sorted(SEQLAB.rglob("*.py")), ids=lambda file: file.relative_to(SEQLAB).as_posix())
def test_imports_point_down(file: Path) -> None:
    assert strays(file) == set()


def test_arrows_that_point_up_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SEQLAB", tmp_path)
    for place, text in (
        ("cells/mine.py", "import torch.nn, hydra\nfrom seqlab import train, registry"),
        ("train.py", "def f():\n    import seqlab.testing.suite"),
    ):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(text)
    assert strays(tmp_path / "cells/mine.py") == {"hydra", "seqlab.train"}
    assert strays(tmp_path / "train.py") == {"seqlab.testing.suite"}


def test_the_table_itself_points_down() -> None:
    below: list[str] = []
    for room, (inside, _) in ROOMS.items():
        assert {name.partition(".")[0] for name in inside.split()} <= set(below), f"{room} may import a room above it"
        below.append(room)


def loaded_by(code: str, *packages: str) -> set[str]:
    """Which of the packages are loaded after the code ran in a fresh interpreter."""
    ask = f"{code}\nimport sys\nprint('loaded:', *(set({packages!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, cwd=SEQLAB.parent)
    return set(done.stdout.rpartition("loaded:")[2].split())


@pytest.mark.parametrize("module", ["seqlab", "seqlab.cli", "seqlab.registry"])
def test_the_face_needs_the_standard_library_alone(module: str) -> None:
    assert loaded_by(f"import {module}", "torch", "lightning", "hydra", "omegaconf", "rich") == set()


@pytest.mark.parametrize("arguments", [["--help"], ["cells"], ["check", "--help"]], ids=" ".join)
def test_help_and_listing_need_no_torch(arguments: list[str]) -> None:
    code = f"from seqlab.cli import main\ntry: main({arguments!r})\nexcept SystemExit as stop: assert not stop.code"
    assert loaded_by(code, "torch", "lightning", "hydra") == set()


def test_cells_layers_and_the_suite_work_with_torch_alone() -> None:
    code = "import seqlab; seqlab.Stack.of('gru', 2, 3)\nfrom seqlab.testing import check_cell"
    assert loaded_by(code, "torch", "lightning", "hydra", "pytest", "rich") == {"torch"}
