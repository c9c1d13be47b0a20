"""The README's blocks run: what a new user copies works, on small inputs where the README's take long."""

import csv
import json
import re
import shlex
from pathlib import Path

import pytest

from seqlab.cli import main
from tests.data.spoken_sets import write_spoken
from tests.data.test_piano_roll import write_rolls

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
COMMANDS = [line.partition("#")[0].strip() for language, text in BLOCKS if language == "bash" for line in text.splitlines() if line.startswith("seqlab ")]


def python_block(marker: str) -> str:
    (found,) = [text for language, text in BLOCKS if language == "python" and marker in text]
    return found


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A directory with the README's own cell and a text of ours in the places the commands name."""
    (tmp_path / "mgu.py").write_text(python_block("class MGU"), encoding="utf-8")
    lines = [f"The {noun} of the {other} is {verb}." for noun in ("sum", "gate", "state") for other in ("cell", "layer") for verb in ("open", "small", "kept")]
    (tmp_path / "FILE").write_text("\n".join(lines * 20), encoding="utf-8")
    with open(tmp_path / "FILE.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "body"], *([i, f"{line}\nand more"] for i, line in enumerate(lines * 5))])
    own_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def own_files(folder):
    """What the section on files of one's own names."""
    texts = {
        label: [f"a {word} day, number {n}" for n in range(8) for word in words] for label, words in {"good": ["fine", "nice"], "bad": ["dull", "grim"]}.items()
    }
    (folder / "texts").mkdir()
    for label, lines in texts.items():
        (folder / f"texts/{label}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    table = [("text", "label"), *((line, label) for label, lines in texts.items() for line in lines)]
    with open(folder / "reviews.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(table)
    (folder / "tagged.conll").write_text("".join(f"the DET\nship{n} NOUN\nsails VERB\n\n" for n in range(30)), encoding="utf-8")
    hours = [f"2026-01-{1 + n // 24:02} {n % 24:02}:00:00,{n % 7},{n % 24}" for n in range(31 * 24)]
    (folder / "load.csv").write_text("\n".join(["date,load,heat", *hours]), encoding="utf-8")
    (folder / "recordings").mkdir()
    for n in range(20):
        rows = "\n".join(f"{step},{(n + step) % 3}" for step in range(5 + n % 4))
        (folder / f"recordings/{('walk', 'run')[n % 2]}_{n}.csv").write_text(f"a,b\n{rows}\n", encoding="utf-8")
    write_rolls(folder / "rolls")
    pairs = "".join(f"{n} small dogs run .\t{n} kleine Hunde rennen .\n" for n in range(8))
    for name in ("pairs.tsv", "more.tsv"):
        (folder / name).write_text(pairs, encoding="utf-8")
    asked = [{"context": f"The ship is {place}. It is old.", "question": "Where is the ship?", "answer": place} for place in ("here", "there")]
    (folder / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked * 4), encoding="utf-8")
    write_spoken(folder / "clips", [f"{n % 3}{n % 2}" for n in range(12)])
    (folder / "clips" / "transcripts.csv").rename(folder / "said.csv")
    (folder / "new.txt").write_text("The sum\n\nThe gate\n", encoding="utf-8")


def test_the_notebook_block_runs():
    names: dict = {}
    exec(python_block("make_cell"), names)
    assert names["y_next"].shape == (3, 5, 16)
    assert names["y"].shape == (3, 20, 32)


def test_a_new_cell_is_checked_and_trained_as_the_readme_says(workplace, capsys):
    (check,) = [c for c in COMMANDS if c.startswith("seqlab check")]
    (train,) = [c for c in COMMANDS if "plugins=" in c]
    assert main(shlex.split(check)[1:]) == 0
    assert main([*shlex.split(train)[1:], "debug=fast"]) == 0
    assert "run directory" in capsys.readouterr().out


def training_commands():
    """The commands that train, those that train many models marked slow."""
    for command in COMMANDS:
        if command.startswith("seqlab train") and "plugins=" not in command:
            yield pytest.param(command, marks=[pytest.mark.slow] if "vanishing_gradient" in command or " -m " in command else [])


@pytest.mark.parametrize("command", list(training_commands()))
def test_training_commands(command, workplace, capsys):
    if "optuna" in command:
        pytest.importorskip("optuna", reason="the extra `sweep` is not installed")
    words = [word if word != "data.path=FILE.csv" else f"data.path={workplace / 'FILE.csv'}" for word in shlex.split(command)[1:]]
    quick = [] if any(word.startswith("debug=") for word in words) else ["debug=fast", "executor=loop"]  # compiling would take longest by far
    assert main([*words, *quick]) == 0


def test_commands_on_a_run(workplace, capsys):
    assert main(["train", "experiment=char_lm", "data.path=FILE", "debug=fast", "executor=loop", "hydra.run.dir=DIR"]) == 0
    on_a_run = [c for c in COMMANDS if "run=DIR" in c]
    assert {c.split()[1] for c in on_a_run} == {"generate", "evaluate", "predict"}
    for command in on_a_run:
        assert main(shlex.split(command)[1:]) == 0
    assert "test" in capsys.readouterr().out
    first, blank, last = (workplace / "answers.txt").read_text(encoding="utf-8").splitlines()
    assert (first[:7], blank, last[:8]) == ("The sum", "", "The gate")
