"""Images of digits in a row: what stands where, and from which split."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from PIL import Image

from seqlab.data.mnist_strings import MNISTStrings
from seqlab.fingerprint import contents_digest
from tests.data.spoken_sets import write_mnist

SMALL = {"num_train": 6, "num_val": 4, "num_test": 5}


def test_digits_stand_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = MNISTStrings(overlap=0, gap=0, data_dir=write_mnist(tmp_path, monkeypatch), **SMALL)
    data.setup()
    for split, size in (("train", 6), ("val", 4), ("test", 5)):
        texts = data.references(split)
        assert texts is not None
        assert len(texts) == size
        for row, text in enumerate(texts):
            image = data.splits[split][row].inputs
            assert image.shape == (28 * len(text), 28)
            for place, digit in enumerate(map(int, text)):
                expected = torch.zeros(28, 28)  # of the fixture: a bar
                expected[6:22, 2 + 2 * digit : 4 + 2 * digit] = 200 / 255
                torch.testing.assert_close(image[28 * place : 28 * place + 28], expected)


def test_gaps_are_drawn_once_for_each_string(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = MNISTStrings(min_digits=2, max_digits=2, overlap=4, gap=6, data_dir=write_mnist(tmp_path, monkeypatch), num_train=40, num_val=1, num_test=1)
    data.setup()
    widths = [len(data.splits["train"][row].inputs) for row in range(40)]
    assert widths == [len(data.splits["train"][row].inputs) for row in range(40)]
    assert 52 <= min(widths) < 56 < max(widths) <= 62


def test_a_split_can_be_sent_to_other_processes_and_its_images_belong_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = MNISTStrings(data_dir=write_mnist(tmp_path, monkeypatch), **SMALL)
    data.setup()
    split = data.splits["test"]
    sent = pickle.loads(pickle.dumps(split))
    assert torch.equal(sent[0].inputs, split[0].inputs)
    assert contents_digest(sent) == contents_digest(split)
    sent.join.images[0, 0, 0] += 1
    assert contents_digest(sent) != contents_digest(split)


def test_a_batch_keeps_the_width_of_each_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = MNISTStrings(data_dir=write_mnist(tmp_path, monkeypatch), **SMALL)
    data.setup()
    batch = data.collate([data.splits["test"][row] for row in range(5)])
    assert batch.lengths is not None
    assert batch.inputs.shape == (5, int(batch.lengths.max()), 28)
    assert [data.read_out(row) for row in batch.targets.tolist()] == data.references("test")


def test_strings_for_a_decoder_end_with_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_mnist(tmp_path, monkeypatch)
    aligned, written = MNISTStrings(data_dir=folder, **SMALL), MNISTStrings(data_dir=folder, targets="symbols", **SMALL)
    for data in (aligned, written):
        data.setup()
    assert (written.spec.targets, written.spec.labels) == ("symbols", ("<pad>", "<s>", "</s>", *"0123456789"))
    assert written.references("test") == aligned.references("test")
    assert written.splits["test"][0].targets.tolist() == [*(aligned.splits["test"][0].targets + 2).tolist(), 2]


def test_wider_pictures_than_in_training_are_answered_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, width in (("a", 96), ("b", 97)):
        Image.new("L", (width, 28)).save(tmp_path / f"{name}.png")
    with caplog.at_level("WARNING", logger="seqlab"):
        rows = MNISTStrings(max_digits=3, gap=6).read_new(tmp_path)
    assert [len(row.inputs) for row in rows if row is not None] == [96, 97]
    assert f"1 of 2 pictures are longer than any in training, which went up to 96 columns; the first is {tmp_path / 'b.png'} with 97 columns" in caplog.text


def test_strings_that_cannot_be_made() -> None:
    with pytest.raises(ValueError, match=r"min_digits is 4 and data\.max_digits is 3"):
        MNISTStrings(4, 3)
    with pytest.raises(ValueError, match="overlap is 28"):
        MNISTStrings(overlap=28)
    with pytest.raises(ValueError, match="num_val is 0"):
        MNISTStrings(num_val=0)
