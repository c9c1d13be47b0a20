"""Both truncated back-propagations through time against NumPy loops, with softmax cross-entropy at every step."""

import numpy as np
import pytest
import torch

from seqlab import Bidirectional, Layer, Stack
from seqlab.layers import Shortened
from seqlab.layers.truncated import chunked, sliding
from tests.cells.instances import arrays, random_cell, random_state, row, weights_of
from tests.oracles.functions import softmax

NUM_STEPS, BATCH, CLASSES = 7, 3, 5
DOUBLE = {"rtol": 1e-11, "atol": 1e-12}  # sums of at most 7 · 7 float64 terms of size 1, in another order


def truncated_by_hand(weights, output_weight, x, targets, h_0, first_step):
    """Gradients of Σ_t cross-entropy(softmax(V h_t), target_t) of one row of `rnn`, each step's sent back to first_step(t)."""
    W, U, b, V = weights["input_weight"], weights["recurrent_weight"], weights["bias"], output_weight
    h = {-1: h_0}
    for t in range(len(x)):
        h[t] = np.tanh(W @ x[t] + U @ h[t - 1] + b)
    found = {"input_weight": np.zeros_like(W), "recurrent_weight": np.zeros_like(U), "bias": np.zeros_like(b)}
    found |= {"output_weight": np.zeros_like(V), "x": np.zeros_like(x), "h": np.zeros_like(h_0)}
    for t in range(len(x)):
        error = softmax(V @ h[t])
        error[targets[t]] -= 1
        found["output_weight"] += np.outer(error, h[t])
        delta = (V.T @ error) * (1 - h[t] ** 2)
        for j in range(t, first_step(t) - 1, -1):
            found["input_weight"] += np.outer(delta, x[j])
            found["recurrent_weight"] += np.outer(delta, h[j - 1])
            found["bias"] += delta
            found["x"][j] += W.T @ delta
            if j == 0:
                found["h"] += U.T @ delta
            delta = (U.T @ delta) * (1 - h[j - 1] ** 2)
    return np.array([h[t] for t in range(len(x))]), found


def problem(cell):
    """x, targets, a state with gradient, and the head's weight."""
    x = torch.randn(BATCH, NUM_STEPS, cell.input_size, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(CLASSES, (BATCH, NUM_STEPS))
    state = {name: leaf.requires_grad_() for name, leaf in random_state(cell, BATCH).items()}
    return x, targets, state, torch.randn(CLASSES, cell.output_size, dtype=torch.float64, requires_grad=True)


def cross_entropy(y, targets, output_weight):
    return torch.nn.functional.cross_entropy((y @ output_weight.T).flatten(0, 1), targets.flatten(), reduction="sum")


def run_chunked(layer, x, targets, state, output_weight, k):
    """Both loops of truncation as a user writes them: backward after each chunk."""
    outputs = []
    for start, (y, _) in zip(range(0, NUM_STEPS, k), chunked(layer, x, k, state=state), strict=True):
        cross_entropy(y, targets[:, start : start + k], output_weight).backward()
        outputs.append(y)
    return torch.cat(outputs, 1)


def run_sliding(layer, x, targets, state, output_weight, k):
    y, _ = sliding(layer, x, k, state=state)
    cross_entropy(y, targets, output_weight).backward()
    return y


@pytest.mark.parametrize("k", [1, 2, 3, 4, NUM_STEPS, NUM_STEPS + 2])
@pytest.mark.parametrize(
    ("run", "first_step"), [(run_chunked, lambda t, k: t // k * k), (run_sliding, lambda t, k: max(t - k + 1, 0))], ids=["chunked", "sliding"]
)
@pytest.mark.parametrize("executor", ["loop", "native"])
def test_gradients_equal_the_loop_by_hand(run, first_step, k, executor):
    cell = random_cell("rnn", 4, 6)
    x, targets, state, output_weight = problem(cell)
    y = run(Layer(cell, executor), x, targets, state, output_weight, k)
    found = {**{name: p.grad for name, p in cell.named_parameters()}, "output_weight": output_weight.grad}
    total = {name: np.zeros(grad.shape) for name, grad in found.items()}
    for b in range(BATCH):
        arguments = weights_of(cell), output_weight.detach().numpy(), x[b].detach().numpy(), targets[b].numpy(), row(arrays(state), b)["h"]
        expected_y, expected = truncated_by_hand(*arguments, lambda t: first_step(t, k))
        np.testing.assert_allclose(y[b].detach().numpy(), expected_y, **DOUBLE)
        np.testing.assert_allclose(x.grad[b].numpy(), expected["x"], **DOUBLE)
        np.testing.assert_allclose(state["h"].grad[b].numpy(), expected["h"], **DOUBLE)
        for name in total:
            total[name] += expected[name]
    for name, grad in found.items():
        np.testing.assert_allclose(grad.numpy(), total[name], **DOUBLE)


def test_the_two_and_the_full_gradient_differ():
    """Else the test above would hold any of them equal to any other."""
    gradients = []
    for run, k in [(run_chunked, 3), (run_sliding, 3), (run_sliding, NUM_STEPS)]:
        cell = random_cell("rnn", 4, 6)
        x, targets, state, output_weight = problem(cell)
        run(Layer(cell, "loop"), x, targets, state, output_weight, k)
        gradients.append(cell.recurrent_weight.grad)
    assert all((a - b).abs().max() > 1e-2 for a, b in zip(gradients, gradients[1:] + gradients[:1], strict=True))


def deep_stack():
    return Stack([Layer(random_cell("lstm", 4, 6), "loop"), Layer(random_cell("gru", 6, 5), "loop")])


def window_by_window(module, x, k, lengths):
    """y of one row after the other and one step after the other, each with a graph of its own last k steps."""
    rows, finals = [], []
    for b, length in enumerate(lengths):
        states = [module.initial_state(1)]
        for t in range(length):
            states.append({name: leaf.detach() for name, leaf in module(x[b : b + 1, t : t + 1], None, states[-1])[1].items()})
        steps = []
        for t in range(length):
            begin = max(t - k + 1, 0)
            y, final = module(x[b : b + 1, begin : t + 1], None, states[begin])
            steps.append(y[0, -1])
        rows.append(torch.stack(steps))
        finals.append(final)
    return rows, finals


@pytest.mark.parametrize("k", [1, 3, 9])
def test_sliding_cuts_every_layer_of_a_stack_at_the_same_step(k):
    module, lengths = deep_stack(), [7, 2, 5]
    x = torch.randn(BATCH, NUM_STEPS, 4, dtype=torch.float64)
    for b, length in enumerate(lengths):
        x[b, length:] = torch.nan
    x.requires_grad_()
    weight = torch.randn(NUM_STEPS, 5, dtype=torch.float64)
    wanted = [x, *module.parameters()]

    y, final = sliding(module, x, k, lengths)
    loss = (y * weight).sum() + sum(leaf.square().sum() for leaf in final.values())
    found = torch.autograd.grad(loss, wanted)

    rows, finals = window_by_window(module, x, k, lengths)
    loss = sum((r * weight[: len(r)]).sum() for r in rows) + sum(leaf.square().sum() for f in finals for leaf in f.values())
    expected = torch.autograd.grad(loss, wanted)

    for b, length in enumerate(lengths):
        torch.testing.assert_close(y[b, :length], rows[b], **DOUBLE)
        assert not y[b, length:].any()
        assert all(torch.allclose(final[name][b], leaf[0], rtol=1e-11) for name, leaf in finals[b].items())
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, **DOUBLE)


@pytest.mark.parametrize("k", [1, 2, 3, 9])
def test_chunks_of_a_padded_batch_equal_each_row_alone(k):
    module, lengths = deep_stack(), [7, 2, 5]
    x = torch.randn(BATCH, NUM_STEPS, 4, dtype=torch.float64)
    for b, length in enumerate(lengths):
        x[b, length:] = torch.nan
    weight = torch.randn(NUM_STEPS, 5, dtype=torch.float64)

    def gradients(parts):
        loss = sum((y * weight[start : start + y.shape[1]]).sum() for start, y in parts)
        return torch.autograd.grad(loss, list(module.parameters()))

    chunks = list(chunked(module, x, k, lengths))
    found = gradients([(i * k, y) for i, (y, _) in enumerate(chunks)])
    y = torch.cat([y for y, _ in chunks], 1)
    assert y.shape == (BATCH, NUM_STEPS, 5)
    alone = []
    for b, length in enumerate(lengths):
        parts = list(chunked(module, x[b : b + 1, :length], k))
        torch.testing.assert_close(y[b, :length], torch.cat([part for part, _ in parts], 1)[0], **DOUBLE)
        assert not y[b, length:].any()
        assert all(torch.allclose(chunks[-1][1][name][b], leaf[0], rtol=1e-11) for name, leaf in parts[-1][1].items())
        alone += [(i * k, part) for i, (part, _) in enumerate(parts)]
    for a, b in zip(found, gradients(alone), strict=True):
        torch.testing.assert_close(a, b, **DOUBLE)


def test_chunks_are_one_run_with_the_state_cut():
    module = deep_stack()
    x = torch.randn(BATCH, NUM_STEPS, 4, dtype=torch.float64)
    whole, last = module(x)
    parts = list(chunked(module, x, 3))
    torch.testing.assert_close(torch.cat([y for y, _ in parts], 1), whole, **DOUBLE)
    torch.testing.assert_close(parts[-1][1], {name: leaf.detach() for name, leaf in last.items()}, **DOUBLE)
    assert not any(leaf.requires_grad for _, state in parts for leaf in state.values())


def test_a_chunk_runs_when_it_is_asked_for():
    """Weights that a step between two chunks changes are what the next chunk sees."""
    cell = random_cell("rnn", 4, 6)
    x = torch.randn(BATCH, 2, 4, dtype=torch.float64)
    chunks = chunked(Layer(cell, "loop"), x, 1)
    _, state = next(chunks)
    with torch.no_grad():
        cell.bias.add_(1.0)
    y, _ = next(chunks)
    torch.testing.assert_close(y[:, 0], cell.step(cell.project(x[:, 1]), state)[0], **DOUBLE)


@pytest.mark.parametrize("truncated", [lambda *a: next(chunked(*a))[0], lambda *a: sliding(*a)[0]], ids=["chunked", "sliding"])
def test_the_learned_initial_state_gets_its_gradient(truncated):
    layer = Layer(random_cell("lstm", 4, 6), "loop", learn_initial_state=True).double()
    x = torch.randn(BATCH, NUM_STEPS, 4, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(truncated(layer, x, 2)[:, :2].sum(), layer.learned["c"])
    (expected,) = torch.autograd.grad(layer(x)[0][:, :2].sum(), layer.learned["c"])
    torch.testing.assert_close(gradient, expected, **DOUBLE)
    assert gradient.abs().max() > 1e-3


@pytest.mark.parametrize("truncated", [chunked, sliding])
def test_errors_name_the_value_and_what_was_expected(truncated):
    layer = Layer(random_cell("rnn", 4, 6), "loop")
    x = torch.randn(BATCH, NUM_STEPS, 4, dtype=torch.float64)
    with pytest.raises(ValueError, match="num_steps is 0; expected at least 1 step between two cuts of the gradient"):
        truncated(layer, x, 0)
    with pytest.raises(ValueError, match="Stack reads backward in time too; expected parts that read forward only"):
        truncated(Stack([Bidirectional(layer, Layer(random_cell("rnn", 4, 6)))]), x, 2)
    with pytest.raises(ValueError, match=r"x has shape \(3, 7, 2\) but Layer takes input_size=4"):
        truncated(layer, x[..., :2], 2)
    with pytest.raises(ValueError, match=r"lengths must lie in 1..7 \(the time axis of x\); got 9 in row 1"):
        truncated(layer, x, 2, [1, 9, 2])
    with pytest.raises(ValueError, match="Shortened makes one step of several"):
        truncated(Shortened(Layer(random_cell("rnn", 8, 6))), x, 3)
