"""A file for each sequence: its class, its group, and the splits that follow from them."""

from __future__ import annotations

import csv
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from seqlab.data.indoor_movement import IndoorMovement
from seqlab.data.series_folder import SeriesFolder


def folder(path: Path, people: int = 6, each: int = 2) -> Path:
    """person{p}_{walk|run}_{i}.csv of different lengths, two columns."""
    path.mkdir(exist_ok=True)
    for person in range(people):
        for index in range(each):
            for kind, name in enumerate(("walk", "run")):
                length = 3 + person + index
                lines = ["x,y", *(f"{person},{kind + step + index / 10}" for step in range(length))]
                (path / f"person{person}_{name}_{index}.csv").write_text("\n".join(lines))
    return path


def made(path: Path | None, **options: Any) -> SeriesFolder:
    groups = {"group_pattern": r"person(\d+)"} if options.keys() & {"grouped", "leave_out"} else {}
    data = SeriesFolder(path, **{"label_pattern": "_(walk|run)_", **groups, **options})
    data.setup()
    return data


def people(data: SeriesFolder, split: str) -> set[float]:
    return {float(example.inputs[0, 0]) for example in data.splits[split].examples}  # type: ignore[attr-defined]


def test_class_by_the_name_and_lengths_are_padded(tmp_path: Path) -> None:
    data = made(folder(tmp_path / "f"))
    assert (data.spec.input_size, data.spec.output_size, data.spec.labels, data.spec.targets) == (2, 2, ("run", "walk"), "sequence")
    assert sum(len(data.splits[split]) for split in data.splits) == 24  # type: ignore[arg-type]
    batch = next(iter(data.train_dataloader()))
    assert batch.lengths is not None
    row = int(batch.lengths.argmin())
    assert (batch.inputs[row, batch.lengths[row] :] == 0).all()
    assert all(float(inputs[0, 1] < 0.5) == float(label) for inputs, label in zip(batch.inputs, batch.targets, strict=True))


def test_batches_by_their_steps(tmp_path: Path) -> None:
    data = made(folder(tmp_path / "f"), batch_tokens=20)
    batches = list(data.train_dataloader())
    assert sum(len(batch.inputs) for batch in batches) == len(data.splits["train"])  # type: ignore[arg-type]
    assert all(batch.inputs.shape[0] * batch.inputs.shape[1] <= 20 for batch in batches)
    with pytest.raises(ValueError, match=r"batch_tokens is 0; expected at least 1"):
        made(tmp_path / "f", batch_tokens=0)


def test_a_group_is_never_on_both_sides(tmp_path: Path) -> None:
    data = made(folder(tmp_path / "f"), grouped=True)
    parts = [people(data, split) for split in ("train", "val", "test")]
    assert sum(len(part) for part in parts) == len(set.union(*parts)) == 6
    out = made(tmp_path / "f", leave_out=3)
    assert people(out, "test") == {3.0}
    assert 3.0 not in people(out, "train") | people(out, "val")


def test_folds_hold_every_sequence_once(tmp_path: Path) -> None:
    folder(tmp_path / "f")
    seen: list[tuple[float, ...]] = []
    for fold in range(3):
        test = made(tmp_path / "f", num_folds=3, fold=fold).splits["test"].examples  # type: ignore[attr-defined]
        assert sum(int(example.targets) for example in test) == 4
        seen += [tuple(example.inputs.flatten().tolist()) for example in test]
    assert len(seen) == len(set(seen)) == 24


def test_a_folder_for_each_split(tmp_path: Path) -> None:
    parts = {"train": folder(tmp_path / "a"), "test": folder(tmp_path / "b", people=2)}
    data = made(None, **parts, fractions=(0.5, 0.25, 0.25))
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [16, 8, 8]  # type: ignore[arg-type]
    both = made(None, **parts, val=folder(tmp_path / "c", people=1))
    assert [len(both.splits[split]) for split in ("train", "val", "test")] == [24, 4, 8]  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"the group '0' is in train and in test"):
        made(None, **parts, grouped=True)
    with pytest.raises(ValueError, match=r"would make others"):
        made(None, **parts, num_folds=3)


def test_class_and_group_in_a_table(tmp_path: Path) -> None:
    path = folder(tmp_path / "f")
    rows = [f"{file.stem},{'a' if 'walk' in file.name else 'b'},{file.name[6]}" for file in sorted(path.glob("*.csv"))]
    (tmp_path / "t.csv").write_text("\n".join(["file,class,who", *rows]))
    data = made(path, label_pattern=None, group_pattern=None, table=tmp_path / "t.csv", group_column="who", leave_out="2")
    assert data.spec.labels == ("a", "b")
    assert people(data, "test") == {2.0}
    (tmp_path / "t.csv").write_text("\n".join(["file,class,who", *rows[1:]]))
    with pytest.raises(ValueError, match=r"person0_run_0.csv is not in .*t.csv; expected a row with its class"):
        made(path, label_pattern=None, group_pattern=None, table=tmp_path / "t.csv")
    (path / "t.csv").write_text("\n".join(["file,class,who", *rows]))  # among the sequences, by another name
    assert made(path, label_pattern=None, group_pattern=None, table=path / ".." / "f" / "t.csv").spec.input_size == 2


def test_a_class_that_training_never_sees_names_its_file(tmp_path: Path) -> None:
    path = folder(tmp_path / "f")
    (path / "person9_swim_0.csv").write_text("x,y\n9,1\n")
    with pytest.raises(ValueError, match=r"person9_swim_0.csv: the class 'swim' is in the test split and in none of the .* expected one of run, walk"):
        made(path, label_pattern="_(walk|run|swim)_", leave_out=9)


def test_duplicates_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = folder(tmp_path / "f")
    for person in range(6):
        (path / f"person{person}_run_7.csv").write_text("x,y\n0,0\n")
    made(path)
    assert "examples that are in two splits" in caplog.text


def test_a_missing_value_takes_the_last_one_before_it_and_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = folder(tmp_path / "f")
    for name in ("person0_run_0.csv", "person0_run_1.csv"):
        (path / name).write_text("x,y\n,5\n7,NA\nNA,\n1,2\n")
    data = made(path, columns=["y", "x"])
    assert caplog.text.count("missing values") == 1
    assert "2 of 24 sequences have missing values, the first in" in caplog.text
    assert "person0_run_0.csv, line 2, column 'x'" in caplog.text
    (row,) = data.read_new(path / "person0_run_0.csv")
    assert row is not None
    assert row.inputs.tolist() == [[5, 0], [5, 7], [5, 7], [2, 1]]
    assert "1 of 1 sequences have missing values" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\n1,2\n3\n", r"person0_walk_0.csv, line 3: 1 fields; expected 2"),
        ("x,y\n1,two\n", r"person0_walk_0.csv, line 2: 'two' in column 'y'; expected a finite number"),
        ("x\n1\n", r"person0_walk_0.csv has 1 columns; expected 2, as in .*person0_run_0.csv"),
    ],
)
def test_broken_files(tmp_path: Path, text: str, message: str) -> None:
    path = folder(tmp_path / "f")
    (path / "person0_walk_0.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        made(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_pattern": None}, r"expected exactly one of them"),
        ({"label_pattern": "(jump)"}, r"label_pattern '\(jump\)' finds nothing in 'person0_run_0.csv'"),
        ({"label_pattern": "(walk)|(run)"}, r"label_pattern '\(walk\)\|\(run\)' finds nothing in 'person0_run_0.csv'"),
        ({"label_pattern": "("}, r"is no regular expression"),
        ({"label_pattern": "person"}, r"the 17 training sequences, the first .*csv, are all of the class 'person'; expected 2 classes or more"),
        ({"files": "*.txt"}, r"has no file '\*.txt'"),
        ({"num_folds": 3, "fold": 3}, r"data.fold is 3; expected 0..2"),
        ({"num_folds": 3, "leave_out": 1}, r"expected one of them"),
        ({"fold": 1}, r"data.fold is 1 but data.num_folds is null"),
        ({"group_pattern": r"person(\d+)"}, r"data.group_pattern is .*, but nothing keeps the groups apart; expected data.grouped=true"),
        ({"group_pattern": None, "grouped": True}, r"person0_run_0.csv has no group"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(folder(tmp_path / "f"), **options)


def test_columns_in_another_order_are_no_sequence_of_this_kind(tmp_path: Path) -> None:
    (folder(tmp_path / "f") / "person0_run_1.csv").write_text("y,x\n1,2\n")
    with pytest.raises(ValueError, match=r"person0_run_1\.csv, line 1: the columns are y, x; expected x, y, as in the other files\. Rename them"):
        made(tmp_path / "f")
    assert made(tmp_path / "f", columns=["x", "y"]).spec.input_size == 2  # by name: each finds its own
    data = made(folder(tmp_path / "g"))
    for name, text in data.records().items():
        (tmp_path / name).write_text(text)
    again = SeriesFolder(tmp_path / "g", label_pattern="walk")
    again.restore(tmp_path)
    (tmp_path / "new.csv").write_text("y,x\n1,2\n")
    with pytest.raises(ValueError, match=r"new\.csv, line 1: the columns are y, x; expected x, y"):
        again.read_new(tmp_path / "new.csv")
    (tmp_path / "new.csv").write_text(",y\n1,2\n")  # the index of a table, which is no value
    with pytest.raises(ValueError, match=r"new\.csv, line 1: column 1 has no name, .* data\.columns=\[…\]"):
        again.read_new(tmp_path / "new.csv")
    (tmp_path / "new.csv").write_text("1,2\n3,4\n")  # without a header they are taken as they stand
    assert again.read_new(tmp_path / "new.csv")[0] is not None


def test_new_files_are_answered_by_name(tmp_path: Path) -> None:
    path = folder(tmp_path / "f")
    data = made(path)
    for name, text in data.records().items():
        (tmp_path / name).write_text(text)
    again = SeriesFolder(path, label_pattern="x")
    again.restore(tmp_path)
    rows = again.read_new(folder(tmp_path / "new", people=1, each=1))
    assert [tuple(row.inputs.shape) for row in rows if row is not None] == [(3, 2), (3, 2)]
    again.write_answers(rows, [{"label": "run", "probability": 0.75}, {"label": "walk", "probability": 0.5}], tmp_path / "out.csv")
    with open(tmp_path / "out.csv", newline="") as file:
        assert next(csv.DictReader(file)) == {"file": "person0_run_0.csv", "label": "run", "probability": "0.75"}
    assert len(again.read_new(path / "person1_run_0.csv")) == 1
    again.files = "**/*.csv"
    for name in ("one", "two"):
        folder((tmp_path / "below" / name).parent, 0)
        folder(tmp_path / "below" / name, people=1, each=1)
    again.write_answers(again.read_new(tmp_path / "below"), [{"label": "run"}] * 4, tmp_path / "out.csv")
    assert [line.split(",")[0] for line in (tmp_path / "out.csv").read_text().split("\n")[1:4:2]] == ["one/person0_run_0.csv", "two/person0_run_0.csv"]
    (tmp_path / "wide.csv").write_text("x,y,z\n1,2,3\n")
    with pytest.raises(ValueError, match=r"wide.csv has 3 columns; expected 2, as the run was trained on|wide.csv has 3 columns; expected 2, the run"):
        again.read_new(tmp_path / "wide.csv")


def archive(path: Path) -> Path:
    """An archive of 30 sequences laid out as the published one."""
    (path / "indoor_movement").mkdir(parents=True)
    with zipfile.ZipFile(path / "indoor_movement" / "IndoorMovement.zip", "w") as file:
        file.writestr("dataset/MovementAAL_target.csv", "#sequence_ID, class_label\n" + "\n".join(f"{i},{1 if i % 2 else -1}" for i in range(1, 31)))
        file.writestr("groups/MovementAAL_DatasetGroup.csv", "#sequence_ID, dataset_ID\n" + "\n".join(f"{i},{1 + i % 3}" for i in range(1, 31)))
        for i in range(1, 31):
            file.writestr(f"dataset/MovementAAL_RSS_{i}.csv", "#RSS_anchor1, RSS_anchor2\n" + "\n".join(f"{i},{step}" for step in range(2 + i % 3)))
    return path


def test_indoor_movement_from_an_archive(tmp_path: Path) -> None:
    data = IndoorMovement(archive(tmp_path), num_folds=5)
    data.setup()
    assert data.spec.labels == ("changes room", "stays")
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [22, 2, 6]  # type: ignore[arg-type]
    (tmp_path / "new.csv").write_text("a,b\n0.5,1\n0.25,1\n")
    (row,) = data.read_new(tmp_path / "new.csv")
    assert row is not None
    assert row.inputs.tolist() == [[0.5, 1], [0.25, 1]]
    out = IndoorMovement(tmp_path, leave_out=2)
    out.setup()
    assert {int(example.inputs[0, 0]) % 3 for example in out.splits["test"].examples} == {1}  # type: ignore[attr-defined]
    (tmp_path / "indoor_movement" / "IndoorMovement.zip").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ValueError, match=r"IndoorMovement.zip is not the archive"):
        IndoorMovement(tmp_path).setup()


REAL = Path(os.environ.get("SEQLAB_DATA_DIR") or Path(__file__).parents[3] / "shared" / "data")


@pytest.mark.skipif(
    not (REAL / "indoor_movement").exists(), reason="the archive of indoor movements is not there; name the folder of data sets with SEQLAB_DATA_DIR"
)
def test_the_published_archive() -> None:
    data = IndoorMovement(REAL, num_folds=5)
    data.setup()
    sizes = [len(data.splits[split]) for split in ("train", "val", "test")]  # type: ignore[arg-type]
    lengths = [len(example.inputs) for split in data.splits.values() for example in split.examples]  # type: ignore[attr-defined]
    assert (sum(sizes), sizes[2], min(lengths), max(lengths), data.spec.input_size) == (314, 63, 19, 129, 4)
    assert all(torch.isfinite(example.inputs).all() for example in data.splits["test"].examples)  # type: ignore[attr-defined]
