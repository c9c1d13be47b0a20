"""Handwritten digits, read as sequences."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from seqlab.data.base import Batch, DataSpec, Example, SequenceDataModule
from seqlab.data.idx import read_idx
from seqlab.data.named import NamedData, NamedFile
from seqlab.data.splits import warn_of_duplicates
from seqlab.registry import unknown

SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
SHA256 = {  # unpacked: one and the same file is found packed in more than one way
    "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MNIST_DATA = NamedData(
    "MNIST",
    "mnist",
    "Y. LeCun, C. Cortes and C. Burges; mirror " + SOURCE,
    "CC BY-SA 3.0",
    "Y. LeCun et al., 1998, Gradient-based learning applied to document recognition",
    tuple(NamedFile(name, SOURCE + name, sha256, unpacked=True) for name, sha256 in SHA256.items()),
)
NUM_VALIDATION = 5000  # the last of the 60,000 training images
READINGS = ("rows", "pixels", "permuted")


class ImageSplit(Dataset[Example]):
    """Images (N, rows, columns) of bytes and their classes (N,), handed out as sequences of numbers in 0..1.

    order (rows · columns,): which pixel is read when; None: an image is a sequence of its rows.
    """

    def __init__(self, images: Tensor, labels: Tensor, order: Tensor | None) -> None:
        self.images, self.labels, self.order = images, labels.long(), order

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Example:
        batch = self.__getitems__([index])
        return Example(batch.inputs[0], batch.targets[0])

    def __getitems__(self, indices: list[int]) -> Batch:
        rows = torch.tensor(indices)
        images = self.images[rows].float() / 255
        if self.order is not None:
            images = images.flatten(1)[:, self.order, None]
        return Batch(images, self.labels[rows])


class MNIST(SequenceDataModule):
    """The digit in an image of 28 × 28 that is read from the top to the bottom.

    reading: "rows", 28 steps of 28 pixels; "pixels", 784 steps, row by row; "permuted", 784 pixels in an order drawn from
    permutation_seed, the same for every image (Q. Le et al., 2015, "A simple way to initialize recurrent networks of rectified linear units", section 4.2).
    55,000 images for training, the 5,000 after them for validation, 10,000 for test.
    """

    def __init__(
        self,
        reading: str = "rows",
        permutation_seed: int = 0,
        data_dir: str | Path | None = None,
        batch_size: int = 128,
        eval_batch_size: int | None = 1000,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed)
        if reading not in READINGS:
            raise ValueError(unknown("reading of an image", reading, list(READINGS), "Choose one with data.reading=NAME."))
        self.reading, self.permutation_seed, self.data_dir = reading, permutation_seed, data_dir

    @property
    def spec(self) -> DataSpec:
        return DataSpec("features", 28 if self.reading == "rows" else 1, "sequence", 10, labels=tuple(map(str, range(10))))

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        order = pixel_order(self.reading, self.permutation_seed)
        parts = read_mnist(self.data_dir)
        self.duplicates = warn_of_duplicates({split: [image.tobytes() for image in images.numpy()] for split, (images, _) in parts.items()})
        self.splits = {split: ImageSplit(images, labels, order) for split, (images, labels) in parts.items()}


def read_mnist(data_dir: str | Path | None = None) -> dict[str, tuple[Tensor, Tensor]]:
    """{split: images (N, 28, 28) of bytes and their classes (N,)}: 55,000 for training, the 5,000 after them for validation, 10,000 for test."""
    read = {
        part: [read_idx(MNIST_DATA.find(name, data_dir), SHA256[name]) for name in (f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz")]
        for part in ("train", "t10k")
    }
    (images, labels), test = read["train"], read["t10k"]
    cut = len(images) - NUM_VALIDATION
    return {"train": (images[:cut], labels[:cut]), "val": (images[cut:], labels[cut:]), "test": (test[0], test[1])}


def pixel_order(reading: str, seed: int) -> Tensor | None:
    """Which of the 784 pixels is read when; None where whole rows are."""
    if reading == "rows":
        return None
    return torch.arange(784) if reading == "pixels" else torch.randperm(784, generator=torch.Generator().manual_seed(seed))
