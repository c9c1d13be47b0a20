"""Two directions: each row's backward direction starts at its own last step, whatever lies in the padding."""

import pytest
import torch

from seqlab import Bidirectional, Layer, Stack
from seqlab.layers.bidirectional import MERGES, reverse
from tests.cells.instances import random_cell
from tests.layers.alone import DOUBLE, LENGTHS, batch, check_padded_equals_alone


def both(ahead="lstm", back="gru", merge="concat", executor="loop", sizes=(4, 4)):
    forward, backward = (Layer(random_cell(name, 3, size, seed=seed), executor) for seed, (name, size) in enumerate(zip((ahead, back), sizes, strict=True)))
    return Bidirectional(forward, backward, merge)


@pytest.mark.parametrize("merge", MERGES)
def test_each_direction_is_its_layer_read_from_its_end(merge):
    module, x = both(merge=merge), batch(3)
    y, final = module(x, LENGTHS)
    for row, length in enumerate(LENGTHS):
        one = x[row : row + 1, :length]
        ahead, s_ahead = module.forward_part(one)
        back, s_back = module.backward_part(one.flip(1))
        back = back.flip(1)
        expected = {"concat": torch.cat([ahead, back], -1), "sum": ahead + back, "mean": (ahead + back) / 2, "product": ahead * back}[merge]
        torch.testing.assert_close(y[row, :length], expected[0], **DOUBLE)
        assert (y[row, length:] == 0).all()
        states = {**{f"forward.{k}": v for k, v in s_ahead.items()}, **{f"backward.{k}": v for k, v in s_back.items()}}
        assert set(final) == set(states) == {"forward.h", "forward.c", "backward.h"}
        for name, leaf in states.items():
            torch.testing.assert_close(final[name][row], leaf[0], **DOUBLE)


@pytest.mark.parametrize("merge", MERGES)
def test_padded_batch_equals_each_row_alone(merge):
    check_padded_equals_alone(both(merge=merge))


def test_padded_batch_equals_each_row_alone_on_the_kernel():
    check_padded_equals_alone(both(back="gru_reset_after", executor="native"))


def test_padded_batch_equals_each_row_alone_when_nested():
    check_padded_equals_alone(Bidirectional(both(), Stack([both(), Layer(random_cell("rnn", 8, 8), "loop")]), "sum"))


def test_each_direction_resumes_from_its_own_state():
    """A state that is passed reaches both directions; the backward one starts from it at the last step."""
    module = both()
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    _, state = module(x)
    y, _ = module(x, state=state)
    ahead, _ = module.forward_part(x, state={"h": state["forward.h"], "c": state["forward.c"]})
    back, _ = module.backward_part(x.flip(1), state={"h": state["backward.h"]})
    torch.testing.assert_close(y, torch.cat([ahead, back.flip(1)], -1), **DOUBLE)


def test_backward_sees_what_comes_and_forward_what_was():
    module, x = both(), torch.randn(1, 5, 3, dtype=torch.float64, requires_grad=True)
    y, _ = module(x)
    (ahead,) = torch.autograd.grad(y[0, 2, :4].sum(), x, retain_graph=True)
    (back,) = torch.autograd.grad(y[0, 2, 4:].sum(), x)
    assert ahead[0].any(-1).tolist() == [True, True, True, False, False]
    assert back[0].any(-1).tolist() == [False, False, True, True, True]


def test_reverse_turns_each_row_within_its_length():
    x = torch.arange(10).reshape(2, 5, 1)
    assert reverse(x, torch.tensor([3, 5]))[..., 0].tolist() == [[2, 1, 0, 3, 4], [9, 8, 7, 6, 5]]
    assert reverse(x, None)[..., 0].tolist() == [[4, 3, 2, 1, 0], [9, 8, 7, 6, 5]]


def test_widths():
    assert both(sizes=(4, 7)).output_size == 11
    assert both(merge="mean").output_size == 4
    assert {name: tuple(leaf.shape) for name, leaf in both(sizes=(4, 7)).initial_state(2).items()} == {
        "forward.h": (2, 4), "forward.c": (2, 4), "backward.h": (2, 7),
    }  # fmt: skip


X = torch.randn(3, 7, 3, dtype=torch.float64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: both(merge="maen"), "no merge is named 'maen'. Did you mean 'mean'\\? Known: concat, sum, mean, product"),
        (lambda: both(merge="sum", sizes=(4, 7)), "merge='sum' needs equal widths; forward gives 4, backward 7. Use merge='concat'"),
        (
            lambda: Bidirectional(Layer(random_cell("rnn", 3, 4)), Layer(random_cell("rnn", 2, 4))),
            "forward takes input_size=3 and backward 2; expected equal sizes",
        ),
        (lambda: both()(X[..., :2]), r"x has shape \(3, 7, 2\) but Bidirectional takes input_size=3"),
        (lambda: both()(X, [7, 8, 1]), r"lengths must lie in 1..7 \(the time axis of x\); got 8 in row 1"),
        (
            lambda: both()(X, None, {"h": torch.zeros(3, 4)}),
            r"state has the leaves \['h'\]; Bidirectional expects names that begin with forward., backward..* Pass the state that it returned",
        ),
        (
            lambda: both()(X, None, {"forward.h": X[:, :4, 0], "forward.c": X[:, :4, 0]}),
            r"state has the leaves \[\] but cell GRU has \['h'\]. Pass the state that it returned, or none",
        ),
    ],
)
def test_errors_name_the_value_and_what_was_expected(call, message):
    with pytest.raises(ValueError, match=message):
        call()
