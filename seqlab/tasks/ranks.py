"""What the processes that train one model make of their shares of a batch; see seqlab.data.order.Share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def loss_of_share(loss: Tensor, weight: float, tokens: Tensor | int, num_ranks: int, answers: Sequence[bool] = ()) -> tuple[Tensor, Tensor, Tensor, list[bool]]:
    """Of each process's share the mean loss (), the weight of targets that it is a mean over, and a number of tokens -> of the
    whole batch: what this process minimises, the mean loss, and the tokens. Of each process's yes or no to some questions -> whether
    any of them says yes: in the same message, since with small steps it is their number that costs, not their length.

    What is minimised is the share's loss, scaled such that the mean of the processes' gradients, which the trainer takes, is the
    gradient of the mean over all targets: each target counts alike, in whatever process, as in one that has the whole batch.
    """
    own = loss.detach().double()
    sums = torch.stack([own * weight, torch.full_like(own, weight), torch.as_tensor(tokens).to(own), *(torch.full_like(own, yes) for yes in answers)])
    torch.distributed.all_reduce(sums)
    weights = sums[1].clamp(min=torch.finfo(torch.float64).tiny)  # 0 where every target of a batch is missing, and then the losses are 0
    return loss * (num_ranks * weight / weights).to(loss), (sums[0] / weights).to(loss), sums[2].long(), (sums[3:] > 0).tolist()


def whole(number: Tensor, num_ranks: int) -> Tensor:
    """A number that was computed from parts of tensors that lie in several processes (trainer=fsdp2), for all of them; another as it is."""
    if num_ranks == 1:
        return number
    from torch.distributed.tensor import DTensor

    return number.full_tensor() if isinstance(number, DTensor) else number


def in_order(batches: Sequence[Sequence[Any]], num_ranks: int) -> list[Any]:
    """What this process has for the rows of its share of each batch -> what all have, in the order of the rows of whole batches."""
    ranks: list[Any] = [batches] * num_ranks
    if num_ranks > 1:
        torch.distributed.all_gather_object(ranks, batches)
    return [row for shares in zip(*ranks, strict=True) for row in interleaved(shares)]


def interleaved(shares: Sequence[Sequence[Any]]) -> list[Any]:
    """The rows of a batch, of which share r holds the rows r, r + len(shares), …"""
    return [shares[row % len(shares)][row // len(shares)] for row in range(sum(map(len, shares)))]
