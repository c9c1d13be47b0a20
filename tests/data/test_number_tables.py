"""Tables of numbers as users have them, and what is said of those that are wrong."""

from __future__ import annotations

import gzip
import math
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from seqlab.data.dates import Step, read_dates, usual_step
from seqlab.data.number_tables import read_table


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,b\n1,2\n\n3,4\n", ["a", "b"]),
        ("1,2\n3,4\n", ["1", "2"]),
        ("a\tb\n1\t2\n3\t4", ["a", "b"]),
        ("  1   2\n3 4\n", ["1", "2"]),
        ("a;b\n1;2\n3;4\n", ["a", "b"]),
        ("1_1,1_2\n1,2\n3,4\n", ["1_1", "1_2"]),
    ],
)
def test_header_and_separator_are_seen(tmp_path: Path, text: str, names: list[str]) -> None:
    table = read_table(write(tmp_path / "t.csv", text))
    assert table.names == names
    assert table.numbers([0, 1]) == [[1, 2], [3, 4]]


def test_columns_are_chosen_by_name_or_number_one_or_several(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.csv", "load,b\n1,2\n"))
    assert [table.columns(chosen) for chosen in ("load", 2, ["b", 1], [])] == [[0], [1], [1, 0], []]
    with pytest.raises(ValueError, match=r"t.csv: the column 'load' is chosen twice"):
        table.columns(["load", 1])


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.csv", "a\n\n1\n\n\nx\n"))
    with pytest.raises(ValueError, match=r"t.csv, line 6: 'x' in column 'a'; expected a finite number"):
        table.numbers([0])
    with pytest.raises(
        ValueError, match=r"years.csv, line 1: 'country' in column '1'; .* If it names the columns, say data\.header=true; if .*, data\.date=NUMBER"
    ):
        read_table(write(tmp_path / "years.csv", "country,1990\n49,1\n")).numbers([0])


@pytest.mark.parametrize("field", ["", "NA", "nan", "null", "?", "-"])
def test_what_stands_for_a_missing_value(tmp_path: Path, field: str) -> None:
    table = read_table(write(tmp_path / "t.csv", f"a,b\n1,2\n{field},3\n"))
    assert math.isnan(table.numbers([0])[1][0])


def test_other_encodings_and_gzip(tmp_path: Path) -> None:
    assert read_table(write(tmp_path / "t.csv", "größe,b\n1,2\n", "latin-1"), "latin-1").names == ["größe", "b"]
    with gzip.open(tmp_path / "t.csv.gz", "wt") as file:
        file.write("a,b\n1,2\n")
    assert read_table(tmp_path / "t.csv.gz").numbers([1]) == [[2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", r"t.csv, line 3: 1 fields; expected 2, as in line 1"),
        ("a,b\n", r"t.csv has a header and no row"),
        ("a,a\n1,2\n", r"line 1: the column 'a' stands twice"),
    ],
)
def test_broken_tables(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_table(write(tmp_path / "t.csv", text))


def test_dates(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.csv", "d,x\n01.02.2020 10:00,1\n01.02.2020 11:00,2\n01.02.2020 13:00,3\n01.02.2020 14:00,3\n"))
    dates = read_dates(table, 0, "%d.%m.%Y %H:%M")
    assert dates[2] == datetime(2020, 2, 1, 13)
    assert usual_step(dates) == Step(timedelta(hours=1))
    with pytest.raises(ValueError, match=r"line 2: '01.02.2020 10:00' in column 'd'; expected an ISO date"):
        read_dates(table, 0)
    back = read_table(write(tmp_path / "b.csv", "d,x\n2020-01-02,1\n2020-01-02,2\n"))
    with pytest.raises(ValueError, match=r"line 3: the date 2020-01-02 is not after 2020-01-02"):
        read_dates(back, 0)
    zones = read_table(write(tmp_path / "z.csv", "d,x\n2020-01-01 00:00+01:00,1\n2020-01-01 02:00,2\n"))
    for rising in (True, False):
        with pytest.raises(ValueError, match=r"line 3: the date 2020-01-01 02:00 has no time zone, unlike 2020-01-01 00:00\+01:00, the first one"):
            read_dates(zones, 0, rising=rising)


@pytest.mark.parametrize(
    ("given", "step", "said", "later"),
    [
        (["2020-11-01", "2020-12-01", "2021-01-01"], Step(months=1), "a month", "2021-03-01"),
        (["2019-12-31", "2020-01-31", "2020-02-29", "2020-03-31"], Step(months=1, month_ends=True), "a month", "2020-05-31"),
        (["2020-03-15", "2020-06-15", "2020-09-15"], Step(months=3), "3 months", "2021-03-15"),
        (["2020-02-29", "2021-02-28", "2022-02-28"], Step(months=12, month_ends=True), "12 months", "2024-02-29"),
        (["2020-01-01", "2020-01-08", "2020-01-15"], Step(timedelta(weeks=1)), "7 days, 0:00:00", "2020-01-29"),
    ],
)
def test_months_are_steps_of_their_own(given: list[str], step: Step, said: str, later: str) -> None:
    dates = [datetime.fromisoformat(date) for date in given]
    assert usual_step(dates) == step
    assert str(step) == said
    assert [step.after(date) for date in dates[:-1]] == dates[1:]
    assert step.after(dates[-1], 2) == datetime.fromisoformat(later)
