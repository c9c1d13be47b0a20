"""Images as sequences, from files of our own making in the published format."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
import torch

from seqlab.data import mnist
from seqlab.data.idx import read_idx
from seqlab.data.mnist import MNIST, pixel_order
from tests.data.own_digits import idx


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.manual_seed(0)
    sums = {}
    for part, number in (("train", 12), ("t10k", 4)):
        images = torch.randint(0, 256, (number, 28, 28), dtype=torch.uint8)
        for name, values in ((f"{part}-images-idx3-ubyte.gz", images), (f"{part}-labels-idx1-ubyte.gz", torch.arange(number, dtype=torch.uint8) % 10)):
            sums[name] = idx(tmp_path / "mnist" / name, values)
    monkeypatch.setattr(mnist, "SHA256", sums)
    monkeypatch.setattr(mnist, "NUM_VALIDATION", 2)
    return tmp_path


@pytest.mark.parametrize(("reading", "shape"), [("rows", (28, 28)), ("pixels", (784, 1)), ("permuted", (784, 1))])
def test_three_ways_to_read(small: Path, reading: str, shape: tuple[int, int]) -> None:
    data = MNIST(reading, data_dir=small, batch_size=5)
    data.setup()
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [10, 2, 4]  # type: ignore[arg-type]
    assert data.spec.input_size == shape[1]
    one = data.splits["val"][1]
    image = read_idx(small / "mnist" / "train-images-idx3-ubyte.gz")[11].float() / 255
    order = pixel_order(reading, 0)
    expected = image if order is None else image.flatten()[order, None]
    assert torch.equal(one.inputs, expected)
    assert int(one.targets) == 1
    batch = next(iter(data.train_dataloader()))
    assert batch.inputs.shape == (5, *shape)


def test_images_that_are_in_two_splits_are_counted(small: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = read_idx(small / "mnist" / "train-images-idx3-ubyte.gz")
    images[10] = images[0]  # the first of the validation is the first of the training
    mnist.SHA256["train-images-idx3-ubyte.gz"] = idx(small / "mnist" / "train-images-idx3-ubyte.gz", images)
    data = MNIST(data_dir=small)
    data.setup()
    assert data.duplicates == {"val in train": 1}
    assert "1 of val in train" in caplog.text


def test_the_permutation_is_fixed_by_its_seed() -> None:
    first, again, other = pixel_order("permuted", 0), pixel_order("permuted", 0), pixel_order("permuted", 1)
    assert first is not None
    assert again is not None
    assert other is not None
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first.sort().values, torch.arange(784))


def test_altered_and_cut_files(small: Path) -> None:
    place = small / "mnist" / "train-images-idx3-ubyte.gz"
    whole = place.read_bytes()
    place.write_bytes(whole[:-20])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.gz cannot be unpacked"):
        MNIST(data_dir=small).setup()
    idx(place, torch.zeros(12, 28, 28, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"holds other data than expected: sha256"):
        MNIST(data_dir=small).setup()
    place.write_bytes(gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x09abc"))
    with pytest.raises(ValueError, match=r"holds 3 values; expected 9"):
        read_idx(place)
    place.write_bytes(gzip.compress(b"hello"))
    with pytest.raises(ValueError, match=r"is no IDX file of bytes: it begins with 68656c6c"):
        read_idx(place)
    with pytest.raises(ValueError, match=r"no reading of an image is named 'columns'"):
        MNIST("columns")


REAL = Path(os.environ.get("SEQLAB_DATA_DIR") or Path(__file__).parents[3] / "shared" / "data")


@pytest.mark.skipif(not (REAL / "mnist").exists(), reason="MNIST is not there; name the folder of data sets with SEQLAB_DATA_DIR")
def test_the_published_files() -> None:
    data = MNIST(data_dir=REAL)
    data.setup()
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [55000, 5000, 10000]  # type: ignore[arg-type]
