"""Cells that hold a cell: what each does to one step and to one call."""

import pytest
import torch
from torch import nn

from seqlab import Layer
from seqlab.cells.output_norm import OutputNorm
from seqlab.cells.variational_dropout import VariationalDropout
from seqlab.cells.weight_drop import WeightDrop
from seqlab.cells.zoneout import Zoneout
from tests.cells.counter import Counter, inputs
from tests.cells.instances import random_cell, random_state

DOUBLE = {"rtol": 1e-12, "atol": 1e-12}  # the same few operations in another order, in float64

# Zoneout


@pytest.mark.parametrize("name", ["lstm", "gru", "min_gru", "rnn_concat", "lru"])
def test_zoneout_keeps_the_old_value_or_takes_the_new_one(name):
    cell = random_cell(name, 3, 50)
    wrapped = Zoneout(cell, rate=0.3)
    x, state = inputs(batch=40)[:, 0], random_state(cell, 40)
    y, new = wrapped.step(wrapped.project(x), state)
    bare_y, bare = cell.step(cell.project(x), state)
    for leaf, value in new.items():
        kept = value == state[leaf]
        assert torch.equal(value, torch.where(kept, state[leaf], bare[leaf]))
        assert 0.25 < kept.double().mean() < 0.35  # at least 2,000 draws: five standard deviations
    assert torch.equal(y, new["h"] if cell.output_key else bare_y)


def test_zoneout_draws_for_each_step_row_unit_and_leaf():
    wrapped = Zoneout(random_cell("lstm", 3, 50), rate=0.3)
    _, mask_h, mask_c = wrapped.project(torch.randn(20, 10, 3, dtype=torch.float64))
    assert mask_h.dtype == torch.bool
    assert mask_h.shape == mask_c.shape == (20, 10, 50)
    for mask in (mask_h, mask_c):
        for axis in range(3):
            assert mask.any(axis).any()
            assert not mask.all(axis).any()  # a mask repeated along an axis would be all True somewhere; else 0.3^10 · 1000 = 6e-3
    assert not torch.equal(mask_h, mask_c)


def test_zoneout_in_evaluation_is_the_expectation():
    cell = random_cell("lstm", 3, 4)
    wrapped = Zoneout(cell, rate=0.3, rates={"c": 0.5}).eval()
    x, state = inputs()[:, 0], random_state(cell, 3)
    y, new = wrapped.step(wrapped.project(x), state)
    _, bare = cell.step(cell.project(x), state)
    torch.testing.assert_close(new["h"], 0.3 * state["h"] + 0.7 * bare["h"], **DOUBLE)
    torch.testing.assert_close(new["c"], 0.5 * state["c"] + 0.5 * bare["c"], **DOUBLE)
    assert y is new["h"]


def test_zoneout_leaves_a_leaf_with_rate_zero_alone():
    cell = random_cell("lstm", 3, 50)
    x, state = inputs()[:, 0], random_state(cell, 3)
    _, bare = cell.step(cell.project(x), state)
    for wrapped in (Zoneout(cell, rate=0.0, rates={"c": 0.9}), Zoneout(cell, rate=0.0, rates={"c": 0.9}).eval()):
        _, new = wrapped.step(wrapped.project(x), state)
        assert torch.equal(new["h"], bare["h"])
        assert not torch.equal(new["c"], bare["c"])
    off = Zoneout(cell, rate=0.0)
    assert torch.equal(Layer(off, "loop")(inputs())[0], Layer(cell, "loop")(inputs())[0])


def test_zoneout_acts_on_floating_leaves_that_change():
    wrapped = Zoneout(Counter(), rate=0.9)
    state = {**wrapped.initial_state(3), "memory": torch.randn(3, 4, dtype=torch.float64)}
    y, new = wrapped.step(wrapped.project(inputs()[:, 0]), state)
    assert new["memory"] is state["memory"]
    assert new["steps"].tolist() == [1, 1, 1]
    assert (new["h"] == 0).any()
    assert (y != 0).all()


# Variational dropout


@pytest.mark.parametrize("rescale", [True, False])
def test_variational_dropout_is_one_mask_on_what_each_step_reads(rescale):
    cell = random_cell("lstm", 3, 20)
    wrapped = VariationalDropout(cell, rate=0.25, rescale=rescale)
    x = inputs()
    torch.manual_seed(1)
    y, final = Layer(wrapped, "loop")(x)
    torch.manual_seed(1)
    (mask,) = wrapped.draw_masks(3).values()
    assert set(mask.unique().tolist()) == {0.0, 1 / 0.75 if rescale else 1.0}
    assert mask.shape == (3, 20)
    assert not torch.equal(mask[0], mask[1])
    state = cell.initial_state(3)
    for t in range(7):
        expected, state = cell.step(cell.project(x[:, t]), {"h": mask * state["h"], "c": state["c"]})
        torch.testing.assert_close(y[:, t], expected, **DOUBLE)
    assert set(final) == {"h", "c"}
    torch.testing.assert_close(final["c"], state["c"], **DOUBLE)


def test_variational_dropout_draws_anew_for_every_call():
    layer = Layer(VariationalDropout(random_cell("lstm", 3, 20), rate=0.5), "loop")
    x = inputs()
    first, state = layer(x)
    again, _ = layer(x)
    assert torch.equal(first[:, 0], again[:, 0])  # the initial state is zero, which no mask changes
    assert not torch.allclose(first[:, 1], again[:, 1])
    layer(x, state=state)  # what is carried on is what a call takes: no mask among it


def test_variational_dropout_masks_do_not_collide_when_nested():
    cell = random_cell("rnn", 3, 400)
    wrapped = VariationalDropout(OutputNorm(VariationalDropout(VariationalDropout(cell, rate=0.5), rate=0.5)), rate=0.5)
    masks = wrapped.draw_masks(1)
    assert len(masks) == 3
    state = {"h": torch.ones(1, 400, dtype=torch.float64)}
    read = {}
    cell.step = lambda p, state: (read.update(state), (state["h"], {"h": state["h"]}))[1]
    wrapped.step(wrapped.project(inputs(batch=1)[:, 0]), {**state, **masks})
    assert 0.08 < (read["h"] != 0).double().mean() < 0.17  # ½³ kept of 400; three deviations are 0.05
    assert read["h"].max() == 8.0


def test_variational_dropout_finds_the_leaf_that_y_is():
    cell = random_cell("lstm", 3, 4)
    assert VariationalDropout(cell).leaves == ["h"]
    assert VariationalDropout(OutputNorm(Zoneout(cell))).leaves == ["h"]
    assert VariationalDropout(Counter()).leaves == ["memory", "h"]
    assert VariationalDropout(cell, leaves=["c"]).leaves == ["c"]


def test_variational_dropout_does_not_wear_a_constant_leaf_away():
    wrapped = VariationalDropout(Counter(), rate=0.5, leaves=["memory"])
    state = {**wrapped.initial_state(3), "memory": torch.randn(3, 4, dtype=torch.float64)}
    _, new = wrapped.step(wrapped.project(inputs()[:, 0]), {**state, **wrapped.draw_masks(3)})
    assert new["memory"] is state["memory"]


# Weight drop


def test_weight_drop_gradient_reaches_the_raw_weight():
    cell = random_cell("lstm", 3, 10)
    layer, x = Layer(WeightDrop(cell, rate=0.4), "loop"), inputs()
    torch.manual_seed(1)
    y, _ = layer(x)
    y.square().sum().backward()
    torch.manual_seed(1)
    dropped = nn.functional.dropout(cell.recurrent_weight.detach(), 0.4).requires_grad_()
    bare = Layer(cell, "loop")
    expected, _ = torch.func.functional_call(bare, {"cell.recurrent_weight": dropped}, (x,))
    torch.testing.assert_close(y, expected, **DOUBLE)
    (gradient,) = torch.autograd.grad(expected.square().sum(), dropped)
    mask = (dropped != 0).double() / 0.6
    assert 0.3 < (dropped == 0).double().mean() < 0.5  # 400 draws: four standard deviations
    assert cell.recurrent_weight.is_leaf
    torch.testing.assert_close(cell.recurrent_weight.grad, mask * gradient, **DOUBLE)


def test_weight_drop_draws_once_for_each_call():
    wrapped = WeightDrop(random_cell("rnn", 3, 10), rate=0.5)
    layer, x = Layer(wrapped, "loop"), inputs()
    first, again = layer(x)[0], layer(x)[0]
    assert torch.equal(first[:, 0], again[:, 0])
    assert not torch.allclose(first[:, 1], again[:, 1])
    torch.manual_seed(1)
    weights = wrapped.weights()
    torch.manual_seed(1)
    y, _ = layer(x)
    h = torch.zeros(3, 10, dtype=torch.float64)
    for t in range(7):
        h = torch.tanh(x[:, t] @ weights["cell.input_weight"].T + weights["cell.bias"] + h @ weights["cell.recurrent_weight"].T)
        torch.testing.assert_close(y[:, t], h, **DOUBLE)


@pytest.mark.parametrize("name", ["rnn", "irnn", "lstm", "gru_reset_after"])
@pytest.mark.parametrize("lengths", [None, [7, 2, 4]], ids=["full", "ragged"])
def test_weight_drop_keeps_the_kernel(name, lengths):
    wrapped = WeightDrop(random_cell(name, 3, 5), rate=0.5)
    layers, x = {executor: Layer(wrapped, executor) for executor in ("loop", "native")}, inputs()
    results = {}
    for executor, layer in layers.items():
        torch.manual_seed(3)
        y, final = layer(x, lengths)
        loss = y.square().sum() + sum(leaf.sum() for leaf in final.values())
        results[executor] = [y, *final.values(), *torch.autograd.grad(loss, list(wrapped.parameters()))]
    for a, b in zip(*results.values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)  # another order of sums over 21 rows


def test_weight_drop_says_why_there_is_no_kernel():
    with pytest.raises(ValueError, match=r"executor='native' cannot run WeightDrop\(GRU\): GRU has equations of its own"):
        Layer(WeightDrop(random_cell("gru", 3, 5)), "native")
    with pytest.raises(ValueError, match=r"executor='native' cannot run WeightDrop\(RNN\): activation 'sigmoid' has no kernel"):
        Layer(WeightDrop(random_cell("rnn", 3, 5, activation="sigmoid")), "native")


def test_weight_drop_takes_names():
    cell = random_cell("lstm", 3, 5)
    assert WeightDrop(Zoneout(cell)).names == ["cell.recurrent_weight"]
    assert WeightDrop(Zoneout(cell), names=["input_weight", "cell.bias"]).names == ["cell.input_weight", "cell.bias"]
    weights = WeightDrop(cell, rate=0.5, names=["input_weight"]).weights()
    assert (weights["cell.input_weight"] == 0).any()
    assert weights["cell.recurrent_weight"] is cell.recurrent_weight


# Output norm


def test_output_norm_normalises_y_and_feeds_back_what_the_cell_says():
    cell = random_cell("lstm", 3, 6)
    wrapped = OutputNorm(cell, epsilon=0.2)
    with torch.no_grad():
        wrapped.norm_gain.normal_()
        wrapped.norm_shift.normal_()
    y, final = Layer(wrapped, "loop")(inputs(), [7, 2, 4])
    bare, last = Layer(cell, "loop")(inputs(), [7, 2, 4])
    expected = (bare - bare.mean(-1, keepdim=True)) / (bare.var(-1, keepdim=True, correction=0) + 0.2).sqrt() * wrapped.norm_gain + wrapped.norm_shift
    for row, length in enumerate([7, 2, 4]):
        torch.testing.assert_close(y[row, :length], expected[row, :length], **DOUBLE)
        assert not y[row, length:].any()
    assert all(torch.equal(final[key], last[key]) for key in last)


def test_output_norm_stays_the_output_under_zoneout():
    y, _ = Layer(Zoneout(OutputNorm(random_cell("lstm", 3, 6)), rate=0.5), "loop")(inputs())
    torch.testing.assert_close(y.mean(-1), torch.zeros(3, 7, dtype=torch.float64), **DOUBLE)


# Errors


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda cell: Zoneout(cell, rate=1.0), r"rate of Zoneout is 1.0; expected a probability in \[0, 1\)"),
        (lambda cell: Zoneout(cell, rates={"c": -0.5}), r"rates\['c'\] of Zoneout is -0.5; expected a probability"),
        (lambda cell: Zoneout(cell, rates={"hh": 0.5}), "no floating state leaf is named 'hh'. Did you mean 'h'\\? Known: h, c"),
        (lambda cell: Zoneout(Counter(), rates={"steps": 0.5}), "no floating state leaf is named 'steps'.* Known: memory, h"),
        (lambda cell: VariationalDropout(cell, rate=1.5), r"rate of VariationalDropout is 1.5; expected a probability in \[0, 1\)"),
        (lambda cell: VariationalDropout(cell, leaves=["x"]), "no floating state leaf is named 'x'.* Known: h, c"),
        (lambda cell: WeightDrop(cell, rate=1.0), r"rate of WeightDrop is 1.0; expected a probability in \[0, 1\)"),
        (lambda cell: WeightDrop(Counter()), "Counter has no parameter named recurrent_weight; it has weight. Say which with names="),
        (lambda cell: WeightDrop(cell, names=["recurent_weight"]), "no parameter of cell LSTM is named 'recurent_weight'. Did you mean 'recurrent_weight'"),
        (lambda cell: OutputNorm(random_cell("rnn", 3, 1)), "cell of OutputNorm has output_size=1; expected at least 2"),
    ],
)
def test_errors_name_the_value_and_what_was_expected(build, message):
    with pytest.raises(ValueError, match=message):
        build(random_cell("lstm", 3, 4))


def test_zoneout_refuses_a_projection_it_could_not_hand_back():
    cell = Counter()
    cell.project = lambda x: (x @ cell.weight.T,)
    with pytest.raises(TypeError, match="project of Counter returns a tuple of one tensor; expected the tensor itself"):
        Zoneout(cell).project(inputs())
