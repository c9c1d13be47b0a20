"""What a trained model says of new input: labels, tags, forecasts, anomalies, translations, or text that goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.progress import track

from seqlab import run_directory
from seqlab.data.base import Example, SequenceDataModule
from seqlab.data.text_files import read_lines
from seqlab.fingerprint import check_records
from seqlab.generate import check_prompt, load_language_model
from seqlab.predict_sequences import draw_looks, set_search
from seqlab.registry import unknown
from seqlab.runs import changed, check_targets, load_run, read_config
from seqlab.search import Sampling
from seqlab.show import console
from seqlab.tasks import Task
from seqlab.train import quiet_libraries

PICTURE = ".png"
# what of `data` says how a file is read; all else says what the model was trained on, and is none of the new input's business
READING = (
    *("encoding", "separator", "header", "quotes", "columns", "date", "date_format", "missing"),
    *("text", "files", "token_column", "conllu"),
)


@dataclass(frozen=True)
class Predicted:
    """How many rows were answered, how many were blank, the file that holds the answers, and their picture, if there is one."""

    answered: int
    blank: int
    output: Path
    picture: Path | None = None


def predict(
    run: str | Path,
    input: str | Path,
    output: str | Path,
    checkpoint: str | None = None,
    batch_size: int = 64,
    overwrite: bool = False,
    plugins: Sequence[str] = (),
    changes: Sequence[str] = (),
    progress: bool = False,
    beam: int | None = None,
    num_best: int = 1,
    attention: int = 0,
) -> Predicted:
    """Answer each row of `input`, a file of the kind the run was trained on, in `output`: row for row, blank rows blank.

    Nothing of the training data is needed. The output is written whole or not at all; one that exists stays unless
    `overwrite`. Rows of about one length share a batch, which changes no answer. A picture, where the data offers one, lies
    beside the output under its name with .png. changes: "data.KEY=VALUE", KEY of READING, where the new input is read in
    another way than the training data was.
    Of a run that writes sequences: beam, the hypotheses kept, as in training by default; num_best of them are written for each
    row; attention: the picture is of where the model looked in the first so many rows that are not blank.
    Raises ValueError as `load_run` does, for input of another kind, naming file and line, and for a language model, whose
    rows `continue_text` continues.
    """
    quiet_libraries()
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected at least 1.")
    directory, source, target = Path(run).expanduser(), Path(input).expanduser(), Path(output).expanduser()
    check_files(source, target, overwrite)
    config = read_config(directory)
    check_targets(config, ("data",), directory / run_directory.CONFIG)
    config = reread(config, changes)
    loaded = load_run(directory, checkpoint, plugins)
    task = loaded.task
    set_search(task, directory, beam, num_best, attention)
    data = instantiate(config.data)
    if not isinstance(data, SequenceDataModule):
        raise TypeError(f"data is a {type(data).__name__}; expected a seqlab SequenceDataModule. Restore {directory / run_directory.CONFIG}.")
    picture = target.with_suffix(PICTURE)
    if attention and picture == target:
        raise ValueError(f"the output {target} is where the picture for attention={attention} would go. Give an output=FILE that does not end in {PICTURE}.")
    draws = picture != target and (attention > 0 or type(data).draw_answers is not SequenceDataModule.draw_answers)
    if draws and picture.exists() and picture.samefile(source):
        raise ValueError(f"{picture}, where a picture of the answers would go, is the input, which would be lost. Give another output=FILE.")
    if draws and picture.exists() and not overwrite:
        raise ValueError(f"{picture}, where a picture of the answers would go, exists already. Give another output=FILE, or overwrite=true.")
    data.restore(directory)
    check_records(directory)
    if changes and data.spec != loaded.spec:
        raise ValueError(f"with {' '.join(changes)} the data gives {data.spec}; expected {loaded.spec}, which run {directory} was trained on. Leave it out.")
    rows = data.read_new(source)
    if all(row is None for row in rows):
        raise ValueError(f"{source} holds nothing to answer: {len(rows)} rows, all blank; expected at least one that is not.")
    answers = answer_rows(task, data, rows, batch_size, progress)
    run_directory.replace(target, lambda partial: data.write_answers(rows, answers, partial))
    drawn = draws and (draw_looks(task, data, rows, attention, picture) if attention else data.draw_answers(rows, answers, picture))
    blank = sum(row is None for row in rows)
    return Predicted(len(rows) - blank, blank, target, picture if drawn else None)


def reread(config: DictConfig, changes: Sequence[str]) -> DictConfig:
    """The config with changes of how files are read. Raises ValueError for any other key."""
    for change in changes:
        name = change.partition("=")[0].removeprefix("data.")
        known = [key for key in READING if key in config.data]
        if name not in known:
            raise ValueError(unknown("way to read new input", name, known, "All else is as the run was trained. Write data.KEY=VALUE."))
    return changed(config, changes)


def answer_rows(
    task: Task, data: SequenceDataModule, rows: Sequence[Example | None], batch_size: int = 64, progress: bool = False
) -> list[dict[str, Any] | None]:
    """`Task.answer` of each row in the order of the rows, None where a row is None."""
    present = sorted((index for index, row in enumerate(rows) if row is not None), key=lambda index: len(row_at(rows, index).inputs))
    answers: list[dict[str, Any] | None] = [None] * len(rows)
    dtype = next(task.model.parameters()).dtype
    batches = [present[start : start + batch_size] for start in range(0, len(present), batch_size)]
    for batch in track(batches, "answering", console=console, disable=not progress, transient=True):
        asked = data.collate([row_at(rows, index) for index in batch])
        if asked.inputs.is_floating_point():
            asked = replace(asked, inputs=asked.inputs.to(dtype))
        for index, answer in zip(batch, task.answer(asked), strict=True):
            answers[index] = answer
    return answers


def row_at(rows: Sequence[Example | None], index: int) -> Example:
    """The row, which is not blank."""
    row = rows[index]
    assert row is not None
    return row


def continue_text(
    run: str | Path,
    input: str | Path,
    output: str | Path,
    length: int = 100,
    temperature: float = 0.8,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    checkpoint: str | None = None,
    overwrite: bool = False,
    plugins: Sequence[str] = (),
    changes: Sequence[str] = (),
    progress: bool = False,
) -> Predicted:
    """Each line of `input`, a prompt, with what the language model of the run goes on to write, in the same line of `output`.

    A text ends where the model ends it, at a line break, or after `length` symbols. Row i is drawn with the seed `seed` + i,
    whatever stands in the other rows. changes: as of `predict`. Raises ValueError as `predict` and `generate` do.
    """
    if length < 0:
        raise ValueError(f"length is {length}; expected at least 0.")
    source, target = Path(input).expanduser(), Path(output).expanduser()
    check_files(source, target, overwrite)
    sampling = Sampling(temperature, top_k, top_p)
    config = reread(read_config(Path(run).expanduser()), changes)
    task, vocabulary = load_language_model(Path(run).expanduser(), checkpoint, plugins)
    sampling = sampling.without(vocabulary.never_written)
    prompts = read_lines(source, config.data.get("encoding", "utf-8"))
    for number, prompt in enumerate(prompts, 1):
        try:
            check_prompt(prompt, vocabulary, f"seqlab predict: {source}, line {number}")
        except ValueError as error:
            raise ValueError(f"{source}, line {number}: {error}") from error

    def line(number: int, prompt: str) -> Iterator[str]:
        opening = vocabulary.opening(prompt)
        yield prompt
        before = int(opening[-1])
        for index in task.sample(opening, sampling, torch.Generator().manual_seed(seed + number), length, vocabulary.end):
            piece = vocabulary.piece(before, index)
            yield piece.partition("\n")[0]
            if "\n" in piece:
                return
            before = index

    rows = track(list(enumerate(prompts)), "writing", console=console, disable=not progress, transient=True)
    lines = ["".join(line(number, prompt)) if prompt.strip() else "" for number, prompt in rows]
    run_directory.write(target, "".join(f"{text}\n" for text in lines))
    blank = sum(not prompt.strip() for prompt in prompts)
    return Predicted(len(prompts) - blank, blank, target)


def check_files(source: Path, target: Path, overwrite: bool) -> None:
    """Raise ValueError, before anything is computed, when the input is not there or the output cannot be written."""
    if not source.exists():
        raise ValueError(f"the input {source} does not exist; expected a file of the kind the run was trained on. Give input=FILE.")
    if not target.parent.is_dir():
        raise ValueError(f"the output {target} cannot be written: {target.parent} is no folder. Make it, or give another output=FILE.")
    if target.suffix == ".gz":
        raise ValueError(f"the output {target} is packed by its name; expected a plain file. Take .gz off output=FILE.")
    if target.is_dir():
        raise ValueError(f"the output {target} is a folder; expected a file. Give output=FILE.")
    if target.exists() and target.samefile(source):
        raise ValueError(f"the output {target} is the input; expected another file, for the input would be lost. Give another output=FILE.")
    if target.exists() and not overwrite:
        raise ValueError(f"the output {target} exists already. Give another output=FILE, or overwrite=true.")
    if not os.access(target.parent, os.W_OK):
        raise ValueError(f"the output {target} cannot be written: {target.parent} is read-only. Give another output=FILE.")
