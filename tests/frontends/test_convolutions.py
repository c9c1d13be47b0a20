"""Convolutions over time against loops written out, and that padding never reaches what counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqlab.frontends import Convolution, ConvolvedFeatures, Frontend, NGrams

LENGTHS = torch.tensor([7, 1, 4])


def loop(convolution: Convolution, x: np.ndarray) -> np.ndarray:
    """x (T, I) of one row alone -> y (T', F), one window after the other."""
    rows = []
    for start in range(0, len(x), convolution.stride):
        row: list[float] = []
        for window in convolution.windows:
            weight, bias = (p.detach().numpy() for p in (window.weight, window.bias))
            width = weight.shape[2]
            for f in range(len(weight)):
                total = bias[f]
                for k in range(width):
                    t = start + k - (width - 1) // 2
                    if 0 <= t < len(x):
                        total += weight[f, :, k] @ x[t]
                row.append(max(0.0, total))
        rows.append(row)
    return np.array([np.max(rows[i : i + convolution.pool], 0) for i in range(0, len(rows), convolution.pool)])


@pytest.mark.parametrize(("widths", "stride", "pool"), [([3], 1, 1), ([1, 2, 5], 1, 1), ([4], 3, 1), ([3, 2], 2, 2), ([3], 1, 9)])
def test_windows_are_those_of_a_loop_whatever_the_padding_holds(widths, stride, pool) -> None:
    torch.manual_seed(0)
    convolution = Convolution(2, 3, widths, stride, pool).double()
    x = torch.randn(3, 7, 2, dtype=torch.float64)
    for row, length in enumerate(LENGTHS):
        x[row, length:] = float("nan")
    y = convolution(x, LENGTHS)
    sizes = convolution.output_lengths(LENGTHS)
    assert y.shape == (3, sizes[0], 3 * len(widths))
    for row, (length, size) in enumerate(zip(LENGTHS, sizes, strict=True)):
        expected = loop(convolution, x[row, :length].numpy())
        np.testing.assert_allclose(y[row, :size].detach(), expected, atol=1e-12)  # float64
        assert not y[row, size:].any()


@pytest.mark.parametrize(
    "frontend",
    [NGrams(9, [2, 3], 4, 5), ConvolvedFeatures(2, [3], 4, num_layers=2, stride=2, pool=2), ConvolvedFeatures(2, [4], 3)],
    ids=["ngrams", "short", "long"],
)
def test_a_padded_row_is_as_it_is_alone(frontend: Frontend) -> None:
    torch.manual_seed(0)
    x = torch.randint(9, (3, 7)) if frontend.reads == "tokens" else torch.randn(3, 7, 2)
    y, sizes = frontend(x, LENGTHS), frontend.output_lengths(LENGTHS)
    for row, (length, size) in enumerate(zip(LENGTHS, sizes, strict=True)):
        torch.testing.assert_close(y[row, :size], frontend(x[row : row + 1, :length])[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: NGrams(3, []), r"frontend widths are \[\]; expected at least one width"),
        (lambda: NGrams(3, [3, 0]), r"frontend widths are \[3, 0\]; expected at least one width, each at least 1 step"),
        (lambda: ConvolvedFeatures(3, stride=0), "frontend stride is 0; expected at least 1"),
        (lambda: ConvolvedFeatures(3, num_layers=0), "frontend num_layers is 0; expected at least 1"),
    ],
)
def test_errors_name_the_value_and_what_was_expected(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call()
