"""Parts on top of each other: depth, mixed cells, dropout between, residual sums, and how a stack is built from names."""

import functools

import pytest
import torch

from seqlab import Bidirectional, Layer, Stack, make_cell
from seqlab.cells.output_norm import OutputNorm
from seqlab.cells.zoneout import Zoneout
from seqlab.layers import Shortened
from tests.cells.instances import random_cell
from tests.layers.alone import DOUBLE, LENGTHS, batch, check_padded_equals_alone, check_resumes


def mixed(**options):
    """lstm, gru, min_gru and an rnn_concat whose y has a width of its own."""
    cells = [random_cell("lstm", 3, 4), random_cell("gru", 4, 5), random_cell("min_gru", 5, 5), random_cell("rnn_concat", 5, 6, output_size=2)]
    return Stack([Layer(cell, "loop") for cell in cells], **options)


def randomise(module):
    torch.manual_seed(0)
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.5)
    return module


STACKS = {
    "mixed": mixed,
    "residual": lambda: mixed(residual=True),
    "bidirectional": lambda: randomise(Stack.of("lstm", 3, 4, 2, bidirectional=True, executor="loop")),
    "bidirectional sum, residual": lambda: randomise(Stack.of("gru", 4, 4, 2, bidirectional=True, merge="sum", residual=True, executor="loop")),
    "stack in stack": lambda: Stack([mixed(), Layer(random_cell("rnn", 2, 3), "loop")]),
    "kernels": lambda: randomise(Stack.of(["lstm", "rnn", "gru_reset_after"], 3, 4, bidirectional=True, executor="native")),
}
FORWARD_ONLY = [name for name in STACKS if "bidirectional" not in name and name != "kernels"]


@pytest.mark.parametrize("name", STACKS)
def test_padded_batch_equals_each_row_alone(name):
    check_padded_equals_alone(STACKS[name]())


@pytest.mark.parametrize("name", FORWARD_ONLY)
def test_resumes(name):
    check_resumes(STACKS[name]())


def test_each_part_reads_what_the_one_below_gives():
    stack, y = mixed(), batch(3)
    found, final = stack(y, LENGTHS)
    expected = {}
    for depth, part in enumerate(stack.parts):
        y, state = part(y, LENGTHS)
        expected |= {f"{depth}.{name}": leaf for name, leaf in state.items()}
    torch.testing.assert_close(found, y, rtol=0, atol=0)
    torch.testing.assert_close(final, expected, rtol=0, atol=0)
    assert sorted(final) == ["0.c", "0.h", "1.h", "2.h", "3.h"]
    assert stack.output_size == 2


def test_each_part_starts_from_its_own_state():
    stack, x = mixed(), torch.randn(2, 5, 3, dtype=torch.float64)
    _, state = stack(x)
    found, _ = stack(x, state=state)
    for depth, part in enumerate(stack.parts):
        x, _ = part(x, state={name.partition(".")[2]: leaf for name, leaf in state.items() if name.startswith(f"{depth}.")})
    torch.testing.assert_close(found, x, rtol=0, atol=0)


def test_a_part_may_stand_in_two_places():
    """Shared weights: each place has its own state."""
    layer, x = Layer(random_cell("gru", 3, 3), "loop"), batch(3)
    stack = Stack([layer, layer])
    found, final = stack(x, LENGTHS)
    below, first = layer(x, LENGTHS)
    expected, second = layer(below, LENGTHS)
    assert torch.equal(found, expected)
    assert torch.equal(final["0.h"], first["h"])
    assert torch.equal(final["1.h"], second["h"])
    assert sorted(stack.initial_state(2)) == ["0.h", "1.h"]


def test_stacked_bidirectional_layers_see_both_directions_below():
    stack = STACKS["bidirectional"]()
    assert [part.input_size for part in stack.parts] == [3, 8]
    x = torch.randn(1, 5, 3, dtype=torch.float64, requires_grad=True)
    y, _ = stack(x)
    (gradient,) = torch.autograd.grad(y[0, 2, :4].sum(), x)  # the forward direction of the upper layer
    assert gradient[0].any(-1).all()


# Dropout between


def inputs_of_parts(stack, x, lengths=None):
    """What each part of the stack reads in one call, and what the stack gives."""
    seen = []
    hooks = [part.register_forward_pre_hook(lambda _, args: seen.append(args[0])) for part in stack.parts]
    y, _ = stack(x, lengths)
    for hook in hooks:
        hook.remove()
    return seen, y


def test_dropout_is_between_the_parts_and_off_in_evaluation():
    torch.manual_seed(0)
    stack = Stack([Layer(random_cell("lstm", size, 40), "loop") for size in (3, 40, 40)], dropout=0.4)
    x = torch.randn(3, 7, 3, dtype=torch.float64)
    (first, second, third), y = inputs_of_parts(stack, x)
    assert torch.equal(first, x)
    for part, read, given in [(stack.parts[0], second, first), (stack.parts[1], third, second)]:
        clean, _ = part(given)
        kept = read != 0
        assert 0.55 < kept.double().mean() < 0.65  # 840 draws: three standard deviations
        torch.testing.assert_close(read, torch.where(kept, clean / 0.6, 0.0), **DOUBLE)
        assert (kept[:, 1:] != kept[:, :-1]).any((0, 2)).all()  # a new mask at every step
    torch.testing.assert_close(y, stack.parts[2](third)[0], rtol=0, atol=0)  # none after the last
    stack.eval()
    assert torch.equal(stack(x)[0], stack.parts[2](stack.parts[1](stack.parts[0](x)[0])[0])[0])


def test_locked_dropout_is_one_mask_for_each_row():
    torch.manual_seed(0)
    stack = Stack([Layer(random_cell("lstm", size, 40), "loop") for size in (3, 40)], dropout=0.4, locked_dropout=True)
    x = torch.randn(3, 7, 3, dtype=torch.float64)
    (_, read), _ = inputs_of_parts(stack, x)
    clean, _ = stack.parts[0](x)
    kept = read != 0
    assert (kept == kept[:, :1]).all()
    assert not torch.equal(kept[0], kept[1])
    torch.testing.assert_close(read, torch.where(kept, clean / 0.6, 0.0), **DOUBLE)
    (_, again), _ = inputs_of_parts(stack, x)
    assert not torch.equal(again != 0, kept)
    assert torch.equal(stack.eval()(x)[0], stack.parts[1](clean)[0])


# Residual


def test_residual_adds_x_where_the_width_stays():
    stack = mixed(residual=True)
    x = torch.randn(3, 7, 3, dtype=torch.float64)
    y = stack.parts[1](stack.parts[0](x)[0])[0]
    y = y + stack.parts[2](y)[0]
    torch.testing.assert_close(stack(x)[0], stack.parts[3](y)[0], rtol=0, atol=0)


def test_residual_is_not_dropped():
    """Dropout is for what a part reads; what goes around the part arrives whole."""
    torch.manual_seed(0)
    stack = Stack([Layer(random_cell("rnn", 4, 4), "loop") for _ in range(2)], dropout=0.5, residual=True)
    x = torch.randn(3, 7, 4, dtype=torch.float64)
    (_, read), y = inputs_of_parts(stack, x)
    below = x + stack.parts[0](x)[0]
    assert (read == 0).any()
    torch.testing.assert_close(y, below + stack.parts[1](read)[0], **DOUBLE)


# Built from names


def test_of_builds_what_it_is_asked_for():
    stack = Stack.of("gru", 3, 4, 3, dropout=0.2, executor="loop")
    assert [(part.input_size, part.output_size) for part in stack.parts] == [(3, 4), (4, 4), (4, 4)]
    assert all(type(part.cell).__name__ == "GRU" for part in stack.parts)
    stack = Stack.of(["lstm", functools.partial(make_cell, "lru", hidden_size=6, state_size=2)], 3, 4)
    assert [type(part.cell).__name__ for part in stack.parts] == ["LSTM", "LRU"]
    assert stack.output_size == 6
    stack = Stack.of(functools.partial(make_cell, "rnn", hidden_size=5, activation="relu"), 3, num_layers=2, bidirectional=True, merge="mean")
    assert [part.output_size for part in stack.parts] == [5, 5]
    assert stack.parts[1].backward_part.cell.activation == "relu"
    weights = [part.cell.recurrent_weight for direction in stack.parts for part in (direction.forward_part, direction.backward_part)]
    assert len({weight.data_ptr() for weight in weights}) == 4  # no two share a cell


@pytest.mark.parametrize("wrappers", [[Zoneout, OutputNorm], {"zoneout": Zoneout, "output_norm": OutputNorm}], ids=["list", "mapping"])
def test_of_wraps_every_cell_the_first_innermost(wrappers):
    stack = Stack.of("lstm", 3, 4, 2, bidirectional=True, wrappers=wrappers)
    cells = [layer.cell for part in stack.parts for layer in (part.forward_part, part.backward_part)]
    assert [(type(c), type(c.cell), type(c.cell.cell).__name__) for c in cells] == [(OutputNorm, Zoneout, "LSTM")] * 4


def test_of_learns_every_initial_state():
    stack = randomise(Stack.of("lstm", 3, 4, 2, bidirectional=True, learn_initial_state=True, executor="loop"))
    y, _ = stack(batch(3), LENGTHS)
    y.square().sum().backward()
    learned = {name: p.grad for name, p in stack.named_parameters() if ".learned." in name}
    assert len(learned) == 8
    assert all(grad is not None and grad.any() for grad in learned.values())


X = torch.randn(3, 7, 3, dtype=torch.float64)
LAYER = Layer(random_cell("rnn", 3, 4), "loop")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Stack([]), "a Stack has no parts; expected at least one"),
        (lambda: Stack([LAYER], dropout=1.0), r"dropout is 1.0; expected a probability in \[0, 1\)"),
        (lambda: Stack([LAYER], dropout=-0.1), r"dropout is -0.1; expected a probability in \[0, 1\)"),
        (lambda: Stack([LAYER, LAYER]), "part 0 gives 4 features and part 1 takes 3; expected equal widths"),
        (lambda: Stack([LAYER], residual=True), r"residual=True but no part keeps its width: \[\(3, 4\)\]. Give one the same input and output size"),
        (lambda: Stack([Shortened(Layer(random_cell("rnn", 6, 3)))], residual=True), "residual=True but part 0 makes one step of several"),
        (lambda: Stack.of("rnn", 3), "hidden_size is missing for cell 'rnn'; expected the width of its state"),
        (lambda: Stack.of("rnn", 3, 4, 0), "num_layers is 0 with 0 cells; expected at least 1"),
        (lambda: Stack.of(["rnn", "lstm"], 3, 4, 3), "num_layers is 3 with 2 cells; expected at least 1, and as many layers as cells are listed"),
        (lambda: Stack.of("lsmt", 3, 4), "no cell is named 'lsmt'. Did you mean 'lstm'"),
        (lambda: mixed()(X[0]), r"x has shape \(7, 3\); expected three axes, \(batch, time, 3\)"),
        (lambda: mixed()(X[..., :2]), r"x has shape \(3, 7, 2\) but Stack takes input_size=3"),
        (lambda: mixed()(X, [0, 1, 2]), r"lengths must lie in 1..7 \(the time axis of x\); got 0 in row 0"),
        (
            lambda: mixed()(X, None, {"h": torch.zeros(3, 4)}),
            r"state has the leaves \['h'\]; Stack expects names that begin with 0., 1., 2., 3.. Pass the state that it returned",
        ),
        (lambda: mixed()(X, None, {}), r"state has the leaves \[\]; Stack expects names that begin with 0., 1."),
        (lambda: Stack([LAYER])(X, None, {"0.h": torch.zeros(3, 5)}), r"state 'h' has shape \(3, 5\); expected \(3, 4\), batch first"),
        (lambda: Stack([Bidirectional(LAYER, LAYER)])(X, None, {"0.h": X[:, 0]}), r"Bidirectional expects names that begin with forward., backward."),
    ],
)
def test_errors_name_the_value_and_what_was_expected(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Stack([LAYER.cell]), "part 0 of Stack is a RNN; expected a part with the contract of a Layer. Put a cell into a Layer"),
        (lambda: Stack([LAYER, torch.nn.LSTM(4, 4)]), "part 1 of Stack is a LSTM; expected a part .* Use Layer, Bidirectional or Stack"),
        (lambda: Stack.of(LAYER.cell, 3), r"cell is a RNN already built; expected a name or a factory, .* Use Stack\(\[Layer\(cell\)\]\)"),
        (lambda: Bidirectional(LAYER, LAYER.cell), "backward of Bidirectional is a RNN; expected a part"),
        (
            lambda: mixed()(X, None, (X[:, 0], X[:, 0])),
            "state is a tuple; expected a dict of tensors whose names begin with 0., 1., 2., 3., as",
        ),
        (lambda: Bidirectional(LAYER, LAYER)(X, None, X[:, 0]), "state is a Tensor; expected a dict of tensors whose names begin with forward., backward."),
    ],
)
def test_what_is_no_part_and_no_state_is_a_type_error(call, message):
    with pytest.raises(TypeError, match=message):
        call()
