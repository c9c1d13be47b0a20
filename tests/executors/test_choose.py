"""Which executor runs a cell, and what is said about it."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

import seqlab.executors as executors
from seqlab import Layer, make_cell
from seqlab.cells.base import State
from seqlab.cells.zoneout import Zoneout
from seqlab.executors import Call, CannotCompile, choose
from seqlab.executors.toolchain import compiler
from tests.executors.plugins import Small

X = torch.linspace(-1, 1, 2 * 40 * 3).view(2, 40, 3)


class Draws(Small):
    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(p + state["h"] * torch.rand_like(p))
        return h, {"h": h}


class Branches(Small):
    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(p + state["h"])
        return (h, {"h": h}) if h.sum() > 0 else (-h, {"h": -h})


class Writes(Small):
    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(p.mul_(2) + state["h"])
        return h, {"h": h}


class Counts(Small):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        self.count = self.count + 1
        h = torch.tanh(p + state["h"] + self.count)
        return h, {"h": h}


class Remembers(Small):
    last: Tensor | None = None

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        self.last = torch.tanh(p + state["h"])
        return self.last, {"h": self.last}


class Tosses(Small):
    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(p + state["h"] * random.random())
        return h, {"h": h}


class Hides(Small):
    def __init__(self) -> None:
        super().__init__()
        self.parts = [torch.nn.Linear(5, 5)]

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(p + self.parts[0](state["h"]))
        return h, {"h": h}


CAUSES = [(Draws, "draws random numbers"), (Branches, "looks at the values of a tensor"), (Writes, "writes to one of its arguments")]
CAUSES += [(Counts, "replaces 'count'"), (Remembers, "changes attributes"), (Tosses, "draws random numbers"), (Hides, "learns but is no parameter")]


def test_auto_on_a_machine_with_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "compiler", lambda: "g++")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    lstm, peephole, gru = make_cell("lstm", 3, 64), make_cell("lstm_peephole", 3, 4), make_cell("gru_reset_after", 3, 4)
    assert choose(lstm).executor == "compiled"
    assert choose(lstm, call=Call(gradient=False)).executor == "native"
    assert choose(gru, call=Call(gradient=False)).executor == "compiled"
    assert choose(lstm, call=Call(steps=8)).executor == "native"
    assert choose(peephole, call=Call(steps=8)).executor == "loop"
    assert choose(peephole, call=Call(transformed=True)).executor == "loop"
    assert choose(peephole, call=Call(recompute=True)).executor == "compiled"
    for mode in (True, False):  # one step: what streaming is made of
        assert choose(lstm, call=Call(1, mode)).executor == "loop"
        assert choose(gru, call=Call(1, mode)).executor == "native"
    small, wide = make_cell("lstm", 3, 32), make_cell("lstm", 3, 512)
    assert choose(small, call=Call(512, batch=16)).executor == "native"
    assert choose(small, call=Call(1024, batch=8, threads=2)).executor == "compiled"
    whole = [(8, 1), (8, 2), (32, 2), (1, 2)]  # batch, threads: to wait for each other takes longer than small steps
    assert [choose(small, call=Call(1024, False, batch=b, threads=n)).executor for b, n in whole] == ["native", "compiled", "native", "native"]
    single = [(32, 1), (32, 2), (64, 1)]
    assert [choose(make_cell("lstm", 3, 256), call=Call(1, False, batch=b, threads=n)).executor for b, n in single] == ["loop", "native", "native"]
    assert choose(wide, call=Call(16, batch=16)).executor == "compiled"
    assert choose(wide, call=Call(16, gradient=False, batch=16)).executor == "native"
    linear = make_cell("min_gru", 3, 64)
    assert [choose(linear, call=Call(steps, batch=4)).executor for steps in (2, 8, 512)] == ["loop", "scan", "compiled"]
    assert choose(linear, call=Call(device="cuda")).executor == "scan"


def test_auto_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "compiler", lambda: "g++")
    monkeypatch.setattr(executors, "has_triton", lambda: True)
    lstm, peephole = make_cell("lstm", 3, 4), make_cell("lstm_peephole", 3, 4)
    assert choose(lstm, call=Call(device="cuda")).executor == "native"
    assert choose(peephole, call=Call(device="cuda")).executor == "compiled"
    assert choose(peephole, call=Call(device="cuda", steps=2)).executor == "loop"
    monkeypatch.setattr(executors, "has_triton", lambda: False)
    choice = choose(peephole, call=Call(device="cuda"))
    assert choice.executor == "loop"
    assert "Triton, which writes its kernels for a GPU, is not installed" in choice.reason
    with pytest.raises(ValueError, match="cannot run LSTM: the compiled executor is for the CPU and CUDA devices, and x is on 'mps'"):
        choose(lstm, "compiled", Call(device="mps"))


def test_auto_without_a_compiler_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "compiler", lambda: None)
    for name, expected in (("lstm", "native"), ("lstm_peephole", "loop"), ("min_gru", "scan")):
        choice = choose(make_cell(name, 3, 4))
        assert choice.executor == expected
        assert "no C++ compiler was found" in choice.reason
    with pytest.raises(ValueError, match=r"executor='compiled' cannot run LSTM: no C\+\+ compiler"):
        Layer(make_cell("lstm", 3, 4), "compiled")


def test_what_was_asked_for_and_cannot_be() -> None:
    with pytest.raises(ValueError, match="executor='scan' cannot run LSTM: LSTM is not known to be linear"):
        Layer(make_cell("lstm", 3, 4), "scan")
    with pytest.raises(ValueError, match="recompute=True saves nothing"):
        Layer(make_cell("lstm", 3, 4), "native", recompute=True)
    with pytest.raises(ValueError, match=r"no executor is named 'fast'"):
        Layer(make_cell("lstm", 3, 4), "fast")


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler on this machine")
@pytest.mark.parametrize(("make", "cause"), CAUSES, ids=[make.__name__ for make, _ in CAUSES])
def test_a_cell_that_cannot_compile(make: type[Small], cause: str) -> None:
    cell = make()
    before = dict(vars(cell))
    with pytest.raises(CannotCompile, match=f"executor='compiled' cannot run {make.__name__}: .*{cause}"):
        Layer(cell, "compiled")(X)
    assert vars(cell) == before  # no tensor of the trace is left in it


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler on this machine")
def test_auto_falls_back_aloud(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "seqlab")
    layer = Layer(Branches())
    found, _ = layer(X)
    assert layer.choice().executor == "loop"
    assert "looks at the values of a tensor" in layer.choice().reason
    torch.testing.assert_close(found, Layer(layer.cell, "loop")(X)[0])
    assert "Branches runs on executor 'loop'" in caplog.text


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler on this machine")
def test_a_cell_that_cannot_compile_draws_its_noise_once() -> None:
    """A run that is resumed tries to compile again: the noise of its first call must be that of the run it goes on from."""
    layer = Layer(Zoneout(Branches(), 0.5))
    torch.manual_seed(0)
    first, _ = layer(X)
    torch.manual_seed(0)
    torch.testing.assert_close(first, layer(X)[0], rtol=0, atol=0)


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler on this machine")
def test_a_state_of_another_dtype_is_refused_and_does_not_stand_against_the_cell() -> None:
    cell = Small()
    wrong = {"h": torch.zeros(2, 5, dtype=torch.float64)}
    for executor in ("loop", "compiled", "auto"):
        with pytest.raises(TypeError, match=r"state 'h' has dtype torch\.float64 but cell Small has parameters of torch\.float32"):
            Layer(cell, executor)(X, state=wrong)
    assert choose(cell).executor == "compiled"


@pytest.mark.parametrize("name", ["lstm_peephole", "lstm", "gru_reset_after"])
def test_inside_a_transformation_auto_runs_the_loop(name: str) -> None:
    layer = Layer(make_cell(name, 3, 4))
    rows = torch.func.vmap(lambda row: layer(row[None])[0][0])(X)
    torch.testing.assert_close(rows, Layer(layer.cell, "loop")(X)[0])
    layer.requires_grad_(False)
    ones = torch.ones_like(X)
    _, expected = torch.func.jvp(lambda x: layer(x)[0], (X,), (ones,))
    with forward_ad.dual_level():
        found = forward_ad.unpack_dual(layer(forward_ad.make_dual(X, ones))[0]).tangent
    assert found is not None
    torch.testing.assert_close(found, expected)


def test_the_choice_of_a_layer_is_what_ran_most_of_its_training():
    """Streams end in a chunk of any length: one short call must not stand for the rest."""
    layer = Layer(make_cell("rnn", 2, 3, activation="sigmoid"))
    for steps in (2, 2, 64):
        layer(torch.randn(1, steps, 2))
    assert layer.choice().executor == "loop"
