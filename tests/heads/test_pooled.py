"""The pooled head against sums written out, and blind to whatever stands in the padding."""

import pytest
import torch

from seqlab.heads import PooledHead, StepHead
from seqlab.heads.pooled import POOLS

Y = torch.tensor([[[1.0, -1.0], [3.0, -2.0], [2.0, -6.0]], [[-4.0, 5.0], [7.0, 7.0], [9.0, 9.0]]])
LENGTHS = torch.tensor([3, 1])


def pooled(pool: str, y: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """What a head that passes the pooled vector on gives."""
    torch.manual_seed(0)
    head = PooledHead(2, 2, pool, bias=False)
    with torch.no_grad():
        head.linear.weight.copy_(torch.eye(2))
    return head(y, lengths)


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        ("last", [[2.0, -6.0], [-4.0, 5.0]]),
        ("mean", [[2.0, -3.0], [-4.0, 5.0]]),
        ("max", [[3.0, -1.0], [-4.0, 5.0]]),
    ],
)
def test_pools_the_valid_steps(pool: str, expected: list[list[float]]) -> None:
    assert torch.equal(pooled(pool, Y, LENGTHS), torch.tensor(expected))


def test_attention_is_the_weighted_mean_of_the_paper() -> None:
    head = PooledHead(2, 3, "attention", attention_size=4)
    assert head.attention is not None
    u = torch.tanh(Y[0] @ head.attention.key.weight.T + head.attention.key.bias)
    weights = torch.exp(u @ head.attention.query.weight[0])
    context = (weights[:, None] * Y[0]).sum(0) / weights.sum()
    torch.testing.assert_close(head(Y, LENGTHS)[0], head.linear(context))
    torch.testing.assert_close(head(Y, LENGTHS)[1], head.linear(Y[1, 0]))  # a single valid step has all the weight


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("padding", [float("nan"), float("inf"), 1e30])
def test_padding_never_counts(pool: str, padding: float) -> None:
    y = Y.clone()
    y[1, 1:] = padding
    y.requires_grad_()
    scores = pooled(pool, y, LENGTHS)
    torch.testing.assert_close(scores[1:], pooled(pool, Y[1:, :1], None))  # as if the row stood alone, unpadded
    scores.sum().backward()
    assert y.grad is not None
    assert torch.isfinite(y.grad).all()
    assert (y.grad[1, 1:] == 0).all()


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"no pool is named 'latest'. Did you mean 'last'\?"):
        PooledHead(2, 2, "latest")
    with pytest.raises(ValueError, match=r"attention_size is 4 but pool is 'mean'"):
        PooledHead(2, 2, "mean", attention_size=4)
    with pytest.raises(ValueError, match=r"attention_size is 0; expected at least 1, or None for the encoder's width"):
        PooledHead(2, 2, "attention", attention_size=0)
    with pytest.raises(ValueError, match=r"head uniform is -1; expected the bound of ±uniform, at least 0, or None"):
        StepHead(2, 2, uniform=-1)
    with pytest.raises(ValueError, match=r"head dropout is 1.0; expected a probability in \[0, 1\)"):
        PooledHead(2, 2, dropout=1.0)
