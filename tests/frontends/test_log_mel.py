"""Loudness in bands against the Fourier transform written out; padded rows against rows alone."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from seqlab.data.base import Batch
from seqlab.frontends import LogMel


def by_hand(x: np.ndarray, rate: int, num_mels: int, window: int, hop: int, floor: float) -> np.ndarray:
    size = 1 << (window - 1).bit_length()
    top = 2595 * math.log10(1 + rate / 2 / 700)
    points = [700 * (10 ** (top * m / (num_mels + 1) / 2595) - 1) for m in range(num_mels + 2)]
    frames = []
    for start in range(0, len(x), hop):
        part = np.zeros(window)
        piece = x[start : start + window]
        part[: len(piece)] = piece
        part *= 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
        power = [abs(sum(part * np.exp(-2j * np.pi * k * np.arange(window) / size))) ** 2 for k in range(size // 2 + 1)]
        bands = []
        for low, mid, high in zip(points, points[1:], points[2:], strict=False):
            weights = [max(0.0, min((f - low) / (mid - low), (high - f) / (high - mid))) for f in (k * rate / size for k in range(size // 2 + 1))]
            bands.append(math.log(np.dot(weights, power) + floor))
        frames.append(bands)
    return np.array(frames)


@pytest.mark.parametrize("length", [1, 80, 81, 333])
def test_the_bands_are_those_of_the_transform(length: int) -> None:
    x = torch.randn(1, length, dtype=torch.float64) * 0.1
    frontend = LogMel(1, 8000, num_mels=10, normalise=False).double()
    expected = by_hand(x[0].numpy(), 8000, 10, 200, 80, 1e-6)
    assert frontend.output_lengths(torch.tensor([length])).tolist() == [len(expected)]
    torch.testing.assert_close(frontend(x)[0], torch.from_numpy(expected), rtol=1e-4, atol=1e-5)  # filters are kept in float32


def test_a_padded_row_is_the_row_alone_and_scale_is_that_of_training() -> None:
    torch.manual_seed(0)
    frontend = LogMel(1, 8000, num_mels=12)
    x, lengths = torch.randn(2, 900) * 0.1, torch.tensor([900, 410])
    x[1, 410:] = torch.nan
    batch = Batch(x, torch.zeros(2), lengths)
    frontend.prepare(SimpleNamespace(train_dataloader=lambda: [batch]))
    y, ends = frontend(x, lengths), frontend.output_lengths(lengths)
    valid = torch.cat([y[0, : ends[0]], y[1, : ends[1]]])
    torch.testing.assert_close(valid.mean(0), torch.zeros(12), rtol=0, atol=1e-5)  # float32 sums of 18 frames
    torch.testing.assert_close(valid.std(0, correction=0), torch.ones(12), rtol=1e-4, atol=0)
    torch.testing.assert_close(y[1, : ends[1]], frontend(x[1:, :410])[0], rtol=1e-5, atol=1e-5)  # float32 rounding of the transform


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_loud_sound_has_room_in_every_precision(dtype: torch.dtype) -> None:
    frontend, x = LogMel(1, 16000, num_mels=10, normalise=False), torch.sin(torch.arange(4000.0))[None]
    plain = frontend(x)
    with torch.autocast("cpu", dtype):
        assert torch.equal(frontend(x), plain)
    low = frontend.to(dtype)(x.to(dtype))
    assert low.dtype == dtype
    loud = plain > plain.max() - 2  # elsewhere one hears how the samples were rounded
    torch.testing.assert_close(low.float()[loud], plain[loud], rtol=0, atol=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_mels": 200}, "lies between two of the 129 frequencies"),
        ({"num_mels": 0}, "num_mels is 0"),
        ({"hop": 0.1}, "expected 1 <= hop <= window"),
        ({"floor": 0.0}, "floor is 0"),
    ],
)
def test_options_that_make_no_spectrum(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LogMel(1, 8000, **options)  # type: ignore[arg-type]
