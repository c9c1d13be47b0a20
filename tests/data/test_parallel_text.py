"""Pairs are read as they stand, in every kind of file; what is wrong names file and line; a run restores how text is cut."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch

from seqlab.data.multi30k import Multi30k
from seqlab.data.parallel_text import ParallelText, read_pairs

ENGLISH, GERMAN = "a dog runs .\na cat sleeps .\n\ntwo dogs", "ein Hund rennt .\neine Katze schläft .\n\nzwei Hunde"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    with gzip.open(tmp_path / "t.en.gz", "wt", encoding="utf-8") as file:
        file.write(ENGLISH)
    (tmp_path / "t.de").write_text(GERMAN, encoding="utf-8")
    return tmp_path / "t.en.gz", tmp_path / "t.de"


def build(files: tuple[Path, Path], **options) -> ParallelText:
    pair = [str(file) for file in files]
    data = ParallelText(pair, pair, pair, **{"num_merges": 10, **options})
    data.setup()
    return data


def test_two_files_and_a_table_hold_the_same_pairs(files: tuple[Path, Path], tmp_path: Path) -> None:
    expected = [("a dog runs .", "ein Hund rennt ."), ("a cat sleeps .", "eine Katze schläft ."), ("two dogs", "zwei Hunde")]
    assert [pair[:2] for pair in read_pairs([str(file) for file in files])] == expected
    assert [pair.line for pair in read_pairs([str(file) for file in files])] == [1, 2, 4]
    table = tmp_path / "t.tsv"
    table.write_text("".join(f"{left}\t{right}\tmore\n" for left, right in expected), encoding="utf-8")
    assert [pair[:2] for pair in read_pairs(str(table))] == expected


@pytest.mark.parametrize("unit", ["bpe", "words", "characters"])
def test_a_batch_holds_both_sides(files: tuple[Path, Path], unit: str) -> None:
    data = build(files, unit=unit, batch_size=3)
    (batch,) = data.val_dataloader()
    source, target = data.sides
    assert [source.decode(row) for row in batch.inputs.tolist()] == ["a dog runs .", "a cat sleeps .", "two dogs"]
    assert [target.decode(row) for row in batch.targets.tolist()] == ["ein Hund rennt .", "eine Katze schläft .", "zwei Hunde"]
    assert batch.lengths.tolist() == [(row != 0).sum() for row in batch.inputs]
    assert all(row[row != 0][-1] == 2 for row in batch.targets)
    assert data.spec.output_size == len(data.spec.labels) > batch.targets.max()


def test_a_run_reads_new_text_and_writes_line_for_line(files: tuple[Path, Path], tmp_path: Path) -> None:
    data = build(files)
    for name, text in data.records().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    fresh = ParallelText("no", "no", "no")
    fresh.restore(tmp_path)
    assert fresh.spec == data.spec
    new = tmp_path / "new.txt"
    new.write_text("two cats\n\na ☃\n", encoding="utf-8")
    rows = fresh.read_new(new)
    assert rows[1] is None
    assert torch.equal(rows[0].inputs, data.sides[0].encode("two cats"))
    assert 3 in rows[2].inputs.tolist()  # unknown
    fresh.write_answers(rows, [{"symbols": ["▁zwei", "▁Kat", "zen"]}, None, {"symbols": []}], tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == "zwei Katzen\n\n\n"


def test_what_a_run_has_learned_is_kept_when_it_is_set_up_again(files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = build(files)
    for name, text in data.records().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    other = tmp_path / "other.tsv"
    other.write_text("zz yy\tqq ww\n", encoding="utf-8")
    pair = [str(file) for file in files]
    again = ParallelText(str(other), pair, pair, num_merges=10)
    again.restore(tmp_path)
    monkeypatch.setattr("seqlab.data.pieces.learn_merges", None)  # learned once, by the run
    again.setup()
    assert again.spec == data.spec
    assert again.records() == data.records()
    assert torch.equal(again.splits["test"][0].inputs, data.splits["test"][0].inputs)
    assert again.splits["train"][0].inputs.eq(3).any()


def test_long_training_pairs_are_left_out_and_counted(files: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", logger="seqlab"):
        data = build(files, unit="words", max_length=3)
    assert (len(data.splits["train"]), len(data.splits["test"])) == (1, 3)
    assert "2 of 3 training pairs are longer than data.max_length=3" in caplog.text


def test_pairs_that_are_in_two_splits_are_counted(files: tuple[Path, Path], tmp_path: Path) -> None:
    assert build(files).duplicates == {"val in train": 3, "test in train": 3, "test in val": 3}
    (tmp_path / "other.tsv").write_text("two dogs\tzwei Katzen\n")
    pair = [str(file) for file in files]
    data = ParallelText(pair, str(tmp_path / "other.tsv"), str(tmp_path / "other.tsv"), num_merges=10)
    data.setup()
    assert data.duplicates == {"test in val": 1}  # another translation is another pair


def test_long_sources_are_answered_and_said(files: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = build(files, unit="words")
    new = tmp_path / "new.txt"
    new.write_text("a dog\n\na dog runs and runs\n", encoding="utf-8")
    with caplog.at_level("WARNING", logger="seqlab"):
        rows = data.read_new(new)
    assert sum(row is not None for row in rows) == 2
    assert f"1 of 3 sources are longer than any in training, which went up to 4 symbols; the first is {new}, line 3 with 5 symbols." in caplog.text


def test_symbols_that_the_model_cannot_read_are_said(files: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = build(files, unit="words")
    new = tmp_path / "new.txt"
    new.write_bytes("a dog\r\n\r\na fox\t runs\r\na cat ☃ 犬\r\n".encode())
    with caplog.at_level("WARNING", logger="seqlab"):
        rows = data.read_new(new)
    assert [None if row is None else data.sides[0].decode(row.inputs.tolist()) for row in rows] == ["a dog", None, "a <unk> runs", "a cat <unk> <unk>"]
    for name in ("new.jsonl", "new.csv.gz"):
        with pytest.raises(ValueError, match=rf"{name} is a table by its name; expected a source on each line"):
            data.read_new(tmp_path / name)
    table = tmp_path / "new.tsv"
    table.write_text("a dog\tein Hund\n\tohne\na cat\n", encoding="utf-8")
    assert [None if row is None else data.sides[0].decode(row.inputs.tolist()) for row in data.read_new(table)] == ["a dog", None, "a cat"]
    assert "new.txt: 2 of 4 sources hold symbols that training does not show, read as unknown; the first is line 3 with 'fox'." in caplog.text


def test_unknown_targets_are_marked_and_named_or_an_error(files: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pair, test = [str(file) for file in files], tmp_path / "test.tsv"
    test.write_text("a dog\tein Hund\n\na dog\tein Fuchs\n", encoding="utf-8")
    options = {"unit": "words", "min_count": 1}
    with caplog.at_level("WARNING", logger="seqlab"):
        data = ParallelText(pair, pair, str(test), **options)
        data.setup()
    assert "1 of 2 targets of test hold symbols that the model cannot write" in caplog.text
    assert "test.tsv, line 3: the target has '▁Fuchs'" in caplog.text
    assert data.references("test") == ["ein Hund", "ein Fuchs"]
    with pytest.raises(ValueError, match=r"test\.tsv, line 3: the target has '▁Fuchs'.*unknown_targets=mark"):
        ParallelText(pair, pair, str(test), unknown_targets="error", **options).setup()
    with pytest.raises(ValueError, match="no way with unknown targets is named 'eror'"):
        ParallelText(pair, pair, pair, unknown_targets="eror")


def test_multi30k_is_two_languages_and_a_test(tmp_path: Path) -> None:
    for name in ("train", "val", "test_2016_flickr", "test_2017_flickr"):
        for language, text in (("en", "a dog"), ("de", "ein Hund"), ("fr", "un chien")):
            (tmp_path / "multi30k").mkdir(exist_ok=True)
            with gzip.open(tmp_path / "multi30k" / f"{name}.{language}.gz", "wt", encoding="utf-8") as file:
                file.write(f"{text}\n{text} {name}\n")
    data = Multi30k(tmp_path, "fr", "en", test="2017", unit="words")
    data.prepare_data()
    data.setup()
    assert data.references("test") == ["a dog", "a dog test_2017_flickr"]
    assert data.sides[0].decode(data.splits["val"][0].inputs.tolist()) == "un chien"
    for arguments, message in ((("xx",), "no language of multi30k"), (("de", "de"), "expected two languages"), (("de", "en", "2015"), "no test of multi30k")):
        with pytest.raises(ValueError, match=message):
            Multi30k(tmp_path, *arguments)


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ("a\nb\nc", "x\ny", r"has 3 lines and .*right.txt has 2.*line 3 of .*left.txt"),
        ("a\nb", "x\n ", r"right\.txt, line 2: the target is blank"),
        ("\nb", "x\ny", r"left\.txt, line 1: the source is blank"),
        ("a\n▁ ▁", "x\ny", r"left\.txt, line 2: the source is blank"),
        ("a\tx\nb y", None, r"left\.txt, line 2 has no tab: 'b y'"),
        ("a\t\n", None, r"left\.txt, line 1: the target is blank"),
    ],
)
def test_what_is_wrong_names_file_and_line(tmp_path: Path, left: str, right: str | None, message: str) -> None:
    files = [tmp_path / "left.txt", tmp_path / "right.txt"]
    files[0].write_text(left)
    if right is not None:
        files[1].write_text(right)
    with pytest.raises(ValueError, match=message):
        read_pairs(str(files[0]) if right is None else [str(file) for file in files])
