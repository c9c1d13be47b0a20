"""Checkpoint files: written whole or not at all, read as plain data and tensors."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from torch import nn

from seqlab import __version__
from seqlab.run_directory import replace

PROVENANCE = "seqlab"  # the key under which a checkpoint says what made it: seqlab's version and the resolved config


class WholeFiles(CheckpointIO):
    """How the trainer writes and reads checkpoints.

    A file is written beside its final name, brought to the disk and renamed, so that under its name there is always a
    whole checkpoint: the old one or the new. (Lightning writes through $TMPDIR and copies when that is another disk.)
    The resolved config travels inside, as plain data.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None) -> None:
        write_checkpoint({**checkpoint, PROVENANCE: {"version": __version__, "config": self.config}}, Path(path))

    def load_checkpoint(self, path: str | os.PathLike[str], map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return read_checkpoint(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        Path(path).unlink(missing_ok=True)


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Write `content` under `path`, whole or not at all. Raises OSError, with the file before it untouched."""

    def save(partial: Path) -> None:
        with open(partial, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())

    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, save)


def copy_checkpoint(source: Path, path: Path) -> None:
    """Put the whole file `source` under `path` as well: a second name for the same bytes, or a copy where the disk has no such links."""

    def save(partial: Path) -> None:
        try:
            os.link(source, partial)
        except OSError:
            partial.write_bytes(source.read_bytes())
            with open(partial, "rb") as file:
                os.fsync(file.fileno())

    replace(path, save)


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """The content of a checkpoint that `seqlab train` wrote; no code in it is run.

    Raises ValueError when the file is missing, cut short, damaged, holds more than tensors and plain data, or is no
    checkpoint.
    """
    if not path.is_file():
        others = sorted(file.stem for file in path.parent.glob("*.ckpt"))
        raise ValueError(f"checkpoint {path} does not exist. " + (f"Beside it lie: {', '.join(others)}." if others else "No other lies beside it."))
    if not zipfile.is_zipfile(path):  # the index of a zip file is at its end
        raise ValueError(f"checkpoint {path} of {path.stat().st_size} bytes is cut short, or no checkpoint. Use another one.")
    try:
        content = torch.load(path, map_location=map_location, weights_only=True)
    except (RuntimeError, OSError, KeyError, pickle.UnpicklingError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"checkpoint {path} is damaged, or holds more than tensors and plain data, which could run code when it is loaded ({reason}). Use another one."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise ValueError(f"checkpoint {path} holds no state_dict; expected a checkpoint that `seqlab train` wrote.")
    return content


def load_weights(model: nn.Module, path: Path) -> None:
    """Put a checkpoint's weights into the model. Raises ValueError as `read_checkpoint` and `check_fits` do."""
    content = read_checkpoint(path)
    check_fits(content, model, path)
    model.load_state_dict(content["state_dict"])


def check_fits(content: dict[str, Any], model: nn.Module, path: Path) -> None:
    """Raise ValueError unless the checkpoint's weights have exactly the names and shapes of the model's."""
    weights, own = content["state_dict"], model.state_dict()
    wrong = [f"{name} is missing" for name in own.keys() - weights.keys()]
    wrong += [f"{name} is not part of the model" for name in weights.keys() - own.keys()]
    shapes = ((name, tuple(own[name].shape), tuple(weights[name].shape)) for name in own.keys() & weights.keys())
    wrong += [f"{name} has shape {found}, the model's {expected}" for name, expected, found in shapes if expected != found]
    if wrong:
        few = "; ".join(sorted(wrong)[:3]) + (f"; and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        raise ValueError(f"checkpoint {path} belongs to another model than the config describes: {few}. Use the config it was trained with.")
