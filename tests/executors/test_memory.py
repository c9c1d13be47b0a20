"""Peak memory of a compiled training step beside torch's LSTM, at small widths, where it is hardest."""

from __future__ import annotations

import pytest

from seqlab.bench.memory import peak_bytes
from seqlab.executors.toolchain import compiler

SIZE = "1024,8,32,32"


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="no C++ compiler on this machine")
@pytest.mark.parametrize(("cell", "most"), [("lstm", 0.9), ("lstm_peephole", 0.9), ("lstm_layer_norm", 1.2)])
def test_peak_memory_stays_beside_that_of_torch(cell: str, most: float) -> None:
    peak, reference = peak_bytes(f"{cell}:compiled", SIZE, "training", "cpu"), peak_bytes("nn.LSTM", SIZE, "training", "cpu")
    if peak is None or reference is None:
        pytest.skip("this system keeps no high-water mark")
    assert peak <= most * reference, f"{peak / reference:.2f} of nn.LSTM's"
