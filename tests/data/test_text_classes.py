"""Classified texts of one's own, from reading to the answers: folders and tables, and what is wrong with those that cannot be read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from seqlab.data.base import ExampleSplit
from seqlab.data.labelled_text import order_labels
from seqlab.data.table_text import TableText
from seqlab.data.text_classes import TextClasses
from seqlab.data.text_folder import TextFolder
from seqlab.data.vocabulary import UNKNOWN
from tests.data.own_sets import write

ROWS = [(f"the {'blue' if n % 2 else 'red'} boat number {n % 4}", "ja" if n % 2 else "nein", f"author {n % 5}") for n in range(40)]


def ready(data: Any) -> Any:
    data.setup()
    return data


def words(data: TextClasses, split: str) -> list[str]:
    part = data.splits[split]
    assert isinstance(part, ExampleSplit)
    assert data.vocabulary is not None
    return [" ".join(data.vocabulary.symbols[index] for index in example.inputs.tolist()) for example in part.examples]


def folder(place: Path, **classes: str) -> Path:
    for name, text in classes.items():
        write(place / f"{name}.txt", text)
    return place


def table(place: Path) -> Path:
    return write(place, "text,label,who\n" + "".join(",".join(row) + "\n" for row in ROWS))


def test_a_file_is_a_class_and_a_line_a_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = folder(tmp_path / "train", animals="a red fox\n\nA grey owl\n", plants="an old oak\n")
    (train / "plants.txt").rename(train / "plants")
    (train / "stones.txt.gz").write_bytes(gzip.compress(b"a flat stone\r\n"))
    write(train / ".hidden", "x")
    data = ready(TextFolder(train=train, val=train, test=train, lowercase=True))
    assert data.labels == ("animals", "plants", "stones")
    assert words(data, "train") == ["a red fox", "a grey owl", "an old oak", "a flat stone"]
    assert "1 of 5 texts" in caplog.text
    assert "animals.txt, line 2" in caplog.text
    assert "4 of val in train" in caplog.text
    assert data.duplicates == {"val in train": 4, "test in train": 4, "test in val": 4}


def test_chinese_and_japanese_are_read_by_characters(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = folder(tmp_path / "train", 天气="今天下雨。\n明天有雪。\n", 食べ物="ラーメンを食べた。\n寿司が好きだ。\n")
    data = ready(TextFolder(train=place, val=place, test=place, unit="characters"))
    assert data.labels == ("天气", "食べ物")
    assert words(data, "train")[0] == "今 天 下 雨 。"
    assert "data.unit=characters" not in caplog.text
    ready(TextFolder(train=place, val=place, test=place, unit="words"))
    assert "25 % of the words of the training split are runs of 6 or more signs without a space, such as 'ラーメンを食べた'" in caplog.text
    (run := tmp_path / "run").mkdir()
    for name, text in data.records().items():
        write(run / name, text)
    new = TextFolder(train=place, test=place, unit="characters")
    new.restore(run)
    first, blank, other = new.read_new(write(tmp_path / "new.txt", "今天有雪。\n \n鱼\n"))
    assert blank is None
    assert new.vocabulary is not None
    assert new.vocabulary.decode(first.inputs.tolist()) == "今天有雪。"
    assert [new.vocabulary.symbols[index] for index in other.inputs] == [UNKNOWN]
    new.write_answers([first, blank, other], [{"label": "天气", "probability": 0.98765}, None, {"label": "食べ物", "probability": 0.5}], tmp_path / "out.tsv")
    assert (tmp_path / "out.tsv").read_text(encoding="utf-8") == "天气\t0.9877\n\n食べ物\t0.5000\n"


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.csv.gz"])
def test_tables_of_every_kind_are_one(name: str, tmp_path: Path) -> None:
    if ".jsonl" in name:
        text = "".join(json.dumps({"text": text, "label": label, "who": who}) + "\n" for text, label, who in ROWS)
    else:
        mark = "\t" if "tsv" in name else ","
        text = mark.join(("text", "label", "who")) + "\n" + "".join(mark.join(row) + "\n" for row in ROWS)
    place = tmp_path / name
    place.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    data = ready(TableText(path=place, fractions=(0.5, 0.25, 0.25)))
    assert data.sizes == {"train": 20, "val": 10, "test": 10}
    assert sorted(text for split in data.splits for text in words(data, split)) == sorted(row[0] for row in ROWS)


def test_a_group_is_on_one_side(tmp_path: Path) -> None:
    data = TableText(path=table(tmp_path / "t.csv"), fractions=(0.5, 0.25, 0.25), group="who")
    groups = [{item.group for item in items} for items in data.read_splits().values()]
    assert all(groups)
    assert sum(map(len, groups)) == len(set.union(*groups)) == 5
    with pytest.raises(ValueError, match=r"the group 'author 0' is in train and in val, and 4 more"):
        ready(TableText(train=tmp_path / "t.csv", val=tmp_path / "t.csv", test=tmp_path / "t.csv", group="who"))


def test_a_validation_part_is_held_out_of_training(tmp_path: Path) -> None:
    place = table(tmp_path / "t.csv")
    assert ready(TableText(train=place, test=place, fractions=(0.6, 0.2, 0.2))).sizes == {"train": 30, "val": 10, "test": 40}


def test_long_texts_are_cut_and_spelling_keeps_capitals(tmp_path: Path) -> None:
    place = folder(tmp_path / "train", a="The fox ran\nTTT\n", b="an owl flew away home\n")
    data = ready(TextFolder(train=place, val=place, test=place, lowercase=True, spelling=True, max_length=3))
    batch = data.collate([data.splits["train"][0], data.splits["train"][2]])
    assert data.spec.inputs == "words"
    assert batch.inputs.shape == (2, 3, 1 + 4)
    assert data.characters is not None
    assert [data.characters.symbols[index] for index in batch.inputs[0, 0, 1:]] == ["T", "<unk>", "e", "<pad>"], "h comes only once"
    assert data.spec.num_characters == len(data.characters)


def test_answers_are_added_to_the_rows_of_a_table(tmp_path: Path) -> None:
    place = table(tmp_path / "t.csv")
    data = ready(TableText(path=place))
    answers = [{"label": "ja", "probability": 0.75}, None, None]
    new = write(tmp_path / "new.csv", 'id,text\n1,"a, ""red""\nboat"\n\n2, \n')
    rows = data.read_new(new)
    assert [row is None for row in rows] == [False, True, True]
    data.write_answers(rows, answers, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == 'id,text,predicted,probability\n1,"a, ""red""\nboat",ja,0.75\n\n2, ,,\n'
    new = write(tmp_path / "new.jsonl", '{"text": "boot", "id": 7}\n\n{"text": null, "id": [1]}\n')
    data.write_answers(data.read_new(new), answers, tmp_path / "out.jsonl")
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").split("\n")
    assert json.loads(lines[0]) == {"text": "boot", "id": 7, "predicted": "ja", "probability": 0.75}
    assert lines[1] == ""
    assert json.loads(lines[2]) == {"text": None, "id": [1], "predicted": None, "probability": None}
    for taken in (tmp_path / "out.csv", write(tmp_path / "more.jsonl", '{"text": "a"}\n\n{"text": "b", "predicted": 1}\n')):
        rows = data.read_new(taken)
        with pytest.raises(ValueError, match="has a column 'predicted' already"):
            data.write_answers(rows, answers, tmp_path / "again.csv")


def test_an_output_that_is_named_as_another_kind_of_table_is_refused(tmp_path: Path) -> None:
    data = ready(TableText(path=table(tmp_path / "t.csv")))
    rows = data.read_new(write(tmp_path / "new.csv", "text\na boat\n"))
    with pytest.raises(ValueError, match=r"the output is jsonl by its name, but the rows of .*new\.csv are csv and stay so"):
        data.write_answers(rows, [{"label": "ja", "probability": 0.75}], tmp_path / "out.jsonl")
    data.write_answers(rows, [{"label": "ja", "probability": 0.75}], tmp_path / "out.txt")


def test_quotes_may_be_text(tmp_path: Path) -> None:
    place = write(tmp_path / "t.tsv", 'text\tlabel\n"so\ta\nso" he \\said\tb\n')
    with pytest.raises(ValueError, match=r"t\.tsv, line"):
        ready(TableText(train=place, val=place, test=place))
    data = ready(TableText(train=place, val=place, test=place, quotes=False))
    assert words(data, "train") == ['" so', 'so " he \\ said']
    data.write_answers(data.read_new(place), [{"label": "a", "probability": 1.0}, None], tmp_path / "out.tsv")
    assert (tmp_path / "out.tsv").read_text(encoding="utf-8") == 'text\tlabel\tpredicted\tprobability\n"so\ta\ta\t1.0\nso" he \\said\tb\t\t\n'
    with pytest.raises(ValueError, match=r"'a\\tb' holds a separator"):
        data.write_answers(data.read_new(place), [{"label": "a\tb", "probability": 1.0}, None], tmp_path / "out.tsv")


def test_a_class_that_training_does_not_show_is_an_error_or_left_out(tmp_path: Path) -> None:
    train, test = folder(tmp_path / "train", a="one\n", b="two\n"), folder(tmp_path / "test", a="one\n", c="three\nfour\n")
    with pytest.raises(ValueError, match=r"c\.txt, line 1: the label 'c' is in the test split and nowhere in training; expected one of a, b"):
        ready(TextFolder(train=train, val=train, test=test))
    assert ready(TextFolder(train=train, val=train, test=test, unknown_labels="skip")).sizes["test"] == 1


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("text,label\na,b\n", {"text": "body"}, r"has no column 'body'; it has 'text', 'label'. Choose one with data\.text=NAME"),
        ("text,label\na,b\n", {"group": "who"}, r"has no column 'who'.*data\.group=NAME"),
        ("text,label\na,b\nc\n", {}, r"t\.csv, line 3: the row has 1 fields; expected 2"),
        ('text,label\n"a,b\nc,d\n', {}, r"t\.csv, line 2: .*Repair the quotes"),
        ("text,label\na,b\nc, \n", {}, r"t\.csv, line 3: column 'label' is blank beside a text"),
        ("text,text\na,b\n", {}, r"t\.csv, line 1: the column 'text' stands twice"),
        ("text,label\na,b\nc,b\n", {}, r"2 texts from .*t\.csv and the labels \['b'\]; expected 2 labels or more"),
        ("text,label\n", {}, r"t\.csv holds no text, in 0 rows; expected texts with their classes"),
        ("text,label\n \n ,b\n", {}, r"t\.csv holds no text, in 2 rows"),
        ("text,label\na\0,b\n", {}, r"t\.csv, line 2: a zero byte"),
    ],
)
def test_tables_that_cannot_be_read_are_said(content: str, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    place = write(tmp_path / "t.csv", content)
    with pytest.raises(ValueError, match=message):
        ready(TableText(train=place, val=place, test=place, **options))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a", "label": "b"}\n{"text": "a"\n', r"t\.jsonl, line 2: no JSON"),
        ('{"text": "a", "label": "b"}\n[1]\n', r"t\.jsonl, line 2: a JSON list; expected an object"),
        ('{"text": "a", "label": "b"}\n{"text": "a"}\n', r"t\.jsonl, line 2: the object has no 'label'"),
    ],
)
def test_lines_of_json_that_cannot_be_read_are_said(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        ready(TableText(path=write(tmp_path / "t.jsonl", content)))


def test_labels_that_look_like_numbers_have_one_order() -> None:
    """A set has another order in each process, which must not show where two labels are one number."""
    assert order_labels({"10", "2", "02", "1"}) == ("1", "02", "2", "10")
    assert order_labels({"10", "2", "b"}) == ("10", "2", "b")


def test_folders_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    place = folder(tmp_path / "train", a="one\n", b="two\n")
    with pytest.raises(ValueError, match=r"a\.txt is no folder"):
        ready(TextFolder(path=place / "a.txt"))
    write(place / "a", "three\n")
    with pytest.raises(ValueError, match=r"are of one class, 'a'"):
        ready(TextFolder(path=place))
    with pytest.raises(ValueError, match="the data has path and test; expected"):
        TextFolder(path=place, test=place)
    with pytest.raises(ValueError, match="the data has no source"):
        TextFolder()


def test_new_input_of_another_kind_and_records_of_another_run_are_said(tmp_path: Path) -> None:
    place = folder(tmp_path / "train", a="one\n", b="two\n")
    data = ready(TextFolder(train=place, val=place, test=place))
    for name, text in data.records().items():
        write(tmp_path / "run" / name, text)
    with pytest.raises(ValueError, match=r"new\.csv is a table by its name"):
        data.read_new(write(tmp_path / "new.csv", "text\none\n"))
    with pytest.raises(ValueError, match=r"was trained on inputs 'tokens'.* gives 'words'"):
        TextFolder(path=place, spelling=True).restore(tmp_path / "run")
    write(tmp_path / "run" / "vocabulary.json", json.dumps({"unit": "words", "symbols": ["a"], "lowercase": False}))
    with pytest.raises(ValueError, match=r"vocabulary\.json holds 1 symbols; expected 3"):
        TextFolder(path=place).restore(tmp_path / "run")
    (tmp_path / "run" / "vocabulary.json").unlink()
    with pytest.raises(ValueError, match=r"has no vocabulary\.json"):
        TextFolder(path=place).restore(tmp_path / "run")
