"""The temporal order problem: which of X and Y came first, and which second, among many other symbols?"""

from __future__ import annotations

import torch

from seqlab.data.base import DataSpec, Example, ExampleSplit, SequenceDataModule

SYMBOLS = ("a", "b", "c", "d", "X", "Y", "E", "B")
_X, _E, _B = 4, 6, 7


class TemporalOrder(SequenceDataModule):
    """Four classes, XX, XY, YX and YY, by the two symbols that matter in a sequence of min_length to max_length steps.

    A sequence begins with E and ends with B; between them stand a, b, c, d at random, and X or Y at two places: the first
    between a tenth and a fifth of min_length, the second between a half and six tenths. Each symbol is a one-hot vector of 8.

    Source: S. Hochreiter and J. Schmidhuber, 1997, "Long short-term memory", experiment 6a, whose lengths are 100 to 110.
    """

    def __init__(
        self,
        min_length: int = 100,
        max_length: int = 110,
        num_train: int = 10_000,
        num_val: int = 1_000,
        num_test: int = 1_000,
        batch_size: int = 50,
        eval_batch_size: int = 500,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed)
        if not 10 <= min_length <= max_length:
            raise ValueError(f"min_length is {min_length} and max_length {max_length}; expected 10 <= min_length <= max_length.")
        self.min_length = min_length
        self.max_length = max_length
        self.sizes = {"train": num_train, "val": num_val, "test": num_test}

    @property
    def spec(self) -> DataSpec:
        return DataSpec(inputs="features", input_size=len(SYMBOLS), targets="sequence", output_size=4, labels=("XX", "XY", "YX", "YY"))

    def setup(self, stage: str | None = None) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        self.splits = {name: self._draw(size, generator) for name, size in self.sizes.items()}

    def _draw(self, size: int, generator: torch.Generator) -> ExampleSplit:
        def draw(low: int, high: int, *shape: int) -> torch.Tensor:
            return torch.randint(low, high + 1, (size, *shape), generator=generator)

        shortest = self.min_length
        rows = torch.arange(size)
        ids = draw(0, _X - 1, self.max_length)
        ids[:, 0] = _E
        first, second = draw(0, 1), draw(0, 1)
        ids[rows, draw(shortest // 10, shortest // 5)] = _X + first
        ids[rows, draw(shortest // 2, 6 * shortest // 10)] = _X + second
        lengths = draw(shortest, self.max_length)
        ids[rows, lengths - 1] = _B
        one_hot = torch.eye(len(SYMBOLS))[ids]
        return ExampleSplit([Example(one_hot[row, :length], 2 * first[row] + second[row]) for row, length in enumerate(lengths.tolist())])
