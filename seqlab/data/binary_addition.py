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
        for name, bits in (("num_bits", num_bits), ("test_num_bits", test_num_bits or num_bits)):
            if not 2 <= bits <= 63:
                raise ValueError(f"{name} is {bits}; expected 2 to 63 bits, the sums being 64-bit integers.")
        self.num_bits = num_bits
        self.num_pairs = num_pairs
        self.test_num_bits = test_num_bits or num_bits
        self.max_eval_pairs = max_eval_pairs

    @property
    def spec(self) -> DataSpec:
        return DataSpec(inputs="features", input_size=2, targets="bits", output_size=1)

    def setup(self, stage: str | None = None) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        train = torch.randint(2 ** (self.num_bits - 1), (self.num_pairs, 2), generator=generator)
        self.splits = {"train": self._split(train, self.num_bits)}
        for split, bits in (("val", self.num_bits), ("test", self.test_num_bits)):
            limit = 2 ** (bits - 1)
            if limit * limit <= self.max_eval_pairs:
                pairs = torch.cartesian_prod(torch.arange(limit), torch.arange(limit))
            else:
                pairs = torch.randint(limit, (self.max_eval_pairs, 2), generator=generator)
            self.splits[split] = self._split(pairs, bits)

    def _split(self, pairs: Tensor, num_bits: int) -> TensorSplit:
        return TensorSplit(to_bits(pairs, num_bits).transpose(1, 2).float(), to_bits(pairs.sum(1), num_bits)[..., None].float())

    def examples(self, predict: Callable[[Batch], Tensor]) -> list[str]:
        limit = 2 ** (self.num_bits - 1)
        pairs = torch.randint(limit, (5, 2), generator=torch.Generator().manual_seed(self.seed + 1))
        split = self._split(pairs, self.num_bits)
        sums = from_bits(predict(Batch(split.inputs, split.targets))[..., 0])
        return [f"{a} + {b} = {s}" + ("" if a + b == s else f"   (wrong: {a + b})") for (a, b), s in zip(pairs.tolist(), sums.tolist(), strict=True)]


def to_bits(numbers: Tensor, num_bits: int) -> Tensor:
    """numbers (…) -> bits (…, num_bits), least significant first."""
    return numbers[..., None] >> torch.arange(num_bits) & 1


def from_bits(bits: Tensor) -> Tensor:
    """bits (…, num_bits), least significant first -> numbers (…)."""
    return (bits.long() << torch.arange(bits.shape[-1])).sum(-1)
