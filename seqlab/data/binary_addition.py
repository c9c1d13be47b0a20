"""Binary addition: two numbers go in, one bit of each per step, least significant bit first; the sum comes out."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqlab.data.base import Batch, DataSpec, SequenceDataModule, TensorSplit


class BinaryAddition(SequenceDataModule):
    """a + b in `num_bits` steps, for a, b below 2^(num_bits − 1), so that the sum fits.

    Training draws `num_pairs` pairs at random. Validation and test take ALL pairs when there are at most
    `max_eval_pairs`, else that many drawn at random. test_num_bits: test on longer numbers than were trained on.
    """

    def __init__(
        self,
        num_bits: int = 8,
        num_pairs: int = 10_000,
        test_num_bits: int | None = None,
        max_eval_pairs: int = 16_384,
        batch_size: int = 1,
        eval_batch_size: int = 4096,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed)
        test_num_bits = num_bits if test_num_bits is None else test_num_bits
        sizes = (("num_bits", num_bits, 2), ("num_pairs", num_pairs, 0), ("test_num_bits", test_num_bits, 2), ("max_eval_pairs", max_eval_pairs, 1))
        for name, size, least in sizes:
            if size < least:
                raise ValueError(f"{name} is {size}; expected at least {least}.")
        self.num_bits = num_bits
        self.num_pairs = num_pairs
        self.test_num_bits = test_num_bits
        self.max_eval_pairs = max_eval_pairs

    @property
    def spec(self) -> DataSpec:
        return DataSpec(inputs="features", input_size=2, targets="bits", output_size=1)

    def setup(self, stage: str | None = None) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        self.splits = {"train": self._split(draw_pairs(self.num_pairs, self.num_bits, generator))}
        for split, num_bits in (("val", self.num_bits), ("test", self.test_num_bits)):
            if 4 ** (num_bits - 1) <= self.max_eval_pairs:
                numbers = torch.arange(2 ** (num_bits - 1))
                pairs = to_bits(torch.cartesian_prod(numbers, numbers), num_bits)
            else:
                pairs = draw_pairs(self.max_eval_pairs, num_bits, generator)
            self.splits[split] = self._split(pairs)

    def _split(self, pairs: Tensor) -> TensorSplit:
        return TensorSplit(pairs.transpose(1, 2).float(), add_bits(pairs)[..., None].float())

    def examples(self, predict: Callable[[Batch], Tensor]) -> list[str]:
        pairs = draw_pairs(5, self.num_bits, torch.Generator().manual_seed(self.seed + 1))
        split = self._split(pairs)
        sums = predict(Batch(split.inputs, split.targets))[..., 0]
        lines = []
        for (a, b), total in zip(pairs, sums, strict=True):
            a, b, total = to_number(a), to_number(b), to_number(total)
            lines.append(f"{a} + {b} = {total}" + ("" if a + b == total else f"   (wrong: {a + b})"))
        return lines


def draw_pairs(size: int, num_bits: int, generator: torch.Generator) -> Tensor:
    """Pairs of numbers below 2^(num_bits − 1), uniformly, as bits (size, 2, num_bits), least significant first."""
    pairs = torch.randint(2, (size, 2, num_bits), generator=generator)
    pairs[..., -1] = 0  # room for the carry of the sum
    return pairs


def add_bits(pairs: Tensor) -> Tensor:
    """pairs (N, 2, num_bits) -> their sums (N, num_bits), by carrying, so that numbers may be of any length."""
    carry = torch.zeros_like(pairs[:, 0, 0])
    sums = []
    for column in pairs.sum(1).unbind(-1):
        sums.append((column + carry) % 2)
        carry = (column + carry) // 2
    return torch.stack(sums, -1)


def to_bits(numbers: Tensor, num_bits: int) -> Tensor:
    """numbers (…) -> bits (…, num_bits), least significant first."""
    return numbers[..., None] >> torch.arange(num_bits) & 1


def to_number(bits: Tensor) -> int:
    """bits (num_bits,), least significant first -> the number."""
    return sum(int(bit) << place for place, bit in enumerate(bits))
