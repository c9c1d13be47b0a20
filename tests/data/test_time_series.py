"""Windows of a table: what is read, what is forecast, what is measured on the training part alone, and new input."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from seqlab.data.time_series import TimeSeries


def table(path: Path, rows: int = 40, missing: tuple[int, ...] = (), dates: bool = True) -> Path:
    """Series a = row, b = 1000 + 2 row, by the hour."""
    lines = ["date,a,b" if dates else "a,b"]
    for row in range(rows):
        a = "" if row in missing else str(row)
        lines.append((f"2020-01-{1 + row // 24:02d} {row % 24:02d}:00," if dates else "") + f"{a},{1000 + 2 * row}")
    path.write_text("\n".join(lines))
    return path


def data(path: Path | None, **options: Any) -> TimeSeries:
    options = {"window": 4, "horizon": 2, "lengths": [20, 10, 10], "batch_size": 3, **options}
    made = TimeSeries(path, **options)
    made.setup()
    return made


def test_windows_and_what_follows_them(tmp_path: Path) -> None:
    made = data(table(tmp_path / "t.csv"), scale=False)
    assert (made.spec.input_size, made.spec.output_size, made.spec.horizon, made.spec.targets) == (2, 2, 2, "horizon")
    for split, first, number in (("train", 4, 15), ("val", 20, 9), ("test", 30, 9)):
        windows = made.splits[split]
        assert len(windows) == number, split  # type: ignore[arg-type]
        one = windows[0]
        assert one.inputs[:, 0].tolist() == [first - 4, first - 3, first - 2, first - 1]
        assert one.targets.tolist() == [[first, 1000 + 2 * first], [first + 1, 1002 + 2 * first]]
    last = made.splits["test"][8]
    assert last.targets[-1, 0] == 39
    batch = next(iter(made.val_dataloader()))
    assert torch.equal(batch.inputs[1], made.splits["val"][1].inputs)
    assert len(data(table(tmp_path / "t.csv"), stride=4).splits["train"]) == 4  # type: ignore[arg-type]


def test_each_alone_is_a_row_for_each_series(tmp_path: Path) -> None:
    made = data(table(tmp_path / "t.csv"), scale=False, each_alone=True)
    batch = next(iter(made.val_dataloader()))
    assert batch.inputs.shape == (6, 4, 1)
    assert (made.spec.input_size, made.spec.output_size) == (1, 1)
    assert batch.inputs[:, 0, 0].tolist() == [16, 1032, 17, 1034, 18, 1036]
    assert batch.targets[1].tolist() == [[1040], [1042]]
    with_covariate = data(table(tmp_path / "t.csv"), scale=False, each_alone=True, targets=["a"])
    assert next(iter(with_covariate.val_dataloader())).inputs[0, 0].tolist() == [16, 1032]


def test_the_scale_is_that_of_the_training_part(tmp_path: Path) -> None:
    made = data(table(tmp_path / "t.csv"))
    training = torch.arange(20.0)
    one = made.splits["train"][0]
    torch.testing.assert_close(one.inputs[:, 0], ((training - training.mean()) / training.std(correction=0))[:4])
    kept = json.loads(made.records()["series.json"])
    assert kept["offset"] == pytest.approx([9.5, 1019.0])
    assert kept["series"] == ["a", "b"]


def test_missing_values_are_said_and_never_taken_from_the_future(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = table(tmp_path / "t.csv", missing=(0, 5, 6))
    with caplog.at_level(logging.WARNING):
        made = data(path, scale=False, missing="flag")
    assert "t.csv, line 2: 3 of 80 values are missing, the first in column 'a'" in caplog.text
    assert made.splits["train"][0].inputs[:, 0].tolist() == [0, 1, 2, 3]
    later = made.splits["train"][3]  # rows 3 to 6
    assert later.inputs[:, 0].tolist() == [3, 4, 4, 4]
    assert later.inputs[:, 2].tolist() == [0, 0, 1, 1]
    assert made.splits["train"][1].targets.isnan().tolist() == [[True, False], [True, False]]
    for alone in (False, True):
        batch = data(path, scale=False, each_alone=alone).splits["train"].__getitems__([3])  # type: ignore[attr-defined]
        assert batch.missing[0, :, 0].tolist() == [False, False, True, True]
        assert batch.missing.shape == ((2, 4, 1) if alone else (1, 4, 2))
    with pytest.raises(ValueError, match=r"line 2: 3 of 80 values are missing.*data.missing=carry"):
        data(path, missing="error")


def test_gaps_in_the_dates_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = table(tmp_path / "t.csv")
    lines = path.read_text().split("\n")
    path.write_text("\n".join(lines[:8] + lines[9:]))
    with caplog.at_level(logging.WARNING):
        data(path, lengths=[20, 10, 9])
    assert "t.csv, line 9: the date is 2:00:00 after the one before; 1 of 39 rows" in caplog.text

    with pytest.raises(
        ValueError, match=r"t\.csv, line 9: the date is 2:00:00 after the one before; 1 of 39 rows .*; expected no gap with data\.missing=error"
    ):
        data(path, lengths=[20, 10, 9], missing="error")
    months = [f"{2010 + month // 12}-{1 + month % 12:02d}-01,{month},{2 * month}" for month in range(40)]
    path.write_text("\n".join(["date,a,b", *months]))
    caplog.clear()
    assert data(path, missing="error").scale is not None  # months are equally far apart, though of 28 to 31 days
    assert not caplog.text


def test_a_table_for_each_split(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train, val, test = (table(tmp_path / f"{name}.csv", rows) for name, rows in (("train", 25), ("val", 9), ("test", 12)))
    given: dict[str, Any] = {"lengths": None, "scale": False, "train": train, "test": test}
    made = data(None, **given, val=val)
    assert {split: len(windows) for split, windows in made.splits.items()} == {"train": 20, "val": 4, "test": 7}  # type: ignore[arg-type]
    assert made.splits["test"][0].inputs[:, 0].tolist() == [0, 1, 2, 3]  # no window reaches into another file
    assert made.duplicates == {"val in train": 4, "test in train": 7, "test in val": 4}
    assert "4 of val in train" in caplog.text
    held = data(None, **given, fractions=(0.6, 0.2, 0.2))
    assert held.training_series is not None
    assert len(held.training_series) == 19  # the end of the training table is the validation
    assert held.splits["val"][0].targets[0].tolist() == [19, 1038]
    swapped = tmp_path / "test.csv"
    swapped.write_text("b,a\n" + "\n".join(f"{1000 + row},{row}" for row in range(8)))
    assert data(None, **given).splits["test"][0].inputs[0].tolist() == [0, 1000]  # columns go by the names of the training table
    swapped.write_text("b,c\n" + "\n".join(f"{1000 + row},{row}" for row in range(8)))
    with pytest.raises(ValueError, match=r"test\.csv has no column 'a', but b, c; expected the columns the run was trained on"):
        data(None, **given)
    table(swapped, 5)
    with pytest.raises(ValueError, match=r"the test split of .*test\.csv has 5 rows; expected at least 2 for the horizon and 4 for the window"):
        data(None, **given)
    for wrong, message in (
        ({"path": train}, "the data has path and train and test; expected"),
        ({"train": None}, "the data has test; expected"),
        ({"lengths": [20, 2, 3]}, r"data\.lengths are \[20, 2, 3\] beside data\.train"),
    ):
        with pytest.raises(ValueError, match=message):
            data(**{"path": None, **given, **wrong})


def test_windows_that_are_in_two_splits_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a\n" + "\n".join(str(row % 4) for row in range(40)))  # comes back every four rows
    assert data(path).duplicates == {"val in train": 9, "test in train": 9, "test in val": 9}
    assert data(table(path)).duplicates == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lengths": [20, 10, 11]}, r"data.lengths are \[20, 10, 11\]; expected .* 40 at most together"),
        ({"window": 19}, r"the train split of .* has 20 rows; expected at least 2 for the horizon and 19 for the window"),
        ({"targets": ["c"]}, r"no column is named 'c'"),
        ({"targets": ["a"], "covariates": ["a"]}, r"column 'a' is used twice"),
        ({"horizon": 0}, r"data.horizon is 0; expected at least 1"),
        ({"missing": "drop"}, r"no treatment of missing values is named 'drop'"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data(table(tmp_path / "t.csv"), **options)


def test_an_index_without_a_name_is_no_series_unless_it_is_chosen(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(",a\n" + "\n".join(f"{row},{row % 7}" for row in range(40)))
    for options in ({}, {"targets": ["a"]}):
        with pytest.raises(ValueError, match=r"t.csv, line 1: column 1 has no name, .* data.targets=\[…\] and data.covariates=\[…\]"):
            data(path, **options)
    assert data(path, targets=["a"], covariates=[]).spec.input_size == 1
    assert data(path, targets=[1], covariates=["a"]).spec.input_size == 2


def test_columns_that_teach_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "\n".join(f"{row},5" for row in range(40)))
    with pytest.raises(ValueError, match=r"column 'b' never changes from 5.0 in the training part, its first 20 rows"):
        data(path)
    assert data(path, targets=["a"]).spec.input_size == 2


@pytest.mark.parametrize("alone", [False, True])
def test_new_rows_go_in_and_the_next_dates_come_out(tmp_path: Path, alone: bool) -> None:
    made = data(table(tmp_path / "t.csv"), each_alone=alone)
    for name, text in made.records().items():
        (tmp_path / name).write_text(text)
    again = TimeSeries(None, window=4, horizon=2, each_alone=alone)
    again.restore(tmp_path)
    assert again.spec == made.spec
    new = table(tmp_path / "new.csv", rows=30)
    rows = again.read_new(new)
    assert len(rows) == (2 if alone else 1)
    first = rows[0]
    assert first is not None
    deviation = torch.arange(20.0).std(correction=0)
    torch.testing.assert_close(first.inputs[:, 0], (torch.arange(26.0, 30.0) - 9.5) / deviation)
    one = {"forecast": [[0.0], [1.0]], "lower": [[-1.0], [0.0]], "upper": [[1.0], [2.0]]}
    both = {part: [[*step, *step] for step in values] for part, values in one.items()}
    again.write_answers(rows, [one, one] if alone else [both], tmp_path / "out.csv")
    with open(tmp_path / "out.csv", newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["date"] for row in written] == ["2020-01-02 06:00:00", "2020-01-02 07:00:00"]
    assert float(written[0]["a"]) == pytest.approx(9.5)
    assert float(written[1]["a upper"]) == pytest.approx(9.5 + 2 * float(deviation), rel=1e-5)
    assert float(written[0]["b lower"]) == pytest.approx(1019 - 2 * float(deviation), rel=1e-5)
    (tmp_path / "when.csv").write_text(new.read_text().replace("date,", "when,"))
    again.date = "when"
    again.write_answers(again.read_new(tmp_path / "when.csv"), [one, one] if alone else [both], tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().split("\n")[1].startswith("2020-01-02 06:00:00,")
    with pytest.raises(ValueError, match=r"new\.csv: no column is named 'when'"):
        again.read_new(new)
    again.date = None
    again.read_new(table(tmp_path / "new.csv", rows=30, dates=False))
    again.write_answers(rows, [one, one] if alone else [both], tmp_path / "out.csv")
    assert [line.split(",")[0] for line in (tmp_path / "out.csv").read_text().split("\n")[:3]] == ["step", "1", "2"]
    assert again.draw_answers(rows, [one, one] if alone else [both], tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_size > 1000


def test_new_input_of_another_kind(tmp_path: Path) -> None:
    made = data(table(tmp_path / "t.csv"))
    other = tmp_path / "other.csv"
    other.write_text("x,y\n1,2\n")
    with pytest.raises(ValueError, match=r"other.csv has no column 'a', but x, y; expected the columns the run was trained on"):
        made.read_new(other)
    with pytest.raises(ValueError, match=r"short.csv has 3 rows; expected at least 4"):
        made.read_new(table(tmp_path / "short.csv", rows=3))
    with pytest.raises(ValueError, match=r"has no series.json"):
        made.restore(tmp_path)
    (tmp_path / "series.json").write_text('{"date": null}')
    with pytest.raises(ValueError, match=r"series\.json cannot be read .*Train it again"):
        made.restore(tmp_path)
