"""The directory of a run: what it holds, and that no two runs share one."""

from __future__ import annotations

import json
import os
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

CONFIG, OVERRIDES, METRICS, SUMMARY, CURVE, CHECKPOINTS = "config.yaml", "overrides.yaml", "metrics.csv", "summary.json", "learning_curve.png", "checkpoints"


def claim(directory: Path, config: str, overrides: str) -> None:
    """Make the directory and write the config into it; the config's existence is the claim.

    Raises ValueError when another run holds the directory or when it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with open(directory / CONFIG, "x", encoding="utf-8") as file:
            file.write(config)
        write(directory / OVERRIDES, overrides)
    except FileExistsError as error:
        raise ValueError(
            f"run directory {directory} already holds a run ({error.filename}). Choose another with hydra.run.dir=DIR, or leave it out."
        ) from error
    except OSError as error:
        raise ValueError(f"run directory {directory} cannot be written: {error.strerror}. Choose another with hydra.run.dir=DIR.") from error


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all: a temporary file in the same directory, then a rename."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(partial, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_summary(directory: Path, summary: dict[str, Any]) -> None:
    """summary.json, with indentation, for people and programs."""
    write(directory / SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")


def versions() -> dict[str, str]:
    """Versions of the packages that decide a result."""
    found = {}
    for package in ("seqlab", "torch", "lightning", "hydra-core", "torchmetrics", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_commit() -> str | None:
    """The commit of the directory one works in, with `+changes` when it is not clean; None outside a checkout."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changes = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+changes" if changes else "")
