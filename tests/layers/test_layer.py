"""A cell over time: exact lengths, state that is the caller's, learned starts, the kernels, and what is said when it goes wrong."""

import importlib
import logging

import pytest
import torch

from seqlab import Layer, make_cell
from seqlab.cells.output_norm import OutputNorm
from tests.cells.instances import random_cell
from tests.layers.alone import LENGTHS, batch, check_padded_equals_alone, check_resumes, random_start

KERNELS = [
    ("lstm", {}),
    ("lstm", {"bias": False}),
    ("rnn", {}),
    ("rnn", {"activation": "relu", "bias": False}),
    ("gru_reset_after", {}),
    ("gru_reset_after", {"bias": False}),
]
LOOPS = ["lstm", "gru", "rnn_concat", "lru"]  # two leaves, one leaf, y of its own width, a tuple as p, y no leaf


@pytest.mark.parametrize("name", LOOPS)
def test_padded_batch_equals_each_row_alone(name):
    check_padded_equals_alone(Layer(random_cell(name, 3, 4), "loop"))


@pytest.mark.parametrize(("name", "options"), KERNELS, ids=str)
def test_padded_batch_equals_each_row_alone_on_the_kernel(name, options):
    check_padded_equals_alone(Layer(random_cell(name, 3, 4, **options), "native"))


@pytest.mark.parametrize("name", LOOPS)
def test_resumes(name):
    check_resumes(Layer(random_cell(name, 3, 4), "loop"))


def test_loop_is_step_after_step():
    cell = random_cell("lstm", 3, 4)
    x, state = torch.randn(2, 5, 3, dtype=torch.float64), random_start(cell, 2)
    y, final = Layer(cell, "loop")(x, state=state)
    for t in range(5):
        expected, state = cell.step(cell.project(x[:, t]), state)
        torch.testing.assert_close(y[:, t], expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(final, state, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("lengths", [None, LENGTHS, [7, 7, 7]], ids=["none", "ragged", "full"])
@pytest.mark.parametrize(("name", "options"), KERNELS, ids=str)
def test_native_equals_loop(name, options, lengths):
    cell = random_cell(name, 3, 5, **options)
    results = []
    for executor in ("loop", "native"):
        layer = Layer(cell, executor)
        x = (batch(3) if lengths == LENGTHS else torch.nan_to_num(batch(3), 0.5)).requires_grad_()
        state = random_start(layer)
        y, final = layer(x, lengths, state)
        loss = y.sin().sum() + sum(leaf.square().sum() for leaf in final.values())
        results.append([y, *(final[key] for key in state), *torch.autograd.grad(loss, [x, *state.values(), *cell.parameters()])])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-10, atol=1e-11)  # float64; the kernel sums in another order


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["none", "ragged"])
def test_the_kernel_keeps_what_the_backward_needs_in_evaluation_too(lengths, monkeypatch):
    """cuDNN refuses a backward without it; the kernels of the CPU do not care, so the argument itself is looked at."""
    kernels = importlib.import_module("seqlab.executors.native")._KERNELS
    kept, kernel = [], kernels["lstm"]
    place = 6 if lengths is None else 7

    def recording(*arguments):
        kept.append(arguments[place])
        return kernel(*arguments)

    monkeypatch.setitem(kernels, "lstm", recording)
    layer = Layer(random_cell("lstm", 3, 4), "native").eval()
    layer(batch(3), lengths)
    with torch.no_grad():
        layer(batch(3), lengths)
    assert kept == [True, False]


def test_lengths_come_as_a_list_or_as_any_whole_numbers():
    layer = Layer(random_cell("lstm", 3, 4), "loop")
    expected, _ = layer(batch(3), LENGTHS)
    for dtype in (torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint64):
        assert torch.equal(layer(batch(3), torch.tensor(LENGTHS, dtype=dtype))[0], expected)


def test_nothing_is_kept_between_calls():
    layer = Layer(random_cell("lstm", 3, 4), "loop")
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    first, again = layer(x), layer(x)
    torch.testing.assert_close(again, first, rtol=0, atol=0)
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


def test_learned_initial_state():
    cell = random_cell("lstm", 3, 4)
    layer = Layer(cell, "loop", learn_initial_state=True)
    assert sorted(name for name, _ in layer.named_parameters() if name.startswith("learned")) == ["learned.c", "learned.h"]
    assert not layer.learned["h"].any()
    with torch.no_grad():
        layer.learned["h"].normal_()
        layer.learned["c"].normal_()
    x = batch(3)
    y, final = layer(x, LENGTHS)
    given = {name: leaf.detach().clone().requires_grad_() for name, leaf in layer.initial_state(3).items()}
    assert all(torch.equal(given[name], leaf.expand(3, 4)) for name, leaf in layer.learned.items())
    expected, last = Layer(cell, "loop")(x, LENGTHS, given)
    torch.testing.assert_close((y, final), (expected, last), rtol=0, atol=0)
    y.square().sum().backward()
    expected.square().sum().backward()
    for name, leaf in layer.learned.items():
        torch.testing.assert_close(leaf.grad, given[name].grad.sum(0), rtol=1e-12, atol=1e-12)  # one state for all rows
    with torch.no_grad():
        layer.learned["h"].add_(1.0)
    assert torch.equal(layer(x, LENGTHS, given)[0], expected)  # a state that is given comes first


@pytest.mark.parametrize(("name", "options"), KERNELS, ids=str)
def test_learned_initial_state_on_the_kernel(name, options):
    layer = Layer(random_cell(name, 3, 4, **options), "native", learn_initial_state=True)
    (gradient,) = torch.autograd.grad(layer(batch(3), LENGTHS)[0].sum(), layer.learned["h"])
    (expected,) = torch.autograd.grad(Layer(layer.cell, "loop")(batch(3), LENGTHS, layer.initial_state(3))[0].sum(), layer.learned["h"])
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-12)


def test_each_layer_says_each_choice_once(caplog):
    """Every layer for itself: one process may train one run after the other, and each has a log of its own."""
    layers = [Layer(OutputNorm(make_cell("rnn", 3, 4)), executor) for executor in ("auto", "loop", "auto")]
    with caplog.at_level(logging.INFO, "seqlab"):
        for layer in layers * 3:
            layer(torch.randn(1, 2, 3))
    why = "no kernel of torch.nn fits: OutputNorm has equations of its own; and so few steps do not pay for compiling"
    reasons = [why, "executor='loop' was asked for", why]
    assert [record.message for record in caplog.records] == [f"OutputNorm(RNN) runs on executor 'loop': {reason}" for reason in reasons]
    assert [layer.choice().reason for layer in layers] == reasons  # what summary.json says
    caplog.clear()
    kernel = Layer(make_cell("rnn", 3, 4))
    with caplog.at_level(logging.INFO, "seqlab"):
        for steps in (1, 2, 1, 3, 2):  # one step and more go to two executors; that is said when the second is first used
            kernel(torch.randn(1, steps, 3))
    assert [record.message.split(":")[0] for record in caplog.records] == ["RNN runs on executor 'loop'", "RNN runs on executor 'native'"]


def test_an_option_set_later_is_seen():
    """A choice is kept for each kind of call; it must not outlive what it rests on."""
    layer, x = Layer(make_cell("rnn", 3, 4)), torch.randn(2, 5, 3)
    layer(x)
    assert layer.choice().executor == "native"
    layer.cell.activation = "sigmoid"
    torch.testing.assert_close(layer(x), Layer(layer.cell, "loop")(x))


def test_torch_compile_takes_a_layer_as_one_graph():
    layer, x = Layer(make_cell("gru", 3, 4), "loop"), torch.randn(2, 4, 3)
    y, final = torch.compile(layer, backend="eager", fullgraph=True)(x)
    torch.testing.assert_close((y, final), layer(x))


X = torch.randn(3, 7, 3)
STATE = {"h": torch.zeros(3, 4), "c": torch.zeros(3, 4)}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda layer: layer(X[0]), ValueError, r"x has shape \(7, 3\); expected three axes, \(batch, time, 3\)"),
        (lambda layer: layer(X[..., :2]), ValueError, r"x has shape \(3, 7, 2\) but cell LSTM takes input_size=3 in the last axis"),
        (lambda layer: layer(X[:, :0]), ValueError, r"x has shape \(3, 0, 3\); expected at least one row and one step"),
        (lambda layer: layer(X[:0]), ValueError, r"x has shape \(0, 7, 3\); expected at least one row and one step"),
        (lambda layer: layer(X.long()), TypeError, r"x has dtype torch.int64; expected floating point. Embed tokens first, or call x.float\(\)"),
        (lambda layer: layer(X, [7, 12, 3]), ValueError, r"lengths must lie in 1..7 \(the time axis of x\); got 12 in row 1"),
        (lambda layer: layer(X, [7, 2, 0]), ValueError, r"lengths must lie in 1..7 \(the time axis of x\); got 0 in row 2"),
        (lambda layer: layer(X, [7, 2]), ValueError, r"lengths have shape \(2,\); expected \(3,\), one for each row of x"),
        (lambda layer: layer(X, X[:, :, 0] > 0), TypeError, r"lengths have dtype torch.bool; expected whole numbers. A mask becomes lengths"),
        (lambda layer: layer(X, torch.tensor([7.0, 2.0, 1.0])), TypeError, "lengths have dtype torch.float32; expected whole numbers"),
        (lambda layer: layer(X, None, {"h": STATE["h"]}), ValueError, r"state has the leaves \['h'\] but cell LSTM has \['c', 'h'\]"),
        (lambda layer: layer(X, None, {**STATE, "c": torch.zeros(2, 4)}), ValueError, r"state 'c' has shape \(2, 4\); expected \(3, 4\), batch first"),
        (lambda layer: layer(X, None, (STATE["h"], STATE["c"])), TypeError, r"state is a tuple; expected a dict of tensors with the leaves \['c', 'h'\]"),
        (lambda layer: layer(X.numpy()), TypeError, r"x is a ndarray; expected a tensor. Call torch.as_tensor\(x\)"),
        (lambda layer: layer(X, ["7", "2", "1"]), TypeError, r"lengths are \['7', '2', '1'\]; expected 3 whole numbers, one for each row of x"),
        (lambda layer: layer(X, [7, None, 1]), TypeError, r"lengths are \[7, None, 1\]; expected 3 whole numbers"),
        (lambda layer: layer(X.double()), TypeError, "x has dtype torch.float64 but cell LSTM has parameters of torch.float32. Turn one of them into"),
        (lambda layer: layer(X.to("meta")), ValueError, r"x is on meta but cell LSTM has its parameters on cpu. Move one of them with .to\("),
        (lambda layer: layer(X, None, {**STATE, "h": STATE["h"].double()}), TypeError, "state 'h' has dtype torch.float64 but cell LSTM has parameters"),
        (lambda layer: layer(X, None, {**STATE, "c": [0.0]}), TypeError, "state 'c' is a list; expected a tensor, batch first"),
        (lambda layer: Layer(torch.nn.LSTM(3, 4)), TypeError, "cell is a LSTM; expected a seqlab.Cell, e.g. make_cell"),
        (lambda layer: Layer(layer.cell, "lop"), ValueError, "no executor is named 'lop'. Did you mean 'loop'"),
        (lambda layer: Layer(make_cell("gru", 3, 4), "native"), ValueError, r"executor='native' cannot run GRU: GRU has equations of its own"),
    ],
)  # fmt: skip
def test_errors_name_the_value_and_what_was_expected(call, error, message):
    with pytest.raises(error, match=message):
        call(Layer(make_cell("lstm", 3, 4), "loop"))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda p, s: (s["h"], {"h": s["h"], "mask": s["h"]}), r"step of RNN returned the state leaves \['h', 'mask'\]; expected \['h'\]"),
        (lambda p, s: (s["h"], {"h": s["h"][:1]}), r"step of RNN returned state 'h' of shape \(1, 4\); expected \(3, 4\), as it came"),
        (lambda p, s: (s["h"][:, :3], {"h": s["h"]}), r"step of RNN returned y of shape \(3, 3\); expected \(3, 4\), \(batch, output_size\)"),
    ],
)
def test_a_step_that_breaks_the_contract_is_an_error(step, message):
    cell = make_cell("rnn", 3, 4)
    cell.step = step
    with pytest.raises(ValueError, match=message):
        Layer(cell, "loop")(X)
