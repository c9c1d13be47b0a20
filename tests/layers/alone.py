"""Exact lengths, for any part: a padded batch against each of its rows alone."""

import torch

LENGTHS = [7, 1, 4]
DOUBLE = {"rtol": 1e-11, "atol": 1e-12}  # the same float64 terms; gradients of weights are summed in another order


def batch(width):
    """x (3, 7, width) with NaN past each row's length."""
    torch.manual_seed(0)
    x = torch.randn(3, 7, width, dtype=torch.float64)
    for row, length in enumerate(LENGTHS):
        x[row, length:] = torch.nan
    return x


def random_start(module, batch_size=3):
    """A random state with the leaves of the module's own, to be differentiated where it is floating."""
    torch.manual_seed(1)
    leaves = module.initial_state(batch_size).items()
    return {name: torch.randn(leaf.shape, dtype=leaf.dtype).requires_grad_() if leaf.is_floating_point() else leaf for name, leaf in leaves}


def check_padded_equals_alone(module):
    """Outputs, final states and the gradients of x, of the state and of every parameter; zeros past the end."""
    x, state = batch(module.input_size).requires_grad_(), random_start(module)
    leaves = [leaf for leaf in state.values() if leaf.requires_grad]
    wanted = [x, *leaves, *module.parameters()]
    weight = torch.randn(7, module.output_size, dtype=torch.float64)

    y, final = module(x, LENGTHS, state)
    loss = (y * weight).sum() + sum(leaf.square().sum() for leaf in final.values())
    found = torch.autograd.grad(loss, wanted)
    assert all(grad.isfinite().all() for grad in found)

    alone = 0
    for row, length in enumerate(LENGTHS):
        one, last = module(x[row : row + 1, :length], None, {name: leaf[row : row + 1] for name, leaf in state.items()})
        torch.testing.assert_close(y[row, :length], one[0], **DOUBLE)
        assert (y[row, length:] == 0).all()
        assert set(final) == set(last) == set(state)
        for name, leaf in last.items():
            torch.testing.assert_close(final[name][row], leaf[0], **DOUBLE)
        alone = alone + (one[0] * weight[:length]).sum() + sum(leaf.square().sum() for leaf in last.values())
    for a, b in zip(found, torch.autograd.grad(alone, wanted), strict=True):
        torch.testing.assert_close(a, b, **DOUBLE)


def check_resumes(module):
    """Two chunks with the state carried between them equal one run: outputs, final state and gradients."""
    torch.manual_seed(0)
    x, state = torch.randn(3, 7, module.input_size, dtype=torch.float64), random_start(module)
    wanted = [*(leaf for leaf in state.values() if leaf.requires_grad), *module.parameters()]
    given = {name: leaf.detach().clone() for name, leaf in state.items()}
    whole, last = module(x, None, state)
    head, between = module(x[:, :3], None, state)
    tail, final = module(x[:, 3:], None, between)
    parts = torch.cat([head, tail], 1)
    torch.testing.assert_close(parts, whole, **DOUBLE)
    for name, leaf in last.items():
        torch.testing.assert_close(final[name], leaf, **DOUBLE)
        assert torch.equal(state[name], given[name]), "the state that was given has been overwritten"
    losses = [y.square().sum() + sum(leaf.square().sum() for leaf in s.values()) for y, s in ((whole, last), (parts, final))]
    for a, b in zip(*(torch.autograd.grad(loss, wanted) for loss in losses), strict=True):
        torch.testing.assert_close(a, b, **DOUBLE)
