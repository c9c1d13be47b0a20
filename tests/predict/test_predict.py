"""`seqlab predict`: small runs on files of every kind, and what they say of new ones, held against the model called by hand."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from seqlab.cli import main
from seqlab.config import config_folder
from seqlab.data.time_series import Scale, TimeSeries
from seqlab.evaluate import evaluate
from seqlab.predict import continue_text, predict
from seqlab.runs import load_run, read_config
from seqlab.train import train
from tests.data.test_piano_roll import write_rolls
from tests.text_runs import SMALL, TEXT

QUICK = ["trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "trainer.max_epochs=1", "cell.hidden_size=6", "executor=loop"]


def run(directory: Path, *overrides: str) -> Path:
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", [*QUICK, *overrides])
    train(config, directory, list(overrides))
    return directory


def by_hand(directory: Path, text: str) -> tuple[str, float]:
    """Label and probability of one text, alone in its batch."""
    data = instantiate(read_config(directory).data)
    data.restore(directory)
    task = load_run(directory).task
    with torch.no_grad():
        scores, _ = task.model(data.example(list(text)).inputs[None])
    probability, index = scores.softmax(-1).max(-1)
    return task.labels[int(index)], float(probability)


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on characters of two classes with names in Chinese."""
    folder = tmp_path_factory.mktemp("reviews")
    (folder / "texts").mkdir()
    for label, words in (("好", ["很好的电影", "good film", "素晴らしい"]), ("坏", ["糟糕的电影", "bad film", "ひどい"])):
        (folder / "texts" / f"{label}.txt").write_text("".join(f"{word} {n}\n" for n in range(7) for word in words), encoding="utf-8")
    return run(folder / "run", "experiment=text_folder", f"data.path={folder / 'texts'}", "data.unit=characters")


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on two series by the hour, with a band."""
    folder = tmp_path_factory.mktemp("series")
    write_series(folder / "series.csv", 90)
    options = ("data.window=12", "data.horizon=3", "head.loss=quantile", "data.batch_size=16")
    return run(folder / "run", "experiment=time_series", f"data.path={folder / 'series.csv'}", *options)


def write_series(path: Path, rows: int, columns: tuple[str, str] = ("load", "heat")) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["date", *columns])
        for hour in range(rows):
            writer.writerow([f"2026-01-{1 + hour // 24:02} {hour % 24:02}:00:00", 5 + math.sin(hour / 3), 100 * math.cos(hour / 4)])


def test_labels_row_for_row(reviews: Path, tmp_path: Path) -> None:
    texts = ["电影", "", "a good film, long enough to stand at the end of its batch", "   ", "ひどい"]
    (tmp_path / "new.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    done = predict(reviews, tmp_path / "new.txt", tmp_path / "out.txt", batch_size=2)
    assert (done.answered, done.blank, done.picture) == (3, 2, None)
    lines = (tmp_path / "out.txt").read_text(encoding="utf-8").split("\n")
    assert lines[1] == lines[3] == lines[5] == ""
    for index in (0, 2, 4):
        label, probability = by_hand(reviews, texts[index])
        assert lines[index] == f"{label}\t{probability:.4f}"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new.txt", "out.txt"]  # nothing half-written is left


def test_new_input_may_be_written_in_another_way(reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, encoding in (("utf.txt", "utf-8"), ("gb.txt", "gb18030")):
        (tmp_path / name).write_text("电影\n", encoding=encoding)
        changes = [] if encoding == "utf-8" else [f"data.encoding={encoding}"]
        assert main(["predict", f"run={reviews}", f"input={tmp_path / name}", f"output={tmp_path / name}.out", *changes]) == 0
    assert (tmp_path / "utf.txt.out").read_text() == (tmp_path / "gb.txt.out").read_text()
    with pytest.raises(ValueError, match=r"way to read new input is named 'lowercase'.*encoding.*All else is as the run was trained"):
        predict(reviews, tmp_path / "utf.txt", tmp_path / "out", changes=["data.lowercase=false"])
    with pytest.raises(ValueError, match=r"line 1.*data\.encoding=NAME"):
        predict(reviews, tmp_path / "gb.txt", tmp_path / "out")


def test_the_training_data_is_not_needed(reviews: Path, tmp_path: Path) -> None:
    texts, hidden = reviews.parent / "texts", reviews.parent / "hidden"
    texts.rename(hidden)
    try:
        (tmp_path / "new.txt").write_text("电影\n", encoding="utf-8")
        assert main(["predict", f"run={reviews}", f"input={tmp_path / 'new.txt'}", f"output={tmp_path / 'out.txt'}"]) == 0
    finally:
        hidden.rename(texts)
    assert (tmp_path / "out.txt").is_file()


def test_other_symbols_than_those_of_training_are_not_evaluated(reviews: Path, tmp_path: Path) -> None:
    for file in (reviews.parent / "texts").iterdir():
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8").replace("电", "雷"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"symbol \d+ of the data's vocabulary is '.'; expected '电', as in vocabulary\.json, which run .* was trained on"):
        evaluate(reviews, changes=[f"data.path={tmp_path}"])


def test_a_table_keeps_its_columns_and_gains_two(tmp_path: Path) -> None:
    rows = [(n, "good, fine" if n % 2 else 'bad "awful"', "pos" if n % 2 else "neg") for n in range(30)]
    with open(tmp_path / "train.csv", "w", newline="") as file:
        csv.writer(file).writerows([("id", "text", "label"), *rows])
    directory = run(tmp_path / "run", "experiment=table_text", f"data.path={tmp_path / 'train.csv'}")
    (tmp_path / "new.csv").write_text('id,text\n7,"good, day"\n\n8,awful\n')
    predict(directory, tmp_path / "new.csv", tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "id,text,predicted,probability"
    assert lines[1].startswith('7,"good, day",')
    assert lines[2] == ""
    assert lines[3].startswith("8,awful,")
    assert {line.split(",")[-2] for line in (lines[1], lines[3])} <= {"pos", "neg"}


def test_a_forecast_goes_on_from_the_last_row(series: Path, tmp_path: Path) -> None:
    write_series(tmp_path / "new.csv", 40)
    done = predict(series, tmp_path / "new.csv", tmp_path / "out.csv")
    assert done.picture == tmp_path / "out.png"
    assert done.picture.stat().st_size > 1000
    with open(tmp_path / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["date"] for row in rows] == ["2026-01-02 16:00:00", "2026-01-02 17:00:00", "2026-01-02 18:00:00"]
    assert list(rows[0]) == ["date", *(f"{name}{part}" for name in ("load", "heat") for part in ("", " lower", " upper"))]
    (tmp_path / "out.csv").unlink()
    with pytest.raises(ValueError, match=r"out\.png, where a picture of the answers would go, exists already"):
        predict(series, tmp_path / "new.csv", tmp_path / "out.csv")
    assert abs(float(rows[0]["heat"])) > 2  # in the units of the table, not in standard deviations, whatever the model has learned


def test_a_series_is_watched_row_by_row(tmp_path: Path) -> None:
    """The run has no validation, and so no best checkpoint: the one that it tested answers."""
    write_series(tmp_path / "series.csv", 90)
    directory = run(tmp_path / "run", "experiment=watched_series", f"data.path={tmp_path / 'series.csv'}", "data.window=8", "data.train_fraction=0.4")
    assert not (directory / "checkpoints" / "best.ckpt").exists()
    write_series(tmp_path / "new.csv", 30)
    done = predict(directory, tmp_path / "new.csv", tmp_path / "out.csv")
    assert done.picture == tmp_path / "out.png"
    assert done.picture.stat().st_size > 1000
    with open(tmp_path / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["date", "load", "heat", "score", "flag"]
    assert len(rows) == 30
    write_series(tmp_path / "one.csv", 1)
    predict(directory, tmp_path / "one.csv", tmp_path / "one.out")
    assert (tmp_path / "one.out").read_text().endswith(",0.0000,0\n")


def test_what_sounds_next_is_said_after_each_row(tmp_path: Path) -> None:
    folder = write_rolls(tmp_path / "rolls")
    directory = run(tmp_path / "run", "experiment=piano_roll", f"data.path={folder}", "trainer.precision=64")
    predict(directory, folder, tmp_path / "out.csv")
    with open(tmp_path / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "row", "C", "E", "G"]
    assert len(rows) == sum(3 + index for index in range(10))
    assert all(0 < float(row[name]) < 1 for row in rows for name in "CEG")
    shortest = "a0_0.csv"
    predict(directory, folder / shortest, tmp_path / "one.csv")
    assert (tmp_path / "one.csv").read_text().split("\n")[1:4] == [",".join(row.values()) for row in rows if row["file"] == shortest]  # alone as among others
    for change, message in (
        ("encoder.bidirectional=true", "the encoder is bidirectional"),
        ("frontend=convolutions", "the front end ConvolvedFeatures looks ahead"),
    ):
        with pytest.raises(ValueError, match=message):
            run(tmp_path / "no", "experiment=piano_roll", f"data.path={folder}", change)


def test_a_language_model_continues_each_line(tmp_path: Path) -> None:
    directory = run(tmp_path / "run", *SMALL, "experiment=char_lm", f"data.path={TEXT / 'harbour.txt'}", "data.batch_size=4", "data.chunk_length=16")
    (tmp_path / "new.txt").write_text("The\n\nA ship\n")
    done = continue_text(directory, tmp_path / "new.txt", tmp_path / "out.txt", length=12)
    lines = (tmp_path / "out.txt").read_text().split("\n")
    assert (done.answered, done.blank, len(lines)) == (2, 1, 4)
    assert lines[0].startswith("The")
    assert lines[1] == ""
    assert lines[2].startswith("A ship")
    (tmp_path / "wide.txt").write_text("The\n", encoding="utf-16")
    assert continue_text(directory, tmp_path / "wide.txt", tmp_path / "wide", length=0, changes=["data.encoding=utf-16"]).answered == 1
    (tmp_path / "other.txt").write_text("xx\nyy\nA ship\n".replace("xx", "A").replace("yy", "B"))
    continue_text(directory, tmp_path / "other.txt", tmp_path / "out.txt", length=12, overwrite=True)
    assert (tmp_path / "out.txt").read_text().split("\n")[2] == lines[2]  # its seed is its row's
    assert main(["predict", f"run={directory}", f"input={tmp_path / 'new.txt'}", f"output={tmp_path / 'o'}", "batch_size=2"]) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda new, out: {"input": new.with_name("none.txt")}, "none.txt does not exist; expected a file of the kind the run was trained on"),
        (lambda new, out: {"output": new}, "is the input; expected another file"),
        (lambda new, out: {"output": new.parent / "no" / "out.txt"}, "is no folder"),
        (lambda new, out: {"output": out.with_suffix(".gz")}, "is packed by its name; expected a plain file"),
        (lambda new, out: out.write_text("mine") and {}, "exists already. Give another output=FILE, or overwrite=true."),
        (lambda new, out: new.write_text("\n \n") and {}, "holds no text"),
        (lambda new, out: new.write_bytes(b"good\nb\xe9d\n") and {}, "line 2"),
        (lambda new, out: {"batch_size": 0}, "batch_size is 0; expected at least 1."),
        (lambda new, out: {"input": new.rename(new.with_suffix(".csv"))}, "is a table by its name"),
    ],
)
def test_what_cannot_be_answered(reviews: Path, tmp_path: Path, change: Callable[[Path, Path], dict], message: str) -> None:
    new, out = tmp_path / "new.txt", tmp_path / "out.txt"
    new.write_text("good\n")
    changed = change(new, out)
    before = out.read_text() if out.exists() else None
    with pytest.raises(ValueError, match=r".") as error:
        predict(**{"run": reviews, "input": new, "output": out, **changed})
    assert message in str(error.value)
    assert (out.read_text() if out.exists() else None) == before


def test_a_series_with_other_columns(series: Path, tmp_path: Path) -> None:
    write_series(tmp_path / "new.csv", 40, ("load", "cold"))
    with pytest.raises(ValueError, match=r"new.csv has no column 'heat', but date, load, cold; expected the columns the run was trained on"):
        predict(series, tmp_path / "new.csv", tmp_path / "out.csv")
    write_series(tmp_path / "new.csv", 5)
    with pytest.raises(ValueError, match=r"has 5 rows; expected at least 12, the window"):
        predict(series, tmp_path / "new.csv", tmp_path / "out.csv")
    write_series(tmp_path / "new.csv", 40)
    with pytest.raises(ValueError, match=r"with data.missing=flag the data gives .*input_size=4.*; expected .*input_size=2"):
        predict(series, tmp_path / "new.csv", tmp_path / "out.csv", changes=["data.missing=flag"])
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("vocabulary.json", lambda text: json.dumps({**json.loads(text), "symbols": json.loads(text)["symbols"][:-1]}), "It is of another run"),
        ("vocabulary.json", lambda text: text[:-9], "cannot be read"),
        (
            "vocabulary.json",
            lambda text: json.dumps({**json.loads(text), "symbols": json.loads(text)["symbols"][::-1]}),
            "it was altered, or is of another run",
        ),
        ("config.yaml", lambda text: text.replace("seqlab.data.text_folder.TextFolder", "torch.load"), "names 'torch.load' under data"),
    ],
)
def test_a_run_directory_that_was_altered(reviews: Path, tmp_path: Path, file: str, change: Callable[[str], str], message: str) -> None:
    (tmp_path / "new.txt").write_text("good\n")
    text = (reviews / file).read_text(encoding="utf-8")
    (reviews / file).write_text(change(text), encoding="utf-8")
    try:
        with pytest.raises(ValueError, match=r".") as error:
            predict(reviews, tmp_path / "new.txt", tmp_path / "out.txt")
    finally:
        (reviews / file).write_text(text, encoding="utf-8")
    assert message in str(error.value)
    assert not (tmp_path / "out.txt").exists()


def test_a_run_on_made_data_reads_no_file(tmp_path: Path) -> None:
    directory = run(tmp_path / "run", "experiment=binary_addition", "data.num_bits=3", "data.num_pairs=8")
    (tmp_path / "new.txt").write_text("1 2\n")
    with pytest.raises(ValueError, match=r"BinaryAddition reads no new input"):
        predict(directory, tmp_path / "new.txt", tmp_path / "out.txt")


def test_options_of_the_other_kind_of_run(reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "new.txt").write_text("good\n")
    files = [f"run={reviews}", f"input={tmp_path / 'new.txt'}", f"output={tmp_path / 'out.txt'}"]
    assert main(["predict", *files, "length=3"]) == 1
    assert "no language model" in capsys.readouterr().err
    assert main(["predict", *files[:2]]) == 1
    assert "output is missing; expected a file. Give output=FILE." in capsys.readouterr().err
    assert main(["predict", *files, "overwrite=perhaps"]) == 1
    assert "overwrite is 'perhaps'; expected true or false." in capsys.readouterr().err
    assert main(["predict", *files, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"answered": 1, "blank": 0, "output": str(tmp_path / "out.txt"), "picture": None}


def test_a_series_far_from_zero_keeps_its_digits(tmp_path: Path) -> None:
    """1e9 + 0.25 lies between two numbers of float32, which are 64 apart there."""
    data = TimeSeries(window=3, horizon=1)
    data.scale = Scale(None, ["level"], [], [1e9 + 0.25], [0.5])
    (tmp_path / "new.csv").write_text("level\n1000000000.25\n1000000000.75\n1000000001.25\n")
    (row,) = data.read_new(tmp_path / "new.csv")
    assert row is not None
    assert row.inputs[:, 0].tolist() == [0, 1, 2]
    data.write_answers([row], [{"forecast": [[3.0]]}], tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "step,level\n1,1000000001.75\n"
