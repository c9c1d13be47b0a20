"""A cache of the steps just read, beside a language model.

Dimension key: B streams, T time, I the encoder's width, K steps in the cache and in the block, N valid steps, A thetas, L lambdas.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

BLOCK = 64  # steps of a stream that are looked up at once: memory grows with it, and the product of matrices is fast by then


class Best(NamedTuple):
    """The pair of values with the least loss, the mean −log p in nats."""

    theta: float
    lambda_: float
    loss: float


class NeuralCache:
    """p(w) = (1 − λ) p_vocab(w) + λ p_cache(w) with p_cache(w) ∝ Σ_i 1{w = x_{i+1}} exp(θ h_tᵀ h_i), i over the `window` steps before t.

    h_t is what the head reads at step t, and x_{t+1}, the target there, enters the cache after it was scored. Each stream has
    a cache of its own, empty where the stream is reset. θ = 0 counts the words of the window. All θ and λ are tried in one
    pass, in which a λ costs next to nothing.

    Source: E. Grave, A. Joulin and N. Usunier, 2017, "Improving neural language models with a continuous cache", section 3,
    interpolated linearly. Where the cache is still empty, p = p_vocab: the paper does not say, and p must sum to one.
    """

    def __init__(self, window: int, thetas: Sequence[float], lambdas: Sequence[float]) -> None:
        """Raises ValueError for a window below 1, for θ that is negative or not finite, for λ outside [0, 1), and for none of them."""
        if window < 1:
            raise ValueError(f"cache is {window}; expected at least 1 step. Leave cache out to evaluate without one.")
        for name, values, most, expected in (("theta", thetas, math.inf, "finite numbers from 0"), ("lambda", lambdas, 1.0, "numbers in [0, 1)")):
            wrong = [value for value in values if not 0 <= value < most]
            if wrong or not values:
                raise ValueError(f"cache_{name} is {wrong[0] if wrong else 'empty'}; expected {expected}. Give cache_{name}=VALUE, or several with commas.")
        self.window = window
        self.thetas, self.lambdas = tuple(thetas), tuple(lambdas)
        self.sums = torch.zeros(len(thetas), len(lambdas), dtype=torch.float64)  # of −log p
        self.count = 0
        self.past: tuple[Tensor, Tensor, Tensor] | None = None  # h (B, K, I), the word after it (B, K), whether it counts (B, K)

    def read(self, h: Tensor, targets: Tensor, losses: Tensor, lengths: Tensor | None = None, reset: Tensor | None = None) -> None:
        """Score a batch and remember it. h (B, T, I), targets (B, T), losses (N,) the model's own −log p of the valid targets, row by row.

        reset (B,): rows that do not continue the row of the batch before; None: no row does. Padding is neither scored nor remembered.
        """
        with torch.no_grad(), torch.autocast(h.device.type, enabled=False):
            h = h.to(torch.promote_types(h.dtype, torch.float32))
            found = torch.cat([self._block(*parts) for parts in self._blocks(h, targets, reset)], 2)  # (A, B, T)
            valid = torch.ones_like(targets, dtype=torch.bool) if lengths is None else torch.arange(h.shape[1], device=h.device) < lengths[:, None]
            from_model = (-losses.cpu().double()).exp()
            from_cache = found[:, valid].cpu().double()
            from_cache = torch.where(from_cache.isnan(), from_model, from_cache)  # of an empty cache
            lambdas = torch.tensor(self.lambdas, dtype=torch.float64)[:, None, None]
            self.sums -= ((1 - lambdas) * from_model + lambdas * from_cache).log().sum(-1).T
            self.count += len(losses)

    def best(self) -> Best:
        """Of all that was read. Raises ValueError when nothing was."""
        if not self.count:
            raise ValueError("the cache has read no word, so no theta and lambda can be chosen; expected some validation. Give trainer.limit_val_batches=null.")
        theta, lambda_ = divmod(int(self.sums.argmin()), len(self.lambdas))
        return Best(self.thetas[theta], self.lambdas[lambda_], float(self.sums[theta, lambda_]) / self.count)

    def _blocks(self, h: Tensor, targets: Tensor, reset: Tensor | None) -> list[tuple[Tensor, Tensor]]:
        self._begin(h, targets, reset)
        return list(zip(h.split(BLOCK, 1), targets.split(BLOCK, 1), strict=True))

    def _begin(self, h: Tensor, targets: Tensor, reset: Tensor | None) -> None:
        """Make `past` that of the rows of a batch: rows that have ended drop out, rows beyond those there are begin empty."""
        if self.past is None or reset is None:
            self.past = h[:, :0], targets[:, :0], torch.ones_like(targets[:, :0], dtype=torch.bool)
            return
        missing = max(0, len(h) - len(self.past[0]))
        keys, words, known = (part[: len(h)] for part in self.past)
        keys, words, known = pad(keys, (0, 0, 0, 0, 0, missing)), pad(words, (0, 0, 0, missing)), pad(known, (0, 0, 0, missing))
        self.past = keys, words, known & ~reset[:, None]

    def _block(self, h: Tensor, targets: Tensor) -> Tensor:
        """h (B, T, I), targets (B, T) -> p_cache of each target for each θ, (A, B, T), NaN where the cache is empty; then both are remembered.

        Padding comes after all that counts in its row, so that it is never looked up; the row must be reset after it.
        """
        assert self.past is not None, "_begin comes first"
        before = self.past[0].shape[1]
        keys, words = torch.cat([self.past[0], h], 1), torch.cat([self.past[1], targets], 1)
        known = torch.cat([self.past[2], torch.ones_like(targets, dtype=torch.bool)], 1)
        steps = torch.arange(h.shape[1], device=h.device)[:, None]
        places = torch.arange(keys.shape[1], device=h.device) - before  # a key's step, counted from the first of the block
        within = (places < steps) & (places >= steps - self.window) & known[:, None]  # (B, T, K)
        scores = (h @ keys.mT).masked_fill(~within, -torch.inf)
        scores = (scores - scores.amax(2, keepdim=True)).masked_fill(~within, 0.0)  # the largest is 0, so that no exponential overflows
        same = within & (words[:, None] == targets[:, :, None])
        found = []
        for theta in self.thetas:
            weights = (theta * scores).exp()
            found.append((weights * same).sum(2) / (weights * within).sum(2))
        self.past = keys[:, -self.window :], words[:, -self.window :], known[:, -self.window :]
        return torch.stack(found)
