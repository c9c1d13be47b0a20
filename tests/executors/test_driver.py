"""The products of the driver against torch's, and how it is built."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from seqlab.executors.compiled import driver as room
from seqlab.executors.compiled.driver import cache_folder, driver
from seqlab.executors.toolchain import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C++ compiler on this machine")


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (3, 5, 7), (8, 300, 32), (70, 600, 65), (9, 257, 33)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_products_of_any_shape_and_strides(m: int, k: int, n: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    bias = torch.randn(n, dtype=dtype)
    for left, right in itertools.product([False, True], repeat=2):
        a = torch.randn(k, m, dtype=dtype).T if left else torch.randn(m, k, dtype=dtype)
        b = torch.randn(n, k, dtype=dtype).T if right else torch.randn(k, n, dtype=dtype)
        exact = a.double() @ b.double()
        size = 4 * k * torch.finfo(dtype).eps  # a rounding for each of k terms of about one
        torch.testing.assert_close(driver().product(a, b).double(), exact, atol=size, rtol=0)
        torch.testing.assert_close(driver().product(a, b, bias).double(), exact + bias.double(), atol=size, rtol=0)


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("SEQLAB_CACHE_DIR", raising=False)
    assert cache_folder() == tmp_path / "seqlab"
    monkeypatch.setenv("SEQLAB_CACHE_DIR", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


def test_it_is_built_once_and_leaves_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEQLAB_CACHE_DIR", str(tmp_path))
    built = room._build()
    assert list(tmp_path.iterdir()) == [built]
    stamp = built.stat().st_mtime_ns
    assert room._build() == built
    assert built.stat().st_mtime_ns == stamp


def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEQLAB_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(room, "FLAGS", ("-no-such-flag",))
    with pytest.raises(RuntimeError, match="cannot build the driver"):
        room._build()
