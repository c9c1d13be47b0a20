"""Where a pen goes next. Dimension key: B batch, T time, I the encoder's width, M mixtures, N valid steps."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqlab.executors import lengths_to_mask

SMALLEST_DEVIATION = 1e-3  # in units of the data: on points that repeat exactly the likelihood would have no bound
LARGEST_CORRELATION = 0.999


class MixtureDensityHead(nn.Module):
    """A density over the next offset (x₁, x₂) and the probability that the stroke ends there.

    p(x, e) = Σ_m π_m N(x; μ_m, σ_m, ρ_m) · (η if e = 1, else 1 − η);  π = softmax(π̂), σ = exp(σ̂) + SMALLEST_DEVIATION,
    ρ = LARGEST_CORRELATION · tanh(ρ̂), η = logistic(η̂). Scores are stacked in the order η̂, π̂, μ₁, μ₂, σ̂₁, σ̂₂, ρ̂: 1 + 6M.

    Source: A. Graves, 2013, "Generating sequences with recurrent neural networks", eqs 18 to 26, with bias of eqs 61 and 62.
    His η = 1 / (1 + exp(η̂)) has the other sign; he has neither bound.
    """

    def __init__(self, input_size: int, num_mixtures: int = 20, dropout: float = 0.0, output_size: int = 3) -> None:
        """output_size: values of a step in the data, which have to be the three."""
        super().__init__()
        if output_size != 3:
            raise ValueError(f"the data has {output_size} values in a step; expected 3, two offsets and the end of the stroke. Choose data=pen_strokes.")
        if num_mixtures < 1:
            raise ValueError(f"num_mixtures is {num_mixtures}; expected at least 1.")
        if not 0 <= dropout < 1:
            raise ValueError(f"head dropout is {dropout}; expected a probability in [0, 1).")
        self.input_size = input_size
        self.num_mixtures = num_mixtures
        self.output_size = 1 + 6 * num_mixtures
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(input_size, self.output_size)

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """y (B, T, I) -> scores (B, T, 1 + 6M)."""
        return self.linear(self.dropout(y))

    def losses(self, y: Tensor, targets: Tensor, lengths: Tensor | None = None) -> Tensor:
        """y (B, T, I), targets (B, T, 3), x₁, x₂ and the end as 0 or 1 -> −log p of each valid step (N,), in nats."""
        if targets.shape != (*y.shape[:2], 3):
            raise ValueError(f"targets have shape {tuple(targets.shape)}; expected {(*y.shape[:2], 3)}: two offsets and the end of the stroke.")
        mask = torch.ones(y.shape[:2], dtype=torch.bool, device=y.device) if lengths is None else lengths_to_mask(lengths, y.shape[1])
        return negative_log_likelihood(self(y[mask]), targets[mask])


def negative_log_likelihood(scores: Tensor, targets: Tensor) -> Tensor:
    """scores (N, 1 + 6M), targets (N, 3) -> −log p (N,), everything in log space."""
    log_pi, mean, log_deviation, rho = parameters(scores)
    z = (targets[:, :2, None] - mean) * torch.exp(-log_deviation)
    rest = torch.log1p(-rho.square())
    # (z₁² + z₂² − 2ρz₁z₂) / (1 − ρ²), written as a sum of squares that cannot come out below 0
    distance = z[:, 0].square() + (z[:, 1] - rho * z[:, 0]).square() * torch.exp(-rest)
    log_normal = -math.log(2 * math.pi) - log_deviation.sum(1) - 0.5 * (rest + distance)
    end = nn.functional.binary_cross_entropy_with_logits(scores[:, 0], targets[:, 2], reduction="none")
    return end - torch.logsumexp(log_pi + log_normal, -1)


def parameters(scores: Tensor, bias: float = 0.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """scores (N, 1 + 6M) -> log π (N, M), μ (N, 2, M), log σ (N, 2, M), ρ (N, M)."""
    if (scores.shape[-1] - 1) % 6:
        raise ValueError(f"scores have {scores.shape[-1]} columns; expected 1 + 6 for each mixture.")
    pi, x, y, deviation_x, deviation_y, rho = scores[:, 1:].chunk(6, -1)
    raw = torch.stack([deviation_x, deviation_y], 1) - bias
    log_deviation = torch.logaddexp(raw, raw.new_tensor(math.log(SMALLEST_DEVIATION)))
    return (pi * (1 + bias)).log_softmax(-1), torch.stack([x, y], 1), log_deviation, LARGEST_CORRELATION * torch.tanh(rho)


def draw(scores: Tensor, generator: torch.Generator, bias: float = 0.0) -> Tensor:
    """scores (N, 1 + 6M) -> x₁, x₂ and the end (N, 3). generator: of the scores' device. bias ≥ 0: the higher, the cleaner and the less varied the writing."""
    if not bias >= 0:
        raise ValueError(f"bias is {bias}; expected a number of at least 0, 0 for unbiased samples.")
    log_pi, mean, log_deviation, rho = parameters(scores, bias)
    which = torch.multinomial(log_pi.exp(), 1, generator=generator)
    rho = rho.gather(1, which)[:, 0]
    mean, deviation = (part.gather(2, which[:, None].expand(-1, 2, 1))[..., 0] for part in (mean, log_deviation.exp()))
    first, second = torch.randn(2, len(scores), generator=generator, dtype=scores.dtype, device=scores.device)
    z = torch.stack([first, rho * first + (1 - rho.square()).sqrt() * second], 1)
    end = torch.rand(len(scores), generator=generator, device=scores.device) < torch.sigmoid(scores[:, 0])
    return torch.cat([mean + deviation * z, end[:, None].to(scores)], 1)
