"""The adaptive softmax against its formula, written out; the tied head against the embedding's rows."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from seqlab.heads.adaptive import AdaptiveHead
from seqlab.heads.tied import TiedHead

CUTOFFS, V, LENGTHS = [3, 7], 12, torch.tensor([4, 1, 3])


def made(padding: float = 0.0) -> tuple[AdaptiveHead, Tensor]:
    torch.manual_seed(0)
    head = AdaptiveHead(8, V, CUTOFFS, div_value=2.0).double()
    y = torch.randn(3, 4, 8, dtype=torch.float64)
    for row, length in enumerate(LENGTHS.tolist()):
        y[row, length:] = padding
    return head, y


def log_prob(head: AdaptiveHead, x: Tensor) -> Tensor:
    """log p of all classes at one step: that of the class or of its cluster, and that within the cluster."""
    weights = dict(head.softmax.named_parameters())
    top = weights["head.weight"] @ x
    out = [top[i] - top.exp().sum().log() for i in range(3)]
    for cluster, classes in enumerate([range(3, 7), range(7, 12)]):
        inner = weights[f"tail.{cluster}.1.weight"] @ weights[f"tail.{cluster}.0.weight"] @ x
        own = top[3 + cluster] - top.exp().sum().log()
        out += [own + inner[i] - inner.exp().sum().log() for i in range(len(classes))]
    return torch.stack(out)


def test_log_probabilities_losses_and_predictions_are_those_of_the_formula() -> None:
    head, y = made()
    scores = head(y, LENGTHS)
    torch.testing.assert_close(scores.exp().sum(-1), torch.ones(3, 4, dtype=torch.float64))
    targets = torch.randint(V, (3, 4))
    expected = {(row, t): log_prob(head, y[row, t]) for row, length in enumerate(LENGTHS.tolist()) for t in range(length)}
    for (row, t), logs in expected.items():
        torch.testing.assert_close(scores[row, t], logs)
        assert head.predict(y, LENGTHS)[row, t] == logs.argmax()
    torch.testing.assert_close(head.losses(y, targets, LENGTHS), torch.stack([-logs[targets[at]] for at, logs in expected.items()]))
    torch.testing.assert_close(head.losses(y, targets), -head(y).gather(2, targets[..., None]).flatten())


def test_loss_and_scores_have_the_same_gradient() -> None:
    head, y = made()
    targets = torch.arange(12).reshape(3, 4)
    fast = torch.autograd.grad(head.losses(y, targets).mean(), [*head.parameters()])
    slow = torch.autograd.grad(nn.functional.nll_loss(head(y).flatten(0, 1), targets.flatten()), [*head.parameters()])
    for a, b in zip(fast, slow, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("padding", [float("nan"), float("inf")])
def test_padding_never_counts(padding: float) -> None:
    clean, y = made()
    targets = torch.randint(V, (3, 4))
    head, spoiled = made(padding)
    spoiled.requires_grad_()
    spoiled_targets = targets.clone()
    spoiled_targets[1, 1:] = -1
    losses = head.losses(spoiled, spoiled_targets, LENGTHS)
    torch.testing.assert_close(losses, clean.losses(y, targets, LENGTHS))
    predicted = head.predict(spoiled, LENGTHS)
    assert predicted[1].tolist() == [int(clean.predict(y)[1, 0]), -1, -1, -1]
    (losses.sum() + head(spoiled, LENGTHS)[0].sum()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in [*head.parameters(), spoiled])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_works_under_autocast(dtype: torch.dtype) -> None:
    head, y = made()
    head, y, targets = head.float(), y.to(dtype), torch.randint(V, (3, 4))
    with torch.autocast("cpu", torch.bfloat16):
        losses, scores, predicted = head.losses(y, targets, LENGTHS), head(y), head.predict(y)
    torch.testing.assert_close(losses, head.losses(y.float(), targets, LENGTHS))
    torch.testing.assert_close(scores, head(y.float()))
    assert torch.equal(predicted, scores.argmax(-1))


def test_errors_say_what_is_wrong() -> None:
    for cutoffs in ([], [0, 3], [5, 3], [3, 3], [3, 12]):
        with pytest.raises(ValueError, match=r"expected rising numbers in 1..11, below the 12 classes"):
            AdaptiveHead(8, V, cutoffs)
    with pytest.raises(ValueError, match=r"div_value is 4.0 with 2 clusters and input_size=8"):
        AdaptiveHead(8, V, CUTOFFS)
    head, y = made()
    with pytest.raises(ValueError, match=r"targets hold class 12; expected 0..11"):
        head.losses(y, torch.full((3, 4), 12))


@pytest.mark.parametrize("input_size", [6, 4])
def test_tied_scores_are_products_with_the_rows_of_the_embedding(input_size: int) -> None:
    torch.manual_seed(0)
    embedding = nn.Embedding(5, 4)
    head = TiedHead(input_size, 5, embedding)
    assert head.bias is not None
    nn.init.normal_(head.bias)
    y = torch.randn(2, 3, input_size)
    projected = y if input_size == 4 else torch.einsum("bti,ei->bte", y, dict(head.named_parameters())["projection.weight"])
    expected = torch.stack([(projected * embedding.weight[v]).sum(-1) + head.bias[v] for v in range(5)], -1)
    torch.testing.assert_close(head(y), expected)
    assert len([*head.parameters()]) == (2 if input_size == 4 else 3)


def test_tied_weights_stay_one_through_training_copies_and_loading() -> None:
    embedding = nn.Embedding(5, 4)
    model = nn.ModuleDict({"embedding": embedding, "head": TiedHead(4, 5, embedding, bias=False)})
    assert len([*model.parameters()]) == 1
    twin = copy.deepcopy(model).double()
    with torch.no_grad():
        next(twin.parameters()).add_(1.0)
    model.load_state_dict(twin.state_dict())
    for m in (model, twin):
        weights = m.state_dict()
        assert weights["embedding.weight"].data_ptr() == weights["head.weight"].data_ptr()
        assert torch.equal(weights["head.weight"].float(), twin.state_dict()["embedding.weight"].float())
    model["head"](model["embedding"](torch.tensor([[1]]))).sum().backward()
    by_head = model["embedding"](torch.tensor([[1]]))[0, 0].detach()
    assert embedding.weight.grad is not None
    torch.testing.assert_close(embedding.weight.grad[0], by_head)  # from the output side alone
    torch.testing.assert_close(embedding.weight.grad[1], by_head + embedding.weight.detach().sum(0))  # from both sides


def test_tied_sizes_must_fit() -> None:
    with pytest.raises(ValueError, match=r"the embedding has 5 rows but the head scores 6 classes"):
        TiedHead(4, 6, nn.Embedding(5, 4))
