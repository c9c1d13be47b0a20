"""Questions as they stand in JSONL and in bAbI; what is wrong names file and line; a run reads new questions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from seqlab.data.babi import BABI, FILES, Babi
from seqlab.data.base import Batch
from seqlab.data.question_answer import QuestionAnswer

STORY = ["Mary took the milk.", "She went out.", "John slept."]
ROWS = [
    {"context": " ".join(STORY), "question": "Where is Mary?", "answer": "out"},
    {"context": STORY[:1], "question": "What has Mary?", "answer": "the milk"},
]


def write(path: Path, rows: list) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def build(tmp_path: Path, **options) -> QuestionAnswer:
    file = write(tmp_path / "rows.jsonl", ROWS)
    data = QuestionAnswer(file, file, options.pop("test", file), **options)
    data.setup()
    return data


def test_a_batch_holds_question_story_and_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = build(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [question.answer for question in QuestionAnswer(*["~/rows.jsonl"] * 3).read_splits()["val"]] == ["out", "the milk"]
    (batch,) = data.val_dataloader()
    assert isinstance(batch, Batch)
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [5, 3]
    assert data.step_names(batch.inputs[0]) == ["Where is Mary?", *STORY, "Where is Mary?"]
    assert data.step_names(batch.inputs[1, :3]) == ["What has Mary?", STORY[0], "What has Mary?"]
    assert [data.read_out(row) for row in batch.targets.tolist()] == ["out", "the milk"]
    assert data.references("test") is None  # BLEU of single words says nothing
    assert len(list(build(tmp_path, batch_tokens=5).train_dataloader())) == 2
    assert data.duplicates == {"val in train": 2, "test in train": 2, "test in val": 2}


def test_a_run_answers_new_questions_row_for_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = build(tmp_path)
    for name, text in data.records().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    fresh = QuestionAnswer("no", "no", "no")
    fresh.restore(tmp_path)
    again = QuestionAnswer(write(tmp_path / "other.jsonl", ROWS[:1]), *[str(tmp_path / "rows.jsonl")] * 2)
    again.restore(tmp_path)
    again.setup()
    assert again.records() == data.records()
    new = tmp_path / "new.jsonl"
    new.write_text(f"{json.dumps({'context': STORY * 2, 'question': 'Where is Mary?'})}\n\n", encoding="utf-8")
    with caplog.at_level("WARNING", logger="seqlab"):
        rows = fresh.read_new(new)
    assert rows[1] is None
    assert rows[0] is not None
    assert len(rows[0].inputs) == 8
    assert "1 of 2 sources are longer than any in training, which went up to 5 sentences" in caplog.text
    assert f"the first is {new}, line 1 with 8 sentences" in caplog.text
    answers = [{"symbols": ["▁the", "▁milk"], "hypotheses": [{"symbols": ["▁the", "▁milk"], "score": -1.5}, {"symbols": ["▁out"], "score": -2.0}]}, None]
    fresh.write_answers(rows, answers, tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text() == "the milk\tout\n\n"
    fresh.write_answers(rows, answers, tmp_path / "out.jsonl")
    first = json.loads((tmp_path / "out.jsonl").read_text().split("\n")[0])
    assert first == {"text": "the milk", "hypotheses": [{"score": -1.5, "text": "the milk"}, {"score": -2.0, "text": "out"}]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"line 2: no JSON"),
        ("[]", r"line 2: a JSON list; expected an object"),
        ('{"context": "A.", "question": "B?"}', r"line 2: the object has no 'answer'"),
        ('{"context": 3, "question": "B?", "answer": "c"}', r"line 2: the context is '3'"),
        ('{"context": "A.", "question": "B?", "answer": 3}', r"line 2: the answer is 3"),
        ('{"context": "A.", "question": " ", "answer": "c"}', r"line 2: the question is blank"),
        ('{"context": [], "question": "B?", "answer": "c"}', r"line 2: the context is blank"),
        ('{"context": "A.", "question": "B?", "answer": "a unicorn"}', r"line 2: the target has '▁a', '▁unicorn', which the model does not know"),
    ],
)
def test_what_is_wrong_names_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    test = tmp_path / "test.jsonl"
    test.write_text(f"{json.dumps(ROWS[0])}\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"test\.jsonl, {message}"):
        build(tmp_path, test=str(test))


def write_babi(folder: Path) -> None:
    for (number, split), path in FILES.items():
        stories = "".join(
            f"1 Mary is {place}.\n2 Where is Mary?\t{place}\t1\n3 John is here.\n4 Where is John?\there,{place}\t3\n" for place in ("out", "in") * 3
        )
        (folder / "babi" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "babi" / path).write_text(stories + ("1 Lost.\n" if number == 1 and split == "test" else ""))


def test_babi_reads_stories_without_the_questions_before(tmp_path: Path) -> None:
    write_babi(tmp_path)
    data = Babi(tmp_path, test_tasks=[3], val_share=0.2)
    data.prepare_data()
    data.setup()
    sizes = {split: len(part) for split, part in data.splits.items()}  # type: ignore[arg-type]
    assert sizes == {"train": 20 * 10, "val": 20 * 2, "test": 12}  # stories stay whole
    example = data.splits["test"][1]
    assert data.step_names(example.inputs) == ["Where is John?", "Mary is out.", "John is here.", "Where is John?"]
    assert data.read_out(example.targets.tolist()) == "here out"
    for options, message in (({"tasks": [0]}, "tasks of babi are"), ({"tasks": [1], "test_tasks": [2]}, "expected some of those that are trained")):
        with pytest.raises(ValueError, match=message):
            Babi(tmp_path, **options)
    (tmp_path / "babi" / FILES[2, "train"]).write_text("1 A.\nWhere?\tb\t1\n")
    with pytest.raises(ValueError, match=r"train\.txt, line 2: .* is no line of bAbI"):
        Babi(tmp_path, tasks=[2]).setup()
    with pytest.raises(ValueError, match="the data set babi lacks"):
        Babi(tmp_path / "elsewhere").prepare_data()
    assert len(BABI.files) == 40


def test_padding_between_stories_is_zero(tmp_path: Path) -> None:
    batch = next(iter(build(tmp_path).val_dataloader()))
    assert not torch.any(batch.inputs[1, 3:])
