"""What a run was made of besides its config: the code of its cells and the contents of its data, so that a changed one is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab import run_directory
from seqlab.data.base import SequenceDataModule
from seqlab.sweep.job_hash import source_digests

PLAIN = (str, bytes, int, float, bool, type(None))


def fingerprint(config: dict[str, Any], data: SequenceDataModule, records: dict[str, str]) -> dict[str, dict[str, str]]:
    """{"code": {what the config names: digest of its source}, "data": {split: digest of its contents}, "records": {file: digest of its text}}.

    records: what `data.records()` gave.
    """
    code = source_digests(config, list(map(str, config.get("plugins") or [])))
    return {
        "code": code,
        "data": {split: contents_digest(part) for split, part in data.splits.items()},
        "records": {name: text_digest(text) for name, text in records.items()},
    }


def check_records(directory: Path) -> None:
    """Raise ValueError for a file of a run directory that is not what its training wrote there, such as the vocabulary of another run."""
    path = directory / run_directory.FINGERPRINT
    noted = json.loads(path.read_text(encoding="utf-8")).get("records", {}) if path.is_file() else {}
    for name, digest in noted.items():
        file = directory / name
        if file.is_file() and text_digest(file.read_text(encoding="utf-8")) != digest:
            raise ValueError(f"{file} is not what the training of this run wrote there: it was altered, or is of another run. Restore it.")


def text_digest(text: str) -> str:
    """A digest of the text of a file."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def keep_or_compare(directory: Path, found: dict[str, dict[str, str]], data: str) -> None:
    """Write the fingerprint of a run beside its config, or raise ValueError when there is another already. data: what messages call the data set."""
    path = directory / run_directory.FINGERPRINT
    if not path.is_file():
        run_directory.write(path, json.dumps(found, indent=2) + "\n")
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    for name, digest in found["code"].items():
        if before["code"].get(name, digest) != digest:
            raise ValueError(
                f"the source of {name} is another than when the run in {directory} began; a run that goes on has to be the same run. "
                "Restore the source, or train anew, with init_from=DIR from the weights of this run."
            )
    for split, digest in found["data"].items():
        if before["data"].get(split) != digest:
            raise ValueError(
                f"the {split} split of {data} is another than when the run in {directory} began; a run that goes on has to see the same data. "
                "Restore the data, or train anew."
            )


def contents_digest(thing: Any) -> str:
    """A digest of everything that an object holds: tensors, arrays, plain values, and objects that hold these."""
    digest = hashlib.blake2b(digest_size=16)
    _feed(digest, thing, set())
    return digest.hexdigest()


def _feed(digest: Any, thing: Any, above: set[int]) -> None:
    if isinstance(thing, Tensor):
        digest.update(f"{thing.dtype} {tuple(thing.shape)}".encode())
        digest.update(thing.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(thing, np.ndarray) and thing.dtype != object:
        digest.update(f"{thing.dtype} {thing.shape}".encode())
        digest.update(np.ascontiguousarray(thing).data)
    elif isinstance(thing, PLAIN):
        digest.update(repr(thing).encode())
    elif id(thing) in above:
        digest.update(b"itself")
    else:
        digest.update(f"{type(thing).__module__}.{type(thing).__qualname__}".encode())
        _feed_parts(digest, thing, above | {id(thing)})


def _feed_parts(digest: Any, thing: Any, above: set[int]) -> None:
    if isinstance(thing, Sequence | np.ndarray):
        parts = list(thing)
        if all(isinstance(part, PLAIN) for part in parts):
            digest.update(repr(parts).encode())  # at once: a corpus may be a list of a million words
            return
    elif isinstance(thing, Mapping):
        parts = [part for item in thing.items() for part in item]
    elif isinstance(thing, set | frozenset):
        parts = sorted(map(repr, thing))
    else:
        parts = [part for item in getattr(thing, "__dict__", {}).items() for part in item]
    for part in parts:
        _feed(digest, part, above)
        digest.update(b",")
