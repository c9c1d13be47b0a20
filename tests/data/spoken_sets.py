"""Recordings and images of our own making, in the layout of the published sets: each digit is a tone, or a bar in an image."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seqlab.data import mnist
from seqlab.data.wav import write_wav

RATE = 8000


def tone(digit: int, seconds: float = 0.06, rate: int = RATE) -> Tensor:
    """A tone that is the higher the greater the digit."""
    return 0.5 * torch.sin(2 * torch.pi * (300 + 250 * digit) * torch.arange(round(seconds * rate)) / rate)


def write_fsdd(folder: Path, digits: int = 10) -> Path:
    """fsdd/recordings of two speakers, numbers 0 (test), 5 (validation), 10 and 11 (training); each of another length."""
    place = folder / "fsdd" / "recordings"
    place.mkdir(parents=True)
    for speaker, longer in (("anna", 0.0), ("otto", 0.01)):
        for digit in range(digits):
            for number in (0, 5, 10, 11):
                write_wav(place / f"{digit}_{speaker}_{number}.wav", tone(digit, 0.05 + longer + number / 1000), RATE)
    return folder


def write_spoken(folder: Path, texts: list[str], rate: int = RATE) -> Path:
    """A WAV file for each text of digits and spaces, 0.wav, 1.wav, …, and transcripts.csv, which names them."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["file,transcript"]
    for number, text in enumerate(texts):
        parts = [torch.zeros(round(0.03 * rate)) if sign == " " else torch.cat([tone(int(sign), rate=rate), torch.zeros(round(0.02 * rate))]) for sign in text]
        write_wav(folder / f"{number}.wav", torch.cat(parts), rate)
        lines.append(f"{number}.wav,{text}")
    (folder / "transcripts.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_idx(path: Path, values: Tensor) -> str:
    """A file in the IDX format; the sha256 of what it holds."""
    content = b"\x00\x00\x08" + bytes([values.dim()]) + struct.pack(f">{values.dim()}I", *values.shape) + values.numpy().tobytes()
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(gzip.compress(content))
    return hashlib.sha256(content).hexdigest()


def write_mnist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """mnist/ with 20 training and 10 test images, the last 10 of the former for validation: digit d is a bar in row 2 + 2 d."""
    sums = {}
    for part, number in (("train", 20), ("t10k", 10)):
        labels = torch.arange(number, dtype=torch.uint8) % 10
        images = torch.zeros(number, 28, 28, dtype=torch.uint8)
        for image, label in zip(images, labels.tolist(), strict=True):
            image[2 + 2 * label : 4 + 2 * label, 6:22] = 200
        for name, values in ((f"{part}-images-idx3-ubyte.gz", images), (f"{part}-labels-idx1-ubyte.gz", labels)):
            sums[name] = write_idx(folder / "mnist" / name, values)
    monkeypatch.setattr(mnist, "SHA256", sums)
    monkeypatch.setattr(mnist, "NUM_VALIDATION", 10)
    return folder
