"""The adding problem: two of T numbers are marked; their sum comes out at the end."""

from __future__ import annotations

import torch

from seqlab.data.base import DataSpec, SequenceDataModule, TensorSplit

MEAN_BASELINE = 1 / 6  # squared error of always answering 1, the variance of a sum of two; printed as 0.1767 in several papers


class AddingProblem(SequenceDataModule):
    """Per step a number, uniform in [0, 1], and a marker, 1 at one step of the first half and one of the second, else 0.

    The target is the sum of the two marked numbers. Always answering 1 has the squared error 1/6.

    Source: S. Hochreiter and J. Schmidhuber, 1997, "Long short-term memory", experiment 4, in the form that
    Q. Le, N. Jaitly and G. Hinton, 2015, "A simple way to initialize recurrent networks", and later work use.
    Differs from 1997: there numbers lie in [−1, 1], the target is 0.5 + (a + b)/4, the first marker stands in the first ten
    steps, first and last step carry a −1 marker, and lengths vary by a tenth.
    """

    def __init__(
        self,
        num_steps: int = 100,
        num_train: int = 10_000,
        num_val: int = 1_000,
        num_test: int = 1_000,
        batch_size: int = 50,
        eval_batch_size: int = 500,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed)
        if num_steps < 2:
            raise ValueError(f"num_steps is {num_steps}; expected at least 2, one for each marker.")
        self.num_steps = num_steps
        self.sizes = {"train": num_train, "val": num_val, "test": num_test}

    @property
    def spec(self) -> DataSpec:
        return DataSpec(inputs="features", input_size=2, targets="values", output_size=1)

    def setup(self, stage: str | None = None) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        self.splits = {name: self._draw(size, generator) for name, size in self.sizes.items()}

    def _draw(self, size: int, generator: torch.Generator) -> TensorSplit:
        half = self.num_steps // 2
        numbers = torch.rand(size, self.num_steps, generator=generator)
        first = torch.randint(0, half, (size, 1), generator=generator)
        second = torch.randint(half, self.num_steps, (size, 1), generator=generator)
        places = torch.cat([first, second], 1)
        markers = torch.zeros_like(numbers).scatter_(1, places, 1.0)
        return TensorSplit(torch.stack([numbers, markers], -1), numbers.gather(1, places).sum(1, keepdim=True))
