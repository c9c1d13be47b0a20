"""Digits of our own making, in the published format of MNIST."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import pytest
import torch

from seqlab.data import mnist

SEGMENTS = {  # of a display with seven of them: row, column, and how far down and to the right
    "top": (4, 9, 0, 10),
    "middle": (13, 9, 0, 10),
    "bottom": (22, 9, 0, 10),
    "upper left": (4, 9, 9, 0),
    "upper right": (4, 19, 9, 0),
    "lower left": (13, 9, 9, 0),
    "lower right": (13, 19, 9, 0),
}
UNLIT = ["middle", "top middle bottom upper_left lower_left", "upper_left lower_right", "upper_left lower_left", "top bottom lower_left"]
UNLIT += ["upper_right lower_left", "upper_right", "middle bottom upper_left lower_left", "", "lower_left"]


def digit(number: int, shift: int = 0) -> torch.Tensor:
    """The digit as bytes (28, 28), lines three pixels wide."""
    image = torch.zeros(28, 28, dtype=torch.uint8)
    unlit = UNLIT[number].replace("_", " ")
    for name, (row, column, down, right) in SEGMENTS.items():
        if name not in unlit:
            image[row - 1 : row + down + 2, column - 1 + shift : column + right + 2 + shift] = 255
    return image


def idx(path: Path, values: torch.Tensor) -> str:
    """Write a file in the IDX format; the sha256 of what it holds."""
    content = b"\x00\x00\x08" + bytes([values.dim()]) + struct.pack(f">{values.dim()}I", *values.shape) + values.numpy().tobytes()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(content))
    return hashlib.sha256(content).hexdigest()


def write_digits(folder: Path, monkeypatch: pytest.MonkeyPatch, num_train: int = 30, num_validation: int = 10, num_test: int = 10) -> Path:
    """The four files under folder/mnist, each digit in turn; returns the folder, to be data_dir."""
    sums = {}
    for part, number in (("train", num_train + num_validation), ("t10k", num_test)):
        images = torch.stack([digit(n % 10, n // 10 % 5 - 2) for n in range(number)])
        for name, values in ((f"{part}-images-idx3-ubyte.gz", images), (f"{part}-labels-idx1-ubyte.gz", torch.arange(number, dtype=torch.uint8) % 10)):
            sums[name] = idx(folder / "mnist" / name, values)
    monkeypatch.setattr(mnist, "SHA256", sums)
    monkeypatch.setattr(mnist, "NUM_VALIDATION", num_validation)
    return folder
