"""trainer=fsdp2 with a single rank in this process: what a checkpoint holds and gives back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, get_optimizer_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, OptimStateKeyType, fully_shard

from seqlab.ranks.group import leave
from seqlab.ranks.sharded import of_parts, own_part, put_optimizer_state, put_weights

WHOLE = StateDictOptions(full_state_dict=True)


@pytest.fixture(autouse=True)
def one_rank(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    yield
    leave()


def divided(seed: int, options: dict[str, float]) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A model divided among the one rank, after a step."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, **options)
    step(model, optimizer)
    return model, optimizer


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    model(torch.linspace(-1, 1, 6).view(2, 3)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}], ids=["stateless", "momentum"])
def test_what_goes_on_makes_the_same_steps(options: dict[str, float]) -> None:
    model, optimizer = divided(0, options)
    weights = get_model_state_dict(model, options=WHOLE)
    state = FullyShardedDataParallel.rekey_optim_state_dict(get_optimizer_state_dict(model, optimizer, options=WHOLE), OptimStateKeyType.PARAM_ID, model)
    other, its_optimizer = divided(1, options)
    its_optimizer.param_groups[0]["lr"] = 0.7
    put_weights(other, {name: value.clone() for name, value in weights.items()})
    put_optimizer_state(other, its_optimizer, state)
    for _ in range(2):
        step(model, optimizer)
        step(other, its_optimizer)
    expected = get_model_state_dict(model, options=WHOLE)
    for name, value in get_model_state_dict(other, options=WHOLE).items():
        assert value.equal(expected[name]), name


def test_a_rank_keeps_its_part_of_a_gradient() -> None:
    model, _ = divided(0, {})
    model(torch.ones(2, 3)).sum().backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        own = own_part(parameter.grad)
        assert type(own) is torch.Tensor
        assert of_parts(own, parameter).full_tensor().equal(parameter.grad.full_tensor())  # pyright: ignore[reportAttributeAccessIssue]
    plain = torch.ones(2)
    assert own_part(plain) is plain
    assert of_parts(plain, plain) is plain
