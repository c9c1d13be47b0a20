"""Data-parallel training on the compiled executor: two processes give the gradients of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from seqlab.executors.toolchain import compiler
from tests.executors.ranks import RANKS, Net

pytestmark = pytest.mark.skipif(compiler() is None or not torch.distributed.is_available(), reason="no C++ compiler, or torch without distributed")


@pytest.mark.slow
def test_two_ranks_give_the_gradients_of_the_whole_batch(tmp_path: Path) -> None:
    torch.manual_seed(1)
    x, lengths = torch.randn(6, 9, 3, dtype=torch.float64), torch.tensor([9, 2, 5, 7, 1, 4])  # unlike on the two ranks
    torch.save({"x": x, "lengths": lengths}, tmp_path / "batch.pt")
    command = [sys.executable, "-m", "tests.executors.ranks", str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ranks = [subprocess.Popen([*command, str(rank)], env=environment, stderr=subprocess.PIPE, text=True) for rank in range(RANKS)]
    for rank in ranks:
        _, errors = rank.communicate(timeout=180)
        assert rank.returncode == 0, errors
    found = torch.load(tmp_path / "gradients.pt")
    whole = Net("loop")
    (whole(x, lengths) / RANKS).backward()  # the ranks' gradients are averaged, their losses are sums
    for name, parameter in whole.named_parameters():
        # rounding in float64, of sums in another order
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-12, rtol=1e-12, msg=lambda text, name=name: f"{name}: {text}")
