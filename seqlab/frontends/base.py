"""The contract of the front ends. Dimension key: B batch, T time, O output_size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn


class Frontend(nn.Module, ABC):
    """forward(inputs, lengths) -> x (B, T, O), which the encoder reads. `reads` names the inputs it takes, as a DataSpec does."""

    reads: ClassVar[str]
    mixes_steps: ClassVar[bool] = False  # whether an output knows more than its own step: then it cannot predict the next one
    output_size: int

    @abstractmethod
    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """inputs (B, T, …), lengths (B,) -> (B, T, O). Nothing past a row's length may change what stands before it."""

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """lengths of the output for lengths of the inputs; front ends that shorten time override it."""
        return lengths

    def prepare(self, data: Any) -> None:
        """Called once at the start of a fresh run, with the SequenceDataModule: take from its training split what is not trained, into buffers or weights.

        A finished or resumed run has these values in its checkpoint and does not call it.
        """


def check_probability(name: str, value: float) -> float:
    """The value. Raises ValueError unless it is in [0, 1)."""
    if not 0 <= value < 1:
        raise ValueError(f"frontend {name} is {value}; expected a probability in [0, 1).")
    return value
