"""Tables of 0 and 1: the labels of each next step, from folders of one's own to answers for new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from seqlab.data.base import ExampleSplit
from seqlab.data.piano_roll import PianoRoll


def write_rolls(folder: Path, count: int = 10, header: str = "C,E,G\n") -> Path:
    """A note goes round, from another one and for a longer time in each file; the names hold who wrote it."""
    folder.mkdir(exist_ok=True)
    for index in range(count):
        rows = [",".join("1" if (index + step) % 3 == note else "0" for note in range(3)) for step in range(3 + index)]
        (folder / f"{'ab'[index % 2]}{index % 3}_{index}.csv").write_text(header + "\n".join(rows) + "\n")
    return folder


def ready(path: Path | None, **options: Any) -> PianoRoll:
    data = PianoRoll(path, **options)
    data.setup()
    return data


def test_targets_are_the_next_step(tmp_path: Path) -> None:
    data = ready(write_rolls(tmp_path / "r"))
    assert (data.spec.inputs, data.spec.targets, data.spec.input_size, data.spec.labels) == ("features", "bits", 3, ("C", "E", "G"))
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [8, 1, 1]  # type: ignore[arg-type]
    batch = next(iter(data.train_dataloader()))
    assert batch.lengths is not None
    for inputs, targets, length in zip(batch.inputs, batch.targets, batch.lengths, strict=True):
        assert torch.equal(inputs[1:length], targets[: length - 1])
        assert not inputs[length:].any()
    assert all(batch.inputs.shape[0] * batch.inputs.shape[1] <= 24 for batch in ready(tmp_path / "r", batch_tokens=24).train_dataloader())


def test_splits_by_folders_and_by_groups(tmp_path: Path) -> None:
    train = write_rolls(tmp_path / "train")
    data = ready(None, train=train, test=write_rolls(tmp_path / "test", 2))
    assert data.duplicates["test in train"] + data.duplicates.get("test in val", 0) == 2
    grouped = ready(train, group_pattern="^(..)_")
    sizes = {split: len(part) for split, part in grouped.splits.items() if isinstance(part, ExampleSplit)}
    assert sum(sizes.values()) == 10
    assert min(sizes.values()) >= 1
    with pytest.raises(ValueError, match=r"the group 'a' is in train and in val.*Split by groups"):
        ready(None, train=train, val=write_rolls(tmp_path / "none", 2, "C,E,G\n"), test=tmp_path / "test", group_pattern="^.")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a0_0.csv", "C,E,G\n0,1,0\n0,2,1\n", r"a0_0\.csv, line 3: '2' in column 'E'; expected 0 or 1\. Repair the line"),
        ("a0_0.csv", "C,E,G\n0,1,0\n0,,1\n", r"a0_0\.csv, line 3: '' in column 'E'; expected 0 or 1"),
        ("a0_0.csv", "60,64,67\n0,1,0\n", r"a0_0\.csv, line 1: '60' in column '1'; expected 0 or 1\. Repair it, or say data\.header=true"),
        ("b1_1.csv", "C,G,E\n0,1,0\n0,1,1\n", r"b1_1\.csv, line 1: the columns are C, G, E; expected C, E, G"),
        ("b1_1.csv", "0,1\n1,1\n", r"b1_1\.csv, line 1: the columns are 1, 2; expected C, E, G"),
        ("b1_1.csv", "C,E,G\n0,1,0\n", r"b1_1\.csv has 1 row; expected 2 at least"),
        ("b1_1.csv", "C,E,G\n0,1\n", r"b1_1\.csv, line 2: 2 fields; expected 3"),
    ],
)
def test_what_is_wrong_names_file_and_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (write_rolls(tmp_path / "r") / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        ready(tmp_path / "r")
