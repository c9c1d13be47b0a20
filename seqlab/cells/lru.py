"""The linear recurrent unit. Dimension key: B batch, I input_size, O hidden_size (the width of y), N state_size."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqlab.cells.base import ScanCell, State
from seqlab.registry import register_cell


@register_cell("lru")
class LRU(ScanCell):
    """Linear recurrent unit: a diagonal, complex, stable linear recurrence between two linear maps.

    h_t = λ ⊙ h_{t−1} + γ ⊙ (B x_t),  y_t = Re(C h_t) + D x_t,  h, λ, B, C complex
    λ = exp(−exp(ν) + i exp(θ)),  γ = √(1 − |λ|²);  at first λ is uniform on the ring r_min ≤ |λ| ≤ r_max, phases in 0..max_phase

    All tensors are real, real parts first: h (2N,), B input_weight (2N, I), and output_weight (O, 2N) is [Re C, −Im C], whose
    product with h is Re(C h). D is skip_weight: a vector when O = I, else (O, I). hidden_size is O; state_size, N, is O unless given.

    Source: A. Orvieto et al., 2023, "Resurrecting recurrent neural networks for long sequences", arXiv 2303.06349, eqs 5–8
    and appendix A.
    Differs from the paper in γ, which starts at √(1 − |λ|²) there and is then learned by itself; here it follows λ.
    """

    gates = ("real", "imaginary")
    complex_state = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        state_size: int | None = None,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 6.283185307179586,
    ) -> None:
        if not 0 <= r_min <= r_max <= 1:
            raise ValueError(f"r_min is {r_min} and r_max {r_max}; expected 0 <= r_min <= r_max <= 1.")
        if not max_phase > 0:
            raise ValueError(f"max_phase is {max_phase}; expected radians above 0.")
        size = hidden_size if state_size is None else state_size
        super().__init__(input_size, hidden_size, {"h": (2 * size,)})
        self.r_min = r_min
        self.r_max = r_max
        self.max_phase = max_phase
        self.nu = nn.Parameter(torch.empty(size))
        self.theta = nn.Parameter(torch.empty(size))
        self.input_weight = nn.Parameter(torch.empty(2 * size, input_size))
        self.output_weight = nn.Parameter(torch.empty(hidden_size, 2 * size))
        self.skip_weight = nn.Parameter(torch.empty(hidden_size) if hidden_size == input_size else torch.empty(hidden_size, input_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """λ on the ring, and normal B, C and D that keep the variance of the input (Orvieto et al., appendix A)."""
        with torch.no_grad():
            tiny = 1e-6  # 0 and 1 would give infinite ν and θ
            u = torch.rand_like(self.nu).clamp_(tiny, 1 - tiny)
            squared_radius = u * (self.r_max**2 - self.r_min**2) + self.r_min**2
            self.nu.copy_(torch.log(-0.5 * torch.log(squared_radius.clamp_(tiny, 1 - tiny))))
            self.theta.copy_(torch.log(self.max_phase * torch.rand_like(self.theta).clamp_(min=tiny)))
        nn.init.normal_(self.input_weight, std=1 / math.sqrt(2 * self.input_size))
        nn.init.normal_(self.output_weight, std=1 / math.sqrt(self.nu.numel()))
        nn.init.normal_(self.skip_weight, std=1.0 if self.skip_weight.dim() == 1 else 1 / math.sqrt(self.input_size))

    def decay(self) -> Tensor:
        """λ (2N,)."""
        radius, phase = torch.exp(-torch.exp(self.nu)), torch.exp(self.theta)
        return torch.cat([radius * torch.cos(phase), radius * torch.sin(phase)])

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        gamma = torch.sqrt(-torch.expm1(-2 * torch.exp(self.nu)))  # 1 − |λ|², without cancellation near the unit circle
        skip = x * self.skip_weight if self.skip_weight.dim() == 1 else x @ self.skip_weight.T
        return nn.functional.linear(x, self.input_weight) * torch.cat([gamma, gamma]), skip

    def step(self, p: tuple[Tensor, Tensor], state: State) -> tuple[Tensor, State]:
        new, skip = p
        lam_re, lam_im = self.decay().chunk(2)
        re, im = state["h"].chunk(2, -1)
        h = torch.cat([lam_re * re - lam_im * im, lam_re * im + lam_im * re], -1) + new
        return h @ self.output_weight.T + skip, {"h": h}

    def scan_terms(self, p: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return self.decay(), p[0]

    def scan_output(self, p: tuple[Tensor, Tensor], h: Tensor) -> Tensor:
        return h @ self.output_weight.T + p[1]
