"""bAbI: twenty kinds of question about short stories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqlab.data.named import NamedData, NamedFile
from seqlab.data.question_answer import Question, QuestionAnswer
from seqlab.data.splits import hold_out
from seqlab.data.text_files import read_lines

TASKS = (
    "single-supporting-fact", "two-supporting-facts", "three-supporting-facts", "two-arg-relations", "three-arg-relations",
    "yes-no-questions", "counting", "lists-sets", "simple-negation", "indefinite-knowledge",
    "basic-coreference", "conjunction", "compound-coreference", "time-reasoning", "basic-deduction",
    "basic-induction", "positional-reasoning", "size-reasoning", "path-finding", "agents-motivations",
)  # fmt: skip
FILES = {(number, split): f"en/qa{number}_{name}_{split}.txt" for number, name in enumerate(TASKS, 1) for split in ("train", "test")}
BABI = NamedData(
    name="babi",
    folder="babi",
    source="bAbI tasks 1 to 20, version 1.2, English, https://research.facebook.com/downloads/babi/ (tasks_1-20_v1-2.tar.gz: put its folder en/ there)",
    licence="CC BY 3.0",
    citation='J. Weston et al., 2015, "Towards AI-complete question answering: a set of prerequisite toy tasks"',
    files=tuple(NamedFile(path) for path in FILES.values()),
)


class Babi(QuestionAnswer):
    """1,000 questions for training and for the test, of each task. tasks: numbers from 1 to 20, learned together.

    test_tasks: which of them are tested, all by default; the vocabulary is that of `tasks` in any case. val_share: of the
    training questions, in whole stories, held out by split_seed. data_dir: see seqlab.data.named.
    Source: J. Weston et al., 2015, "Towards AI-complete question answering: a set of prerequisite toy tasks".
    """

    def __init__(
        self,
        data_dir: str | Path | None = None,
        tasks: Sequence[int] = tuple(range(1, 21)),
        test_tasks: Sequence[int] | None = None,
        val_share: float = 0.1,
        split_seed: int = 0,
        **options: Any,
    ) -> None:
        tasks = list(tasks)
        tested = tasks if test_tasks is None else list(test_tasks)
        wrong = [number for number in tasks if number not in range(1, 21)]
        if wrong or not tasks:
            raise ValueError(f"tasks of babi are {tasks}; expected numbers from 1 to 20, at least one.")
        if not tested or not set(tested) <= set(tasks):
            raise ValueError(f"test_tasks of babi are {tested}; expected some of those that are trained, {tasks}.")
        super().__init__("", "", "", **options)
        self.data_dir, self.val_share, self.split_seed = data_dir, val_share, split_seed
        self.tasks, self.tested = tasks, tested

    def prepare_data(self) -> None:
        BABI.find_all([FILES[number, split] for number in self.tasks for split in ("train", "test")], self.data_dir)

    def read_splits(self) -> dict[str, list[Question]]:
        found: dict[str, list[Question]] = {"train": [], "val": [], "test": []}
        for number in self.tasks:
            questions, stories = read_stories(BABI.find(FILES[number, "train"], self.data_dir))
            kept, held = hold_out(len(questions), self.val_share, self.split_seed, stories)
            found["train"] += [questions[index] for index in kept]
            found["val"] += [questions[index] for index in held]
            if number in self.tested:
                found["test"] += read_stories(BABI.find(FILES[number, "test"], self.data_dir))[0]
        return found


def read_stories(file: Path) -> tuple[list[Question], list[int]]:
    """The questions of a file, each with what stands before it in its story but other questions; and the story of each.

    Raises ValueError naming file and line for a line that is no numbered statement or question.
    """
    questions: list[Question] = []
    stories: list[int] = []
    context: list[str] = []
    story = 0
    for line, text in enumerate(read_lines(file), 1):
        if not text.strip():
            continue
        number, _, rest = text.strip().partition(" ")
        fields = [field.strip() for field in rest.split("\t")]
        if not number.isdecimal() or not fields[0] or len(fields) not in (1, 3):
            raise ValueError(f"{file}, line {line}: {text[:40]!r} is no line of bAbI; expected a number and a statement, or a question and its answer.")
        if number == "1":
            context, story = [], story + 1
        if len(fields) == 1:
            context.append(fields[0])
        else:
            questions.append(Question(tuple(context), fields[0], fields[1].replace(",", " "), f"{file}, line {line}"))
            stories.append(story)
    return questions, stories
