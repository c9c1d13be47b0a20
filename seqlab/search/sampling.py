"""Sampling: each symbol is drawn by its probability. Dimension key: B batch, V vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seqlab.cells.base import State

Step = Callable[[Tensor, State], tuple[Tensor, State]]  # ids (B,), state -> scores (B, V) of the next symbol, state


@dataclass(frozen=True)
class Sampling:
    """p ∝ exp(scores / temperature), restricted to the likeliest symbols.

    top_k: the k likeliest (ties: the lower ids). top_p: the fewest, likeliest first, whose probabilities add up to at
    least top_p (A. Holtzman et al., 2020). Both: top_k first. never: ids that are not drawn at all.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    never: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}; expected a number above 0. For the likeliest symbol every time give top_k=1.")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}; expected at least 1 symbol to choose from.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; expected a probability in (0, 1].")

    def without(self, never: Sequence[int]) -> Sampling:
        """The same, with these ids in the place of `never`."""
        return replace(self, never=tuple(never))

    def probabilities(self, scores: Tensor) -> Tensor:
        """scores (B, V) -> what each symbol is drawn with, (B, V) in float64; rows add up to 1."""
        scores = scores.double()
        if self.never:
            scores = scores.index_fill(-1, torch.tensor(self.never, device=scores.device), -torch.inf)
        ordered, order = (scores / self.temperature).sort(dim=-1, descending=True, stable=True)
        if self.top_k is not None:
            ordered[:, self.top_k :] = -torch.inf
        ordered = ordered.softmax(-1)
        if self.top_p is not None:
            before = ordered.cumsum(-1) - ordered
            ordered = torch.where(before < self.top_p, ordered, 0.0)
            ordered = ordered / ordered.sum(-1, keepdim=True)
        return torch.zeros_like(ordered).scatter(-1, order, ordered)

    def draw(self, scores: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """scores (B, V) -> ids (B,). Row b takes its random number from generators[b] alone, so rows are independent."""
        sums = self.probabilities(scores).cumsum(-1)
        uniform = torch.stack([torch.rand((), generator=generator) for generator in generators]).to(sums)
        return torch.searchsorted(sums, uniform[:, None] * sums[:, -1:], right=True)[:, 0]


def sample(
    step: Step, scores: Tensor, state: State, sampling: Sampling, generators: Sequence[torch.Generator], max_steps: int, end: int | None = None
) -> Iterator[Tensor]:
    """Draw ids (B,) up to max_steps times, feeding each back; a row that has drawn `end` repeats it, and the last ends all.

    scores (B, V) and state: what the model gives after the prompt.
    """
    ended = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
    for index in range(max_steps):
        ids = sampling.draw(scores, generators)
        if end is not None:
            ids = torch.where(ended, end, ids)
            ended = ended | (ids == end)
        yield ids
        if bool(ended.all()) or index + 1 == max_steps:
            return
        scores, state = step(ids, state)
