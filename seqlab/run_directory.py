"""The directory of a run: what it holds, and that no two runs share one."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import subprocess
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

CONFIG, OVERRIDES, METRICS, SUMMARY, CURVE, CHECKPOINTS = "config.yaml", "overrides.yaml", "metrics.csv", "summary.json", "learning_curve.png", "checkpoints"
CONFUSION = "confusion_matrix.png"
FINGERPRINT = "fingerprint.json"


def claim(directory: Path, config: str, overrides: str) -> frozenset[str]:
    """Make the directory and write the config into it; the config's existence is the claim. Returns the names of what was there before.

    Raises ValueError when another run holds the directory or when it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        before = frozenset(path.name for path in directory.iterdir())
        with open(directory / CONFIG, "x", encoding="utf-8") as file:
            try:
                file.write(config)
                file.flush()
                os.fsync(file.fileno())
                write(directory / OVERRIDES, overrides)
            except OSError:  # a full disk: half a config would claim the directory, and could be gone on with
                (directory / CONFIG).unlink()
                raise
    except FileExistsError as error:
        raise ValueError(
            f"run directory {directory} already holds a run ({error.filename}). Choose another with hydra.run.dir=DIR, or leave it out."
        ) from error
    except OSError as error:
        raise ValueError(f"run directory {directory} cannot be written: {error.strerror}. Choose another with hydra.run.dir=DIR.") from error
    return before


def release(directory: Path, before: frozenset[str]) -> None:
    """Leave nothing of a run that could not be built, so that the corrected one can have the directory. before: what `claim` returned."""
    for path in directory.iterdir():
        if path.name in before:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    remove_empty(directory)


def remove_empty(directory: Path) -> None:
    """Remove the directory if it holds nothing, for Hydra makes it before anything is known to go into it; never the one we are in."""
    if directory.is_dir() and not any(directory.iterdir()) and not directory.samefile(Path.cwd()):
        for handler in logging.getLogger().handlers[:]:
            if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).parent.resolve() == directory.resolve():
                logging.getLogger().removeHandler(handler)  # a launcher's next line would have no file to go to
                handler.close()
        directory.rmdir()


def write(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""

    def save(partial: Path) -> None:
        with open(partial, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    replace(path, save)


def replace(path: Path, save: Callable[[Path], None]) -> None:
    """Let `save` make a file beside `path`, then give it that name, so that under the name there is always a whole file."""
    partial = path.with_name(f".{os.getpid()}.{path.name}")  # its suffix stays, which may decide how it is written
    try:
        save(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_summary(directory: Path, summary: dict[str, Any]) -> None:
    """summary.json, with indentation, for people and programs."""
    write(directory / SUMMARY, strict_json(summary) + "\n")


def strict_json(content: Any) -> str:
    """JSON that every program reads, with indentation: NaN and infinity, which JSON has no words for, are null."""
    return json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False)


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def versions() -> dict[str, str]:
    """Versions of the packages that decide a result."""
    found = {}
    for package in ("seqlab", "torch", "lightning", "hydra-core", "torchmetrics", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def working_commit() -> str | None:
    """The commit of the directory one works in, `+changes` when it is not clean; None outside a checkout."""
    return _commit(Path.cwd())


def commits() -> dict[str, str | None]:
    """The commits that summary.json names: of seqlab's source and of the working directory."""
    return {"git_commit": seqlab_commit(), "git_commit_working_directory": working_commit()}


def seqlab_commit() -> str | None:
    """The commit of seqlab's own source, `+changes` when it is not clean; None when it was installed from a wheel."""
    root = Path(__file__).resolve().parent.parent
    top = _git(root, "rev-parse", "--show-toplevel")
    return _commit(root) if top is not None and Path(top) == root else None  # a wheel may lie below somebody's checkout


def _commit(folder: Path) -> str | None:
    commit = _git(folder, "rev-parse", "HEAD")
    return commit if commit is None or not _git(folder, "status", "--porcelain") else f"{commit}+changes"


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
