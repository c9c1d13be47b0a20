"""The benchmark: what each side runs, how rounds alternate, and what is written. No test looks at a time."""

import csv

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from seqlab.bench.command import main
from seqlab.bench.gpu_peers import FlashRNN
from seqlab.bench.measure import Measurement, measure
from seqlab.bench.sides import MODES, Side, Size, build_side

SIZE = Size(3, 2, 4, 5)


@pytest.fixture(autouse=True)
def the_process_stays_as_it_is(monkeypatch):
    """The command restarts itself to fix the allocator; a test must not."""
    monkeypatch.setattr("os.execve", lambda *arguments: pytest.fail("the process was replaced"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["nn.LSTM", "lstm:loop", "lstm:native", "lstm:loop:recompute", "gru:naive", "floor:lstm"])
def test_every_kind_of_side_runs(name, mode):
    side = build_side(name, SIZE, mode)
    side.run()
    side.run()
    assert side.name == name


def test_training_leaves_gradients_and_inference_does_not(monkeypatch):
    seen = []
    monkeypatch.setattr("torch.Tensor.backward", lambda self, gradient: seen.append((self.shape, gradient.shape)))
    build_side("lstm:loop", SIZE, "inference").run()
    assert seen == []
    build_side("lstm:loop", SIZE, "training").run()
    assert seen == [((2, 3, 5), (2, 3, 5))]


def test_floor_multiplies_what_the_cell_multiplies():
    """Forward: T·B rows by 4H×I and by 4H×H, two operations each; backward: the recurrent one again, and both gradients."""
    with FlopCounterMode(display=False) as counter:
        build_side("floor:lstm", SIZE, "training").run()
    rows, inputs, recurrent = 3 * 2, 20 * 4, 20 * 5
    assert counter.get_total_flops() == 2 * rows * (2 * inputs + 3 * recurrent)


def test_rounds_alternate_between_the_sides():
    order = []
    sides = [Side("a", lambda: order.append("a")), Side("b", lambda: order.append("b"))]
    found = measure(sides, rounds=3, least_seconds=0.0)
    assert order[-6:] == ["a", "b"] * 3
    assert [(m.name, len(m.seconds)) for m in found] == [("a", 3), ("b", 3)]


def test_median_and_spread():
    found = Measurement("a", [1.0, 2.0, 3.0, 4.0, 100.0], 0.0)
    assert found.median == 3.0
    assert found.spread == pytest.approx((52.0 - 1.5) / 3.0)  # quartiles of five values by the exclusive method


def test_the_command_writes_a_table_a_csv_and_a_picture(tmp_path, capsys):
    assert main(["lstm", "--sizes", "3,2,4,5", "--rounds", "3", "--modes", "training", "inference", "--keep-allocator", "--out", str(tmp_path)]) == 0
    rows = list(csv.DictReader((tmp_path / "bench.csv").open()))
    assert {row["mode"] for row in rows} == {"training", "inference"}
    assert {"nn.LSTM", "lstm:loop", "lstm:native", "lstm:naive", "floor:lstm"} <= {row["side"] for row in rows}
    assert all(float(row["ratio"]) == 1 for row in rows if row["side"] == "nn.LSTM")
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert "Noise" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lsmt"], "Did you mean 'lstm'"),
        (["lstm", "--sizes", "3,2,4"], "expected four whole numbers"),
        (["nn.LTSM:"], "no side is named"),
        (["lstm", "--rounds", "2"], "at least 3"),
        (["lstm:loop:recompile"], "Did you mean 'recompute'"),
        (["lstm", "--device", "cuda"], "torch finds no CUDA device"),
    ],
)
def test_bad_arguments_are_one_line(arguments, message, tmp_path, capsys):
    assert main([*arguments, "--keep-allocator", "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_kernels_for_a_gpu_say_why_they_are_not_here(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="haste_pytorch is not installed, so haste:lstm cannot run"):
        build_side("haste:lstm", SIZE, "training", "cuda")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    with pytest.raises(ValueError, match="no flashrnn cell is named 'lsmt'"):
        build_side("flashrnn:lsmt", SIZE, "training", "cuda")
    with pytest.raises(ValueError, match="flashrnn:lstm cannot run on cpu for training"):
        build_side("flashrnn:lstm", SIZE, "training")


def test_flashrnn_is_called_as_its_documentation_says():
    """Wx (B, T, gates, heads, D), R (gates, heads, D, D), b (gates, heads, D) -> states (num_states, B, T, heads, D), h first."""
    seen = {}

    def kernel(p, recurrent, bias, function, backend):
        seen.update(p=p.shape, recurrent=recurrent.shape, bias=bias.shape, function=function, dtype=p.dtype)
        return torch.stack([p[:, :, 0], p[:, :, 1]]), None

    y = FlashRNN(kernel, "lstm", SIZE)(torch.randn(2, 3, 4))
    assert seen == {"p": (2, 3, 4, 1, 5), "recurrent": (4, 1, 5, 5), "bias": (4, 1, 5), "function": "lstm", "dtype": torch.bfloat16}
    assert y.shape == (2, 3, 5)
    assert y.dtype == torch.float32


@pytest.mark.slow
def test_peak_memory_grows_with_what_is_kept():
    """Training keeps at least p (T, B, 4H) of float32 alive; inference at ten times less time keeps less."""
    from seqlab.bench.memory import peak_bytes

    long = peak_bytes("lstm:loop", "400,16,32,64", "training", "cpu")
    short = peak_bytes("lstm:loop", "40,16,32,64", "training", "cpu")
    if long is None or short is None:
        pytest.skip("this system keeps no high-water mark")
    assert long > 400 * 16 * 4 * 64 * 4
    assert short < long / 3
