"""Checkpoint files: written whole or not at all, with a checksum beside each, read as plain data and tensors."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from torch import nn

from seqlab import __version__
from seqlab.ranks.sharded import put_weights
from seqlab.run_directory import replace

log = logging.getLogger("seqlab")
LAST, BEFORE, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"  # the newest, the one before it, the best by `monitor`
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
        target = Path(path)
        before = target.with_name(BEFORE) if target.name == LAST else None
        write_checkpoint({**checkpoint, PROVENANCE: {"version": __version__, "config": self.config}}, target, before)

    def load_checkpoint(self, path: str | os.PathLike[str], map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return read_checkpoint(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        Path(path).unlink(missing_ok=True)


def write_checkpoint(content: dict[str, Any], path: Path, before: Path | None = None) -> None:
    """Write `content` under `path`, whole or not at all, and its checksum beside it; what was there goes to `before`, if given.

    Raises OSError, with the files before it untouched and with what to do.
    """

    def save(partial: Path) -> None:
        with open(partial, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        if before is not None and path.exists():
            copy_checkpoint(path, before)
        _note(path, [checksum(partial), *checksums(path)])  # both, since the process may end before or after the file gets its name

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, save)
        _note(path, checksums(path)[:1])
    except (OSError, RuntimeError) as error:  # torch's writer turns an error of the disk into a RuntimeError
        failure = _disk_error(error)
        if failure is None:
            raise
        kept = f"The one before it is whole, {path}." if path.exists() else "There is none before it."
        raise OSError(
            failure.errno,
            f"the checkpoint {path} cannot be written: {failure.strerror or failure}; {free_space(path)}. {kept} "
            f"Free some space or allow writing, then go on with `seqlab train resume={path.parent.parent}`.",
        ) from error


def _disk_error(error: BaseException) -> OSError | None:
    """The error of the disk that this one is, or was raised for."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if cause is None and "PytorchStreamWriter failed" in str(error):
        return OSError(errno.EIO, "the disk took only a part of it")
    return cause


def free_space(path: Path) -> str:
    """How much the disk of a file can take, in words."""
    try:
        return f"{shutil.disk_usage(path.parent).free / 2**20:.0f} MB are free there"
    except OSError:
        return "the folder cannot be read"


def copy_checkpoint(source: Path, path: Path) -> None:
    """Put the whole file `source` under `path` as well: a second name for the same bytes, or a copy where the disk has no such links."""

    def save(partial: Path) -> None:
        try:
            os.link(source, partial)
        except OSError:
            partial.write_bytes(source.read_bytes())
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
        _note(path, [*checksums(source), *checksums(path)])

    noted = checksums(source)
    replace(path, save)
    _note(path, noted)


def checksum_file(path: Path) -> Path:
    """Where the checksum of a checkpoint stands, as `sha256sum --check` reads it."""
    return path.with_name(f"{path.name}.sha256")


def checksum(path: Path) -> str:
    """The SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(path: Path) -> list[str]:
    """The checksums noted beside a checkpoint: one, or the next one's and its own where writing was cut short; [] when none is noted."""
    try:
        return [line.split()[0] for line in checksum_file(path).read_text(encoding="ascii").splitlines() if line.strip()]
    except FileNotFoundError:
        return []


def _note(path: Path, sums: list[str]) -> None:
    """Write the checksums beside a file, without waiting for the disk: where they are lost the checkpoint before is taken."""
    if not sums:
        return  # a file without them, made by hand
    lines = "".join(f"{found}  {path.name}\n" for found in dict.fromkeys(sums))

    def save(partial: Path) -> None:
        partial.write_text(lines, encoding="ascii")

    replace(checksum_file(path), save)


def newest_whole(folder: Path) -> Path | None:
    """The newest checkpoint of a run that is whole, or None when it has none yet; a damaged one is passed over with a warning.

    Raises ValueError when there are some and none of them is whole.
    """
    reasons = []
    for name in (LAST, BEFORE):
        if (folder / name).is_file():
            try:
                read_checkpoint(folder / name)
            except ValueError as error:
                reasons.append(str(error))
                continue
            for reason in reasons:
                log.warning("%s The one before it is taken, %s.", reason.removesuffix("Use another one.").strip(), folder / name)
            return folder / name
    if reasons:
        raise ValueError(f"no checkpoint in {folder} is whole: {' '.join(reasons)} Restore one of them, or train again in another directory.")
    return None


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
    noted = checksums(path)
    if checksum_file(path).is_file() and checksum(path) not in noted:
        raise ValueError(f"checkpoint {path} is damaged: its checksum is not the one in {checksum_file(path).name}. Use another one.")
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
    put_weights(model, content["state_dict"])


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
