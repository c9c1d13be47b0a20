"""Text and sentences as data modules: splits, vocabulary, what a batch holds, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seqlab.data.sentences import Sentences, split_sentences
from seqlab.data.streams import TokenStreams
from seqlab.data.text import Text
from seqlab.data.vocabulary import END, START, UNKNOWN, Vocabulary

FIXTURES = Path(__file__).parent.parent / "fixtures" / "text"
HARBOUR, COMMENTS = FIXTURES / "harbour.txt", FIXTURES / "comments.csv"


def text(**options: Any) -> Text:
    data = Text(**{"path": HARBOUR, "fractions": (0.8, 0.1, 0.1), "batch_size": 4, "chunk_length": 16, **options})
    data.setup()
    return data


def sentences(**options: Any) -> Sentences:
    data = Sentences(**{"path": HARBOUR, "unit": "words", "fractions": (0.6, 0.2, 0.2), "batch_size": 4, **options})
    data.setup()
    return data


def written(data: Text | Sentences) -> dict[str, str]:
    """The symbols of each split, END shown."""
    assert data.vocabulary is not None
    found = {}
    for name, split in data.splits.items():
        assert isinstance(split, TokenStreams)
        found[name] = "".join(data.vocabulary.symbols[index] for index in split.tokens[:-1])
    return found


def test_a_plain_file_is_cut_in_order() -> None:
    content = HARBOUR.read_text(encoding="utf-8")
    parts = written(text())
    assert parts["train"] + parts["val"] + parts["test"] == content
    assert len(parts["train"]) == round(0.8 * len(content))


def test_documents_are_framed_and_stay_on_one_side() -> None:
    parts = written(text(column="body", path=COMMENTS, fractions=(0.6, 0.2, 0.2)))
    documents = [document.removeprefix(START) for part in parts.values() for document in part.split(END) if document]
    assert len(documents) == 9
    assert "One more, so that every split has something to read." in documents
    assert all(part.startswith(START) and part.endswith(END) for part in parts.values())


def test_the_default_text_needs_no_file() -> None:
    data = text(path=None)
    assert data.spec.inputs == "tokens"
    assert data.spec.input_size == data.spec.output_size == len(data.vocabulary or ())
    assert data.vocabulary is not None
    assert data.vocabulary.start is not None


def test_the_vocabulary_is_of_the_training_split() -> None:
    data = text(lowercase=True, fractions=(0.5, 0.25, 0.25))
    assert data.vocabulary is not None
    symbols = set(data.vocabulary.symbols) - {UNKNOWN}
    assert symbols == set(HARBOUR.read_text(encoding="utf-8").lower()[: round(0.5 * len(HARBOUR.read_text(encoding="utf-8")))])


def test_rare_words_become_unknown() -> None:
    data = sentences(max_vocabulary=20)
    assert data.vocabulary is not None
    assert len(data.vocabulary) == data.spec.output_size == 20
    assert data.vocabulary.symbols[:5] == (START, END, UNKNOWN, "the", ".")
    row = next(iter(data.test_dataloader())).inputs[0].tolist()
    assert row[0] == data.vocabulary.start
    assert data.vocabulary.unknown in row


def test_sentences_are_rows_between_marks() -> None:
    data = sentences(lowercase=True)
    vocabulary = data.vocabulary
    assert vocabulary is not None
    batch = next(iter(data.val_dataloader()))
    assert batch.lengths is not None
    for inputs, targets, length in zip(batch.inputs.tolist(), batch.targets.tolist(), batch.lengths.tolist(), strict=True):
        assert inputs[0] == vocabulary.start
        assert targets[length - 1] == vocabulary.end
        assert inputs[1:length] == targets[: length - 1]
        assert not any(inputs[length:]), "nothing after the end"
        assert not any(targets[length:]), "nothing after the end"
        assert vocabulary.end not in inputs[:length]


def test_splits_of_one_file_keep_its_order() -> None:
    data = sentences()
    assert data.vocabulary is not None
    assert data.vocabulary.decode(data.splits["train"][0].inputs.tolist()) == "The harbour lay quiet under a grey morning."


def test_sentences_end_where_the_rule_says() -> None:
    found = split_sentences('He said "No." Then he\nleft (so. what)! A 3.5 m rope?\n\nTitle without a stop\n \nWhat… 猫だ。犬だ。')
    assert found == ['He said "No."', "Then he left (so.", "what)!", "A 3.5 m rope?", "Title without a stop", "What…", "猫だ。", "犬だ。"]


def test_batches_of_sentences_by_their_symbols() -> None:
    data = sentences(batch_tokens=40)
    batches = list(data.train_dataloader())
    assert sum(len(batch.inputs) for batch in batches) == len(data.splits["train"])  # pyright: ignore[reportArgumentType]
    assert all(batch.inputs.numel() <= 40 or len(batch.inputs) == 1 for batch in batches)
    with pytest.raises(ValueError, match=r"batch_tokens is 0; expected at least 1"):
        sentences(batch_tokens=0)


def test_lines_as_sentences(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("".join(f"line {n}. has two stops.\n\n" for n in range(10)), encoding="utf-8")
    data = sentences(path=tmp_path / "lines.txt", sentences="lines")
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [6, 2, 2]  # pyright: ignore[reportArgumentType]


def test_sentences_that_are_in_two_splits_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "lines.txt").write_text("".join(f"line {n % 7}\n" for n in range(10)), encoding="utf-8")
    assert sentences(path=tmp_path / "lines.txt", sentences="lines").duplicates == {"val in train": 1, "test in train": 2}  # 6 and 0, 1 and 2
    assert "test in train" in caplog.text


def test_the_run_keeps_sizes_and_symbols() -> None:
    data = text()
    records = data.records()
    assert json.loads(records["spec.json"])["output_size"] == data.spec.output_size
    assert Vocabulary.from_json(records["vocabulary.json"]) == data.vocabulary


def test_setup_reads_once(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("abc " * 50, encoding="utf-8")
    data = text(path=tmp_path / "text.txt")
    (tmp_path / "text.txt").unlink()
    data.setup("test")
    assert data.splits


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fractions": (0.9998, 0.0001, 0.0001)}, r"the val split of .*harbour\.txt has 0 of 1224 characters; expected at least 2.*data\.fractions"),
        ({"chunk_length": 0}, "chunk_length is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"unit": "letters"}, "no unit is named 'letters'"),
        ({"path": None, "column": "body"}, "path is missing"),
        ({"path": COMMENTS, "column": "text"}, r"has no column 'text'; it has 'id', 'author', 'body'"),
    ],
)
def test_bad_options_are_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        text(**options)


def test_an_unknown_way_to_cut_sentences_is_said() -> None:
    with pytest.raises(ValueError, match="Did you mean 'lines'"):
        sentences(sentences="line")
