"""What every data set gives: batches, splits, and a DataSpec from which all sizes of the model follow.

Dimension key: B batch, T time, I features per step.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from seqlab.data.batches import BudgetBatches, SeededBatches, check_budget
from seqlab.data.order import FromBatch, SeededItems, Share, SharedItems, Spare
from seqlab.data.vocabulary import VOCABULARY, Vocabulary

SPLITS = ("train", "val", "test")
SPEC = "spec.json"  # the DataSpec in a run directory


@dataclass(frozen=True)
class DataSpec:
    """What a data set gives, in sizes and names.

    inputs: "features", (B, T, input_size) floats; "tokens", (B, T) ids below input_size; "words", (B, T, 1 + L) ids: of
    the word, below input_size, then of its characters, below num_characters, 0 past the word's end; "sentences", (B, T, L)
    ids of the words of T sentences, below input_size, 0 past a sentence's end; or "audio", (B, T) floats in −1..1, samples
    of which sampling_rate make a second.
    targets: class numbers "steps" (B, T) or "sequence" (B,); "bits" (B, T, output_size), floats of 0 and 1; "strokes" (B,
    T, 3), the offset of a pen, and 1 where its stroke ends; "values" (B, output_size), floats; "symbols" (B, U), ids of
    another sequence, its end among them, 0 past it; "transcript" (B, U), ids of another sequence without an end, 0 past it;
    or "horizon" (B, horizon, output_size), floats, the next steps of as many series.
    output_size: number of classes, of bits per step, of values, or of series. labels: their names, empty when they have none.
    """

    inputs: str
    input_size: int
    targets: str
    output_size: int
    labels: tuple[str, ...] = ()
    num_characters: int = 0
    horizon: int = 0
    sampling_rate: int = 0

    def to_json(self) -> str:
        """Plain data, for the run directory."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> DataSpec:
        """What `to_json` wrote."""
        plain = json.loads(text)
        return cls(**{**plain, "labels": tuple(plain["labels"])})


@dataclass
class Batch:
    """inputs (B, T) or (B, T, I), targets as the DataSpec says, lengths (B,) or None when no row is padded.

    reset (B,): True where a row does not continue the row of the batch before, None when no row ever does.
    spare: the rows count for nothing; they are read by a process that has no share of a batch and still takes part in its step.
    missing (B, T, V): True where another value stands in for one of the first V inputs that was not measured; None: nowhere.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor | None = None
    reset: Tensor | None = None
    spare: bool = False
    missing: Tensor | None = None

    def steps(self) -> Tensor:
        """The steps of each row (B,) that are no padding."""
        return torch.full((len(self.inputs),), self.inputs.shape[1]) if self.lengths is None else self.lengths

    def part(self, share: Share) -> Batch:
        """The rows of that share, or the batch itself where there is one process."""
        rows = share.of(list(range(len(self.inputs))))
        if share.size == 1:
            return self
        return replace(self.rows(rows), spare=isinstance(rows, Spare))

    def rows(self, chosen: slice | list[int]) -> Batch:
        """These rows alone."""
        lengths, reset, missing = (None if part is None else part[chosen] for part in (self.lengths, self.reset, self.missing))
        return Batch(self.inputs[chosen], self.targets[chosen], lengths, reset, self.spare, missing)


@dataclass
class Example:
    """One sequence: inputs (T,) or (T, I); targets a class, (values,), or one for every step: (T,) or (T, bits)."""

    inputs: Tensor
    targets: Tensor


@dataclass
class TensorSplit(Dataset[Example]):
    """A split whose sequences all have one length, as two tensors: inputs (N, T, …), targets (N, …)."""

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> Example:
        return Example(self.inputs[index], self.targets[index])

    def __getitems__(self, indices: list[int]) -> Batch:
        rows = torch.tensor(indices)
        return Batch(self.inputs[rows], self.targets[rows])


class ExampleSplit(Dataset[Example]):
    """A split whose sequences differ in length."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        return self.examples[index]


class SequenceDataModule(L.LightningDataModule, ABC):
    """Base of the data sets. Subclasses fill `splits` in `setup` and give `spec`; loaders are written here once.

    batch_tokens: batches of at most so many steps of an ExampleSplit, padding included, in place of batch_size; None: of batch_size rows.
    budgeted: the splits that this holds for. next_steps: whether the bits that are targets are the inputs one step later, which
    a model must not have read.
    """

    budgeted: ClassVar[tuple[str, ...]] = SPLITS
    next_steps: ClassVar[bool] = False

    def __init__(self, batch_size: int, eval_batch_size: int | None = None, num_workers: int = 0, seed: int = 0, batch_tokens: int | None = None) -> None:
        super().__init__()
        self.batch_tokens = check_budget(batch_tokens)
        for name, size in (("batch_size", batch_size), ("eval_batch_size", batch_size if eval_batch_size is None else eval_batch_size)):
            if size < 1:
                raise ValueError(f"{name} is {size}; expected at least 1.")
        self.batch_size = batch_size
        self.eval_batch_size = batch_size if eval_batch_size is None else eval_batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.start: tuple[int, int] = (0, 0)  # (epoch, batch) at which training begins: later than 0 when it is resumed
        self.splits: dict[str, Dataset[Any]] = {}
        self.vocabulary: Vocabulary | None = None  # of the tokens, when the inputs are tokens of text
        self.duplicates: dict[str, int] = {}  # how many examples are in two splits, as `count_duplicates` gives them; for the summary

    @property
    @abstractmethod
    def spec(self) -> DataSpec:
        """Sizes and names, known after `setup`."""

    def records(self) -> dict[str, str]:
        """{file name: text} that the run directory keeps, so that the model can be used without its data."""
        vocabulary = {} if self.vocabulary is None else {VOCABULARY: self.vocabulary.to_json()}
        return {SPEC: self.spec.to_json(), **vocabulary}

    def restore(self, directory: Path) -> None:
        """Take over what `records` kept in a run directory, so that new input can be read without the training data."""
        raise ValueError(f"{type(self).__name__} reads no new input. Predict with a run on data of your own.")

    def read_new(self, file: Path) -> list[Example | None]:
        """Input of the same kind without targets, one Example for each row of `file`, None for a blank row; after `restore`."""
        raise ValueError(f"{type(self).__name__} reads no new input. Predict with a run on data of your own.")

    def write_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], output: Path) -> None:
        """Write what `Task.answer` gave for the rows of `read_new`, row for row; a blank row stays blank."""
        raise ValueError(f"{type(self).__name__} writes no answers. Predict with a run on data of your own.")

    def draw_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], picture: Path) -> bool:
        """Draw what is worth looking at in the answers to `rows`; returns whether there is a picture. None by default."""
        return False

    def collate(self, examples: Any) -> Batch:
        """What the loader does with the examples of one batch; a TensorSplit hands out whole batches already."""
        return examples if isinstance(examples, Batch) else pad_batch(examples)

    def loader(self, split: str) -> Iterable[Batch]:
        """The batches of a split: shuffled for training, in order elsewhere. While several processes train one model, this one's share of each."""
        data = self.splits[split]
        size = len(data)  # pyright: ignore[reportArgumentType]
        if size == 0:
            raise ValueError(f"the {split} split of {type(self).__name__} is empty; expected at least one sequence. Check the data or the sizes of the splits.")
        in_workers = self.num_workers > 0
        # without a trainer the whole: what is taken from the training split before training is the same in all processes
        share = Share() if self.trainer is None else Share(self.trainer.global_rank, self.trainer.world_size)
        batches = FromBatch(self.batches(split), self.start if split == "train" else (0, 0), in_workers, self.seed, share)
        generator = torch.Generator().manual_seed(self.seed)  # its own, so that loading leaves alone the numbers that dropout draws
        read = SharedItems(data, self.collate) if share.size > 1 else data
        read = SeededItems(read) if in_workers else read
        return DataLoader(read, batch_sampler=batches, collate_fn=self.collate if share.size == 1 else made, num_workers=self.num_workers, generator=generator)

    def batches(self, split: str) -> Sampler[Any]:
        """Which indices of a split make a batch, in order; a function of the seed and the epoch alone."""
        data, training = self.splits[split], split == "train"
        if self.batch_tokens is not None and split in self.budgeted and isinstance(data, ExampleSplit):
            return BudgetBatches([self.steps_of(example) for example in data.examples], self.batch_tokens, training, self.seed)
        return SeededBatches(len(data), self.batch_size if training else self.eval_batch_size, training, self.seed)  # pyright: ignore[reportArgumentType]

    def steps_of(self, example: Example) -> int:
        """What counts of an example against `batch_tokens`."""
        return len(example.inputs)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Nothing to do for a batch that lies there already; looking through its parts is a tenth of a small step."""
        if isinstance(batch, Batch) and batch.inputs.device == device:
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def train_dataloader(self) -> Any:
        return self.loader("train")

    def val_dataloader(self) -> Any:
        return self.loader("val")

    def test_dataloader(self) -> Any:
        return self.loader("test")

    def references(self, split: str) -> list[str] | None:
        """What the target of each row of a split reads as, in the order of the rows; None where targets are no text."""
        return None

    def read_out(self, ids: Iterable[int]) -> str:
        """The text that ids of the targets stand for; of data that has `references`."""
        raise TypeError(f"the targets of {type(self).__name__} are no text; expected data whose references are.")

    def place(self, split: str, row: int) -> str:
        """What messages call a row of a split: the file and line that it is from, where it is from one."""
        return f"row {row} of the {split} split"

    def step_names(self, inputs: Tensor) -> list[str]:
        """What the steps of one row's inputs (T, …) read as, for pictures; the ids of tokens by default."""
        return [str(step) for step in inputs.tolist()]

    def examples(self, predict: Callable[[Batch], Tensor]) -> list[str]:
        """A few lines that show what the trained model does, for the end of a run; predict(batch) gives the model's answers."""
        return []


def made(batch: Any) -> Batch:
    """What SharedItems has collated already."""
    return batch


def pad_batch(examples: Sequence[Example]) -> Batch:
    """Sequences of different length -> one batch, zero past each length."""
    lengths = torch.tensor([len(e.inputs) for e in examples])
    longest = int(lengths.max())

    def pad(parts: list[Tensor]) -> Tensor:
        out = parts[0].new_zeros(len(parts), longest, *parts[0].shape[1:])
        for row, part in enumerate(parts):
            out[row, : len(part)] = part
        return out

    per_step = all(e.targets.dim() > 0 and len(e.targets) == len(e.inputs) for e in examples)
    targets = pad([e.targets for e in examples]) if per_step else torch.stack([e.targets for e in examples])
    return Batch(pad([e.inputs for e in examples]), targets, None if bool((lengths == longest).all()) else lengths)
