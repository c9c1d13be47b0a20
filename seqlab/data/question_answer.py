"""Questions about a context, from files of one's own. Dimension key: B batch, S sentences, L words of a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from seqlab.data.base import Batch, DataSpec, Example, ExampleSplit
from seqlab.data.pair_sides import PairSides
from seqlab.data.pairs import END, pad_pairs
from seqlab.data.sentences import split_sentences
from seqlab.data.side import Side
from seqlab.data.splits import warn_of_duplicates
from seqlab.data.text_files import read_lines


@dataclass(frozen=True)
class Question:
    """The sentences of a context, what is asked of it, the answer, and where it stands, for messages."""

    context: tuple[str, ...]
    question: str
    answer: str
    place: str


class QuestionAnswer(PairSides):
    """JSONL files with objects {"context": …, "question": …, "answer": …}; context: text, or a list of sentences.

    A step of the input is a sentence: the question, the sentences of the context, and the question again, so that an encoder
    of either direction knows what is asked while it reads; see frontend=sentences. Answers are written word by word.
    min_count: rarer words are read as unknown. unknown_targets, batch_tokens: see PairSides; a step is a sentence.
    """

    unit_of_length = "sentences, the question counted twice"

    def __init__(
        self,
        train: str,
        val: str,
        test: str,
        min_count: int = 1,
        unknown_targets: str = "error",
        encoding: str = "utf-8",
        batch_size: int = 32,
        batch_tokens: int | None = None,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(unknown_targets, batch_size, batch_tokens, eval_batch_size, num_workers, seed)
        if min_count < 1:
            raise ValueError(f"min_count is {min_count}; expected at least 1.")
        self.files = {"train": train, "val": val, "test": test}
        self.min_count, self.encoding = min_count, encoding
        self._read: dict[str, Tensor] = {}  # ids of sentences, which stories share

    @property
    def spec(self) -> DataSpec:
        source, target = self.sides
        return DataSpec("sentences", len(source.symbols), "symbols", len(target.symbols), target.symbols)

    def read_splits(self) -> dict[str, list[Question]]:
        """The questions of each split."""
        return {
            split: [question for question in read_questions(Path(file).expanduser(), self.encoding) if question is not None]
            for split, file in self.files.items()
        }

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        questions = self.read_splits()
        train = questions["train"]
        if self.source is None:
            self.source = Side.learn([text for row in train for text in (*row.context, row.question)], "words", min_count=self.min_count)
            self.target = Side.learn([row.answer for row in train], "words")
            self.source.longest = max((len(row.context) + 2 for row in train), default=0)
        target = self.sides[1]
        for split in ("val", "test"):
            self.check_targets(split, [row.answer for row in questions[split]], [row.place for row in questions[split]])
        for split, rows in questions.items():
            self.splits[split] = ExampleSplit([Example(self.read(row), torch.cat([target.encode(row.answer), torch.tensor([END])])) for row in rows])
        self.duplicates = warn_of_duplicates({split: [(row.context, row.question, row.answer) for row in rows] for split, rows in questions.items()})

    def read(self, row: Question) -> Tensor:
        """-> ids (S, L), 0 past the end of each sentence."""
        texts = (row.question, *row.context, row.question)
        for text in texts:
            if text not in self._read:
                self._read[text] = self.sides[0].encode(text)
        return torch.nn.utils.rnn.pad_sequence([self._read[text] for text in texts], batch_first=True)

    def collate(self, examples: Sequence[Example]) -> Batch:
        width = max(example.inputs.shape[1] for example in examples)
        return pad_pairs([Example(torch.nn.functional.pad(e.inputs, (0, width - e.inputs.shape[1])), e.targets) for e in examples])

    def step_names(self, inputs: Tensor) -> list[str]:
        return [self.sides[0].decode(row) for row in inputs.tolist()]

    def read_new(self, file: Path) -> list[Example | None]:
        """Each line is an object with a context and a question; an answer is not looked at."""
        found = read_questions(file, self.encoding, answered=False)
        rows = [None if row is None else Example(self.read(row), torch.zeros(0, dtype=torch.long)) for row in found]
        self.say_long(file, rows)
        self.say_unknown(file, rows, ["" if row is None else " ".join((*row.context, row.question)) for row in found])
        return rows

    def examples(self, predict: Callable[[Batch], Tensor]) -> list[str]:
        split = self.splits["test"]
        assert isinstance(split, ExampleSplit)
        batch = self.collate(split.examples[:5])
        questions = [self.step_names(example.inputs[:1])[0] for example in split.examples[:5]]
        return [f"{question} -> {self.read_out(written)}" for question, written in zip(questions, predict(batch).tolist(), strict=True)]


def read_questions(file: Path, encoding: str = "utf-8", answered: bool = True) -> list[Question | None]:
    """The questions of a JSONL file, None for a blank line. answered=False: answers are neither needed nor read.

    Raises ValueError naming file and line for a line that is no object of text under these names, or holds a blank one.
    """
    return [_question(line, f"{file}, line {number}", answered) if line.strip() else None for number, line in enumerate(read_lines(file, encoding), 1)]


def _question(line: str, place: str, answered: bool) -> Question:
    shape = '{"context": …, "question": …' + (', "answer": …}' if answered else "}")
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{place}: no JSON ({error}); expected an object {shape}. Repair the line.") from error
    if not isinstance(row, dict):
        raise ValueError(f"{place}: a JSON {type(row).__name__}; expected an object {shape}. Repair the line.")
    names = ("context", "question", "answer") if answered else ("context", "question")
    for name in names:
        if name not in row:
            raise ValueError(f"{place}: the object has no {name!r}; expected {shape}. Repair the line.")
    context = row["context"]
    if isinstance(context, str):
        context = split_sentences(context)
    if not isinstance(context, list) or not all(isinstance(sentence, str) for sentence in context):
        raise ValueError(f"{place}: the context is {str(context)[:40]!r}; expected text, or a list of sentences. Repair the line.")
    for name in names[1:]:
        if not isinstance(row[name], str):
            raise ValueError(f"{place}: the {name} is {row[name]!r}; expected text. Repair the line.")
    blank = [name for name, texts in (("context", context), *((name, [row[name]]) for name in names[1:])) if not any(text.strip() for text in texts)]
    if blank:
        raise ValueError(f"{place}: the {blank[0]} is blank; expected text. Repair the line, or leave it out.")
    sentences = tuple(sentence for sentence in context if sentence.strip())
    return Question(sentences, row["question"], row["answer"] if answered else "", place)
