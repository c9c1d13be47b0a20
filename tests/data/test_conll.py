"""Tagged sentences of one's own, from reading to the answers, and what is wrong with those that cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seqlab.data.base import ExampleSplit
from seqlab.data.conll import Conll
from seqlab.pictures.tags import place_words
from tests.data.own_sets import UD, write


def ready(file: Path, **options: Any) -> Conll:
    data = Conll(train=file, val=file, test=file, **options)
    data.setup()
    return data


def tags(data: Conll, split: str = "train") -> list[list[str]]:
    part = data.splits[split]
    assert isinstance(part, ExampleSplit)
    return [[data.labels[index] for index in example.targets] for example in part.examples]


def test_columns_are_chosen_and_sentences_end_at_white_space(tmp_path: Path) -> None:
    file = write(tmp_path / "a.txt", "\n-DOCSTART- X\n\nN|x y|N\n \t\nV|go|V\n\n\n")
    data = ready(file, separator="|", token_column=1, tag_column=-1, lowercase=True)
    assert tags(data) == [["N"], ["V"]]
    assert data.vocabulary is not None
    assert {"x y", "go"} < set(data.vocabulary.symbols)


def test_iob1_becomes_bio(tmp_path: Path) -> None:
    file = write(tmp_path / "a.txt", "a I-X\nb I-X\nc B-X\nd I-Y\ne O\nf I-Y\n\ng I-Y\n")
    assert tags(ready(file, scheme="iob1")) == [["B-X", "I-X", "B-X", "B-Y", "O", "B-Y"], ["B-Y"]]
    assert tags(ready(file, scheme="none"))[0][0] == "I-X"
    with pytest.raises(ValueError, match=r"a\.txt, line 1: the tag 'I-X' at the start of a sentence is not legal bio.*data\.scheme=iob1"):
        ready(file)
    bio = write(tmp_path / "b.txt", "a B-X\nb O\n")
    with pytest.raises(ValueError, match=r"b\.txt, line 1: the tag 'B-X' at the start of a sentence is not legal iob1.*data\.scheme=bio"):
        ready(bio, scheme="iob1")


def test_chinese_characters_are_tokens(tmp_path: Path) -> None:
    data = ready(write(tmp_path / "a.txt", "王 B-人\n明 I-人\n住 O\n京 B-地\n"))
    assert tags(data) == [["B-人", "I-人", "O", "B-地"]]
    assert data.vocabulary is not None
    assert "王" in data.vocabulary.symbols


@pytest.mark.parametrize("separator", [None, "space"])
def test_a_wide_space_is_a_token(tmp_path: Path, separator: str | None) -> None:
    data = ready(write(tmp_path / "a.txt", "\u3000 X\n10\u00a0000 Y\n\n\u3000 X\n"), separator=separator, min_count=1)
    assert data.vocabulary is not None
    assert data.vocabulary.symbols[1:] == ("\u3000", "10\u00a0000")
    assert [row.inputs.tolist() for row in data.read_new(write(tmp_path / "new.txt", "\u3000\n10\u00a0000\n \t\n\u3000\n")) if row] == [[1, 2], [1]]


def test_files_of_one_group_are_on_one_side(tmp_path: Path) -> None:
    for name in ("anna_1", "anna_2", "ben_1", "carl_1", "carl_2"):
        write(tmp_path / "all" / f"{name}.txt", "a X\nb Y\n\n" * 3)
    data = Conll(path=tmp_path / "all", group="^[a-z]+", fractions=(0.4, 0.2, 0.4))
    groups = [{item.group for item in items} for items in data.read_splits().values()]
    assert sorted(map(len, groups)) == [1, 1, 1]
    assert set.union(*groups) == {"anna", "ben", "carl"}


def test_long_sentences_are_left_out_of_training_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write(tmp_path / "a.txt", "a X\nb Y\n\na X\nb Y\na X\n")
    assert ready(file, max_length=2).sizes == {"train": 1, "val": 2, "test": 2}
    assert "1 of 2 training sentences" in caplog.text


def test_tags_are_drawn_over_the_text(tmp_path: Path) -> None:
    data = ready(write(tmp_path / "a.txt", "a B-X\n$5$ I-X\n_ O\n\na O\n"))
    rows = data.read_new(tmp_path / "a.txt")
    assert data.draw_answers(rows, [{"tags": ["B-X", "I-X", "O"]}, {"tags": ["O"]}], tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_words_are_placed_side_by_side_in_lines() -> None:
    long = "w" * 40
    placed = list(place_words([([long, "山田", long, "b"], ["O", "B-X", "O", "O"]), (["c"], ["TAG"])]))
    assert [(line, left) for line, left, _, _ in placed] == [(0, 0), (0, 41), (0, 46), (0, 87), (1, 0)]
    assert [line for line, *_ in place_words([([long] * 3, ["O"] * 3)])] == [0, 0, 1]


def test_answers_are_a_further_column(tmp_path: Path) -> None:
    data = ready(write(tmp_path / "a.txt", "a X\nb Y\n"))
    for name, text in data.records().items():
        write(tmp_path / "run" / name, text)
    new = Conll(train="nowhere", test="nowhere")
    new.restore(tmp_path / "run")
    rows = new.read_new(write(tmp_path / "new.txt", "b\nzzz\n\t\n\na\n"))
    assert [row.inputs.tolist() for row in rows if row] == [[2, 0], [1]]
    new.write_answers(rows, [{"tags": ["Y", "X"]}, {"tags": ["X"]}], tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == "b Y\nzzz X\n\t\n\na X\n"
    data = ready(write(tmp_path / "a.conllu", UD), conllu=True, separator="tab", token_column=1, tag_column=3)
    rows = data.read_new(tmp_path / "a.conllu")
    data.write_answers(rows, [{"tags": list("1234")}, {"tags": list("56")}], tmp_path / "out.conllu")
    before, after = UD.split("\n"), (tmp_path / "out.conllu").read_text(encoding="utf-8").split("\n")
    marks = iter("1234")
    expected = [line + ("\t_" if line[:3] in ("1-2", "3.1") else f"\t{next(marks)}" if line[:1].isdigit() else "") for line in before[:8]]
    assert after[:8] == expected
    assert after[9:] == [before[9], f"{before[10]}\t5", f"{before[11]}\t6", "", ""]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("a X\nb\n", {}, r"a\.txt, line 2: 1 columns, 'b'; expected 2, as in line 1"),
        ("a X\nb Y\n", {"tag_column": 2}, r"a\.txt, line 1: 2 columns, 'a X'; expected the tag in column 2.*data\.tag_column or data\.separator"),
        ("\na\nb\n", {}, r"a\.txt, line 2: 1 columns, 'a'; expected token and tag in columns of their own"),
        ("a O\nb B-X\nc BX\n", {}, r"a\.txt, line 3: 'BX' is no tag of a span"),
        ("a\tX\nb\t\n", {"separator": "tab"}, r"a\.txt, line 2: the tag in column -1 is blank"),
        ("a O\nb B-X\nc I-Y\n", {}, r"a\.txt, line 3: the tag 'I-Y' after 'B-X' is not legal bio"),
        ("a O\nb S-X\n", {"scheme": "bio"}, r"a\.txt, line 2: 'S-X' is no tag of a span.*data\.scheme=none"),
        ("a X\nb Y\n", {"scheme": "bios"}, "Did you mean 'bio'"),
        ("a X\nb Y\n", {"separator": ""}, "separator is an empty string"),
    ],
)
def test_what_cannot_be_read_is_said(content: str, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        ready(write(tmp_path / "a.txt", content), **options)


def test_a_tag_that_training_does_not_show_names_its_own_line(tmp_path: Path) -> None:
    train, test = write(tmp_path / "a.txt", "a X\nb Y\n"), write(tmp_path / "b.txt", "a X\n\nb Y\nc Z\n")
    with pytest.raises(ValueError, match=r"b\.txt, line 4: the label 'Z' is in the test split"):
        Conll(train=train, val=train, test=test).setup()


def test_a_table_is_no_new_input(tmp_path: Path) -> None:
    data = ready(write(tmp_path / "a.txt", "a X\nb Y\n"))
    with pytest.raises(ValueError, match="is a table of texts by its name"):
        data.read_new(write(tmp_path / "new.csv", "text\na\n"))
    with pytest.raises(ValueError, match=r"new.txt, line 2: 4 columns, 'of three ships sail'; expected 3, as in line 1"):
        data.read_new(write(tmp_path / "new.txt", "the first line\nof three ships sail\n"))
