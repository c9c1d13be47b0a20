"""Every attention against its oracle; masks exact; gradients right. Float64, so tolerances are rounding."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from seqlab.attention import Attention, DotAttention, LocalAttention, LocationAttention
from tests.attention.oracles import WEIGHTS

FILES = Path(__file__).parents[2] / "conf" / "attention"
OPTIONS = {
    "additive": {"attention_size": 3},
    "local": {"attention_size": 3, "window": 2},
    "location": {"attention_size": 3, "num_filters": 2, "filter_size": 3},
}
LENGTHS = [6, 1, 4]
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def make(name: str) -> Attention:
    torch.manual_seed(3)
    size = {"key_size": 4, "query_size": 4 if "dot" in name else 5}
    attention = instantiate(OmegaConf.load(FILES / f"{name}.yaml"))(**size, **OPTIONS.get(name, {})).double()
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.normal_()
    return attention


def source(attention: Attention) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """keys with NaN in the padding, mask, queries (B, 2, Q), previous weights (zero in the padding)."""
    generator = torch.Generator().manual_seed(1)
    keys, queries, previous = (torch.randn(3, *shape, generator=generator).double() for shape in ((6, 4), (2, attention.query_size), (6,)))
    mask = torch.arange(6) < torch.tensor(LENGTHS)[:, None]
    return torch.where(mask[..., None], keys, torch.nan), mask, queries, torch.where(mask, previous.abs(), 0.0)


def against_oracle(name: str, attention: Attention, oracle=None) -> None:
    keys, mask, queries, previous = source(attention)
    context, weights = attention.attend(queries[:, 0], attention.prepare(keys, mask), previous)
    arrays = {key: value.numpy() for key, value in attention.state_dict().items()}
    for row, length in enumerate(LENGTHS):
        valid = keys[row, :length].numpy()
        expected = (oracle or WEIGHTS[name])(arrays, queries[row, 0].numpy(), valid, previous[row, :length].numpy())
        np.testing.assert_allclose(weights[row, :length].detach(), expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(context[row].detach(), expected @ valid, rtol=1e-10, atol=1e-12)
        assert not weights[row, length:].any()


def test_every_config_has_an_oracle() -> None:
    assert {file.stem for file in FILES.glob("*.yaml")} == {*WEIGHTS, "none"}


@pytest.mark.parametrize("name", WEIGHTS)
def test_equals_its_oracle(name: str) -> None:
    against_oracle(name, make(name))


def previous_forgotten(attention: LocationAttention) -> None:
    scores = attention.scores
    attention.scores = lambda queries, memory, previous: scores(queries, memory, None)


def not_scaled(attention: Attention) -> None:
    attention.scores = partial(DotAttention.scores, attention)


def padded_length(attention: LocalAttention) -> None:
    weights = attention.weights
    attention.weights = lambda q, memory, previous: weights(q, {**memory, "mask": torch.ones_like(memory["mask"])}, previous)


@pytest.mark.parametrize(("name", "bug"), [("location", previous_forgotten), ("scaled_dot", not_scaled), ("local", padded_length)])
def test_seeded_bugs_are_caught(name: str, bug) -> None:
    attention = make(name)
    bug(attention)
    with pytest.raises(AssertionError):
        against_oracle(name, attention)


@pytest.mark.parametrize("name", WEIGHTS)
def test_gradients_are_right_and_padding_gets_none(name: str) -> None:
    attention = make(name)
    keys, mask, queries, previous = source(attention)
    finite = torch.where(mask[..., None], keys, 0.0).requires_grad_()
    query = queries[:, 0].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda k, q: attention.attend(q, attention.prepare(k, mask), previous), (finite, query))
    leaf = keys.clone().requires_grad_()
    attention.attend(query, attention.prepare(leaf, mask), previous)[0].sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()
    assert not leaf.grad[~mask].any()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in attention.parameters())


@pytest.mark.parametrize("name", WEIGHTS)
def test_all_queries_at_once_equal_one_after_the_other(name: str) -> None:
    attention = make(name)
    keys, mask, queries, _ = source(attention)
    memory = attention.prepare(keys, mask)
    if attention.uses_previous:
        with pytest.raises(TypeError, match="reads the weights of the step before"):
            attention.attend_all(queries, memory)
        return
    before = {key: leaf.detach().clone() for key, leaf in memory.items()}
    contexts, weights = attention.attend_all(queries, memory)
    for place in range(2):
        context, weight = attention.attend(queries[:, place], memory)
        torch.testing.assert_close(contexts[:, place], context, **EXACT)
        torch.testing.assert_close(weights[:, place], weight, **EXACT)
    assert memory.keys() == before.keys()
    assert all(torch.equal(memory[key], before[key]) for key in before)


def test_positions_in_bfloat16_are_told_apart() -> None:
    """Its numbers from 256 to 512 are 2 apart."""
    attention = LocalAttention(4, 4, window=2).bfloat16()
    with torch.no_grad():
        attention.centre.weight.zero_()  # σ(0) = ½ exactly
    _, weights = attention.attend(torch.ones(1, 4).bfloat16(), attention.prepare(torch.ones(1, 1000, 4).bfloat16()))
    distance = torch.arange(-2.0, 3.0)
    torch.testing.assert_close(weights[0, 498:503], (torch.exp(-2 * (distance / 2) ** 2) / 5).bfloat16())


def test_what_is_wrong_is_said() -> None:
    attention = make("general")
    keys, mask, queries, _ = source(attention)
    with pytest.raises(ValueError, match=r"keys have shape \(3, 6, 3\); expected \(batch, source length, key_size=4\)"):
        attention.prepare(keys[..., :3], mask)
    with pytest.raises(ValueError, match="row 1 of the mask has no valid position"):
        attention.prepare(keys, mask & (torch.arange(3) != 1)[:, None])
    with pytest.raises(ValueError, match="the valid positions of row 2 of the mask do not come first"):
        make("local").prepare(keys, mask & ((torch.arange(6) > 0) | (torch.arange(3) < 2)[:, None]))
    with pytest.raises(ValueError, match=r"mask has shape \(3, 5\)"):
        attention.prepare(keys, mask[:, :5])
    with pytest.raises(ValueError, match="the query has 2 rows of 5; expected 3 rows"):
        attention.attend(queries[:2, 0], attention.prepare(keys, mask))
    with pytest.raises(ValueError, match="Choose attention=general"):
        instantiate(OmegaConf.load(FILES / "dot.yaml"))(key_size=4, query_size=5)
    with pytest.raises(ValueError, match="expected an odd number"):
        LocationAttention(4, 4, filter_size=4)
    with pytest.raises(ValueError, match="window is 0"):
        LocalAttention(4, 4, window=0)
