"""`seqlab report`: which runs are one row, what is said of the others, and what is written."""

from __future__ import annotations

import base64
import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seqlab.cli import main
from seqlab.report.collect import read_runs
from seqlab.report.compare import Comparison, compare
from seqlab.report.rows import make_report
from tests.report.runs import make_run


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two cells, five seeds."""
    for seed in range(5):
        make_run(tmp_path / "sweep" / f"a{seed}", "lstm", seed, 0.5 + 0.01 * seed)
        make_run(tmp_path / "sweep" / f"b{seed}", "gru", seed, 0.6 + 0.02 * seed)
    return tmp_path / "sweep"


def report_of(*folders: Path, metric: str | None = None):
    return make_report(read_runs(folders), metric)


def test_seeds_are_one_row_and_cells_are_two(sweep: Path) -> None:
    gru, lstm = report_of(sweep).rows
    assert (gru.name, lstm.name) == ("gru", "lstm"), "the best first, and higher is better"
    assert gru.data == "mnist"
    assert gru.metric == "test/accuracy"
    assert gru.values == pytest.approx([0.6, 0.62, 0.64, 0.66, 0.68])
    assert gru.mean == pytest.approx(0.64)
    assert list(gru.points) == [0, 1, 2, 3, 4]
    assert gru.parameters == "1,234"
    assert gru.average("tokens_per_second") == 5000


def test_what_tells_rows_apart_is_said_and_nothing_else(tmp_path: Path) -> None:
    make_run(tmp_path / "0")
    make_run(tmp_path / "1", seed=1, data__data_dir="elsewhere", data__num_workers=2)  # of no effect
    make_run(tmp_path / "2", optimizer__lr=0.2)
    make_run(tmp_path / "4", data__reading="pixels")
    make_run(tmp_path / "5", encoder__cell=["lstm", "gru"])
    names = {(row.name, row.data, len(row.points)) for row in report_of(tmp_path).rows}
    assert names == {
        ("lstm optimizer.lr=0.1", "mnist reading=rows", 2),
        ("lstm optimizer.lr=0.2", "mnist reading=rows", 1),
        ("lstm", "mnist reading=pixels", 1),
        ("lstm+gru", "mnist reading=rows", 1),
    }


def test_of_another_class_the_name_is_said_and_not_its_options(tmp_path: Path) -> None:
    make_run(tmp_path / "0")
    make_run(tmp_path / "1", optimizer___target_="torch.optim.SGD", optimizer__momentum=0.9, optimizer__betas=None)
    make_run(tmp_path / "2", optimizer___target_="torch.optim.SGD", optimizer__momentum=0.8, optimizer__betas=None)
    assert {row.settings for row in report_of(tmp_path).rows} == {
        "optimizer=Adam",
        "optimizer=SGD optimizer.momentum=0.9",
        "optimizer=SGD optimizer.momentum=0.8",
    }


def test_seeds_between_which_the_cell_was_edited_are_two_rows(tmp_path: Path) -> None:
    for seed, source in ((0, "as it was"), (1, "as it was"), (2, "edited")):
        run = make_run(tmp_path / f"{seed}", seed=seed)
        (run / "fingerprint.json").write_text(json.dumps({"code": {"cell lstm": source}, "data": {}}))
    make_run(tmp_path / "gru", cell="gru")
    rows = report_of(tmp_path).rows
    assert sorted((row.cell, row.settings.partition("=")[0], *row.points) for row in rows) == [("gru", "", 0), ("lstm", "source", 0, 1), ("lstm", "source", 2)]


def test_runs_without_a_figure_are_listed_with_the_reason(tmp_path: Path) -> None:
    make_run(tmp_path / "0")
    make_run(tmp_path / "1", seed=1, status="interrupted")
    make_run(tmp_path / "2", seed=2, status="failed")
    (tmp_path / "2/error.txt").write_text("Traceback …\nFloatingPointError: the loss is nan\n")
    make_run(tmp_path / "3", seed=3, value=float("nan"))
    make_run(tmp_path / "4", seed=4)
    (tmp_path / "4/summary.json").write_text('{"metrics": {"test/acc')
    make_run(tmp_path / "5", seed=5)
    (tmp_path / "5/summary.json").unlink()
    (tmp_path / "6").mkdir()
    (tmp_path / "6/error.txt").write_text("ValueError: hidden_size is 0\n")
    make_run(tmp_path / "7", seed=7)
    (tmp_path / "7/config.yaml").write_text("a: [")
    make_run(tmp_path / "8", seed=0, value=0.75)  # the same again, later
    report = report_of(tmp_path)
    (row,) = report.rows
    assert row.values == [0.75]
    reasons = {run.directory.name: why for run, why in report.left_out}
    expected = {
        "0": "seed 0 of the same config is there again",
        "1": "interrupted after 30 steps",
        "2": "failed after 30 steps: FloatingPointError: the loss is nan",
        "3": "test/accuracy is nan",
        "4": "summary.json cannot be read",
        "5": "summary.json is missing: still running, or killed",
        "6": "failed before training: ValueError: hidden_size is 0",
        "7": "config.yaml cannot be read",
    }
    assert reasons.keys() == expected.keys()
    for name, why in expected.items():
        assert reasons[name].startswith(why)


def test_a_run_below_a_run_is_none_and_one_folder_given_twice_is_one(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "wandb/files").mkdir(parents=True)
    (run / "wandb/files/config.yaml").write_text("a: 1\n")
    assert [one.directory for one in read_runs([tmp_path, run])] == [run]


def test_metrics_of_different_tasks_are_rows_of_their_own(tmp_path: Path) -> None:
    make_run(tmp_path / "0")
    make_run(tmp_path / "1", seed=1, value=None)  # was not tested
    assert {(row.metric, row.mean) for row in report_of(tmp_path).rows} == {("test/accuracy", 0.5), ("val/accuracy", 0.4)}
    report = report_of(tmp_path, metric="test/accuracy")
    assert [why for _, why in report.left_out] == ["has no test/accuracy"]


def test_the_best_is_first_where_it_is_known_which_that_is(tmp_path: Path) -> None:
    for cell, accuracy, loss in (("lstm", 0.9, 0.3), ("gru", 0.8, 0.2), ("rnn", 0.7, 0.1)):
        summary = make_run(tmp_path / cell, cell) / "summary.json"
        content = json.loads(summary.read_text())
        content["metrics"] |= {"test/accuracy": accuracy, "test/loss": loss, "test/f1": loss}
        summary.write_text(json.dumps(content))
    order = {metric: [row.cell for row in report_of(tmp_path, metric=metric).rows] for metric in ("test/accuracy", "test/loss", "test/f1")}
    assert order == {"test/accuracy": ["lstm", "gru", "rnn"], "test/loss": ["rnn", "gru", "lstm"], "test/f1": ["gru", "lstm", "rnn"]}


def test_pairs_are_tested_from_five_on(sweep: Path) -> None:
    rows = report_of(sweep).rows
    (five,) = compare(rows, "gru", "lstm")
    assert five.differences == pytest.approx([0.1, 0.11, 0.12, 0.13, 0.14])
    assert five.p_value == 2 / 32
    assert "the least it could be is 0.062" in five.verdict
    assert five.interval is not None
    many = Comparison(five.data, five.first, five.second, [(seed, 1.0, 0.0) for seed in range(21)])
    assert "p = 0.0001, sign-flip permutation test, sampled over 21 shared seeds (the least it could be is 0.0001)" in many.verdict
    del rows[0].points[2]
    (four,) = compare(rows, "gru", "lstm")
    assert [seed for seed, _, _ in four.points] == [0, 1, 3, 4]
    assert four.p_value is None
    assert four.interval is None
    assert "too few for a test" in four.verdict


def test_rows_of_equal_settings_are_pairs(tmp_path: Path) -> None:
    for cell, lr in (("lstm", 0.1), ("lstm", 0.2), ("gru", 0.1), ("gru", 0.2), ("gru", 0.4)):
        make_run(tmp_path / f"{cell}{lr}", cell, optimizer__lr=lr)
    rows = report_of(tmp_path).rows
    pairs = [(one.first.settings, one.second.settings) for one in compare(rows, "lstm", "gru")]
    assert sorted(pairs) == [("optimizer.lr=0.1", "optimizer.lr=0.1"), ("optimizer.lr=0.2", "optimizer.lr=0.2")]
    (crossed,) = compare(rows, "lstm optimizer.lr=0.1", "gru optimizer.lr=0.4")
    assert crossed.second.settings == "optimizer.lr=0.4"


def test_everything_is_written(sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(sweep / "failed", seed=9, status="failed", value=None)
    out = tmp_path / "out"
    assert main(["report", str(sweep), "--compare", "lstm", "gru", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    page, text = (out / "report.html").read_text(encoding="utf-8"), (out / "report.md").read_text(encoding="utf-8")
    for shown in (printed, page, text):
        assert all(word in shown for word in ("mnist", "0.64", "p = 0.0625", "failed after 30 steps", "1,234"))
    pictures = [base64.b64decode(found) for found in re.findall(r"data:image/png;base64,([^\"]+)", page)]
    assert pictures == [(out / name).read_bytes() for name in ("metric.png", "learning_curves.png")]
    assert "src=" not in page.replace('src="data:', ""), "the page needs nothing beside it"
    with open(out / "report.csv", newline="") as file:
        best = next(csv.DictReader(file))
    assert (best["cell"], best["num_seeds"], best["seeds"]) == ("gru", "5", "0 1 2 3 4")
    assert float(best["low"]) < float(best["mean"]) < float(best["high"])
    with open(out / "runs.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 10


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    make_run(tmp_path / "a", data__path="<script>|x")
    make_run(tmp_path / "b", data__path="y")
    make_run(tmp_path / "c", data__path=r"$\no$", optimizer__lr=0.2)  # no formula
    make_run(tmp_path / "d", data__path=r"$\no$", optimizer__lr=r"$\no$")
    main(["report", str(tmp_path), "--out", str(tmp_path / "out")])
    assert "<script>" not in (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "<script>\\|x" in (tmp_path / "out/report.md").read_text(encoding="utf-8")


def test_json_is_strict(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(sweep / "nan", seed=8, value=float("nan"))
    assert main(["report", str(sweep), "--json", "--compare", "gru", "lstm"]) == 0

    def refuse(name: str) -> None:
        raise AssertionError(name)

    said = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert said["rows"][0]["mean"] == pytest.approx(0.64)
    assert said["comparisons"][0]["p_value"] == 2 / 32
    assert said["left_out"][0]["reason"] == "test/accuracy is nan"


WRONG = {
    "nowhere": "nowhere does not exist; expected a run directory",
    "file": "file is a file; expected a run directory",
    "empty": "empty holds no run: no config.yaml in it or below",
    "runs --metric test/acuracy": "no metric is named 'test/acuracy'. Did you mean 'test/accuracy'? Known: ",
    "runs --compare lstm gro": "no cell of these runs is named 'gro'. Did you mean 'gru'? Known: ",
    "runs --compare lstm lstm": "--compare names 'lstm' twice",
    "runs --compare lstm gru": "'lstm' and 'gru' share no seed on equal data and metric (lstm on mnist, test/accuracy: seeds 0; gru on mnist, test/accuracy",
    "failed": "none of the 1 runs has a figure to report (failed/0: failed after 30 steps). Let one finish, or choose another --metric.",
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_wrong_is_one_paragraph(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file").touch()
    make_run(Path("runs/0"), "lstm", 0)
    make_run(Path("runs/1"), "gru", 1)
    make_run(Path("failed/0"), status="failed")
    assert main(["report", *words.split()]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"seqlab report: {WRONG[words]}")
    assert error.count("\n") == 1


def test_a_damaged_metrics_file_is_named(sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sweep / "a0/metrics.csv").write_text("epoch,step,val/accuracy\n0,x,0.3\n")
    assert main(["report", str(sweep), "--out", str(tmp_path / "out")]) == 1
    assert "a0/metrics.csv cannot be read" in capsys.readouterr().err


def test_no_torch_is_imported(sweep: Path) -> None:
    ask = "print(sorted({'torch', 'lightning', 'hydra', 'matplotlib'} & set(sys.modules)))"
    code = f"import sys\nfrom seqlab.cli import main\nmain(['report', {str(sweep)!r}])\n{ask}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
