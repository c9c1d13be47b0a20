"""A search by Optuna: the study is on disk, survives a kill, prunes, and its jobs are those of any sweep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from seqlab.cli import main
from seqlab.sweep import ledger
from tests.sweep.conftest import Sweep

optuna = pytest.importorskip("optuna", reason="the extra `sweep` is not installed")

from seqlab.callbacks.pruning import Pruned, Pruning  # noqa: E402
from seqlab.sweep import study as searching  # noqa: E402

SWEEP = Path("runs/searches/binary_addition")
RATE = "optimizer.lr=tag(log,interval(1e-4,1e-1))"


def load(directory: Path = SWEEP) -> Any:
    return searching.open_study(str(directory / searching.STUDY_FILE), "seqlab", "min")


def states() -> list[str]:
    return [trial.state.name for trial in load().get_trials()]


def distribution(text: str) -> Any:
    return searching.distribution(OverridesParser.create().parse_override(text))


def test_a_search_goes_on_where_it_was_killed(sweep: Sweep) -> None:
    words = ["hparams_search=optuna", RATE, "hydra.sweeper.num_startup=2"]
    assert sweep(*words, "hydra.sweeper.num_trials=2") == 0
    first = [trial.params for trial in load().get_trials()]
    assert all(1e-4 <= one["optimizer.lr"] <= 1e-1 for one in first)
    assert states() == ["COMPLETE", "COMPLETE"]
    killed = load().ask({"optimizer.lr": distribution(RATE)})  # a trial that was running when the process died
    assert sweep(*words, "hydra.sweeper.num_trials=3") == 0  # the command that was killed
    assert states() == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]
    trials = load().get_trials()
    assert [trial.params for trial in trials[:2]] == first
    assert trials[3].params == killed.params
    assert sweep(*words, "hydra.sweeper.num_trials=4") == 0
    assert load().get_trials()[4].params not in [*first, killed.params]  # random numbers do not begin anew
    trials, records = load().get_trials(), ledger.latest_records(SWEEP)
    assert sorted(record.metric for record in records.values() if record.metric is not None) == sorted(t.value for t in trials if t.value is not None)
    assert sweep(*words, "hydra.sweeper.num_trials=4") == 0
    assert len(load().get_trials()) == 5


@pytest.mark.slow
def test_a_failed_trial_is_told_and_stops_nothing(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("hparams_search=optuna", "cell.hidden_size=0,3", "hydra.sweeper.num_trials=4", "hydra.sweeper.sampler=random") == 1
    trials = load().get_trials()
    assert {trial.params["cell.hidden_size"]: trial.state.name for trial in trials} == {"0": "FAIL", "3": "COMPLETE"}
    assert len(list(SWEEP.glob("*/summary.json"))) == 1  # the same values are the same job, trained once
    assert main(["sweep", "retry", str(SWEEP)]) == 1
    again = load().get_trials()[4:]
    assert again[0].params == {"cell.hidden_size": "0"}  # each value that failed once, whatever else is drawn
    assert len(again) == sum(trial.state.name == "FAIL" for trial in trials)


def test_each_failure_is_queued_again_once(tmp_path: Path) -> None:
    study = load(tmp_path)
    for value in (0.1, 0.2, 0.1):
        study.enqueue_trial({"x": value})
        trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
        study.tell(trial, **({"values": 1.0} if value == 0.2 else {"state": optuna.trial.TrialState.FAIL}))
    for _ in range(2):  # the second search was killed before it ran what waits
        searching.requeue(study)
        waiting = [trial.system_attrs["fixed_params"] for trial in study.get_trials() if trial.state.name == "WAITING"]
        assert waiting == [{"x": 0.1}]
    assert searching.with_result(study) == 1


class Trainer:
    """What the callback asks of a trainer."""

    sanity_checking = False
    is_global_zero = True

    def __init__(self, loss: float) -> None:
        self.callback_metrics = {"val/loss": loss}
        self.state = type("State", (), {"fn": "fit"})
        self.strategy = type("Strategy", (), {"broadcast": staticmethod(lambda value: value)})


def test_a_bad_trial_is_pruned_and_a_good_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = load(tmp_path)

    def train(losses: list[float]) -> int:
        trial = study.ask()
        monkeypatch.setenv(searching.TRIAL, json.dumps({"storage": str(tmp_path / searching.STUDY_FILE), "study_name": "seqlab", "number": trial.number}))
        callback: Any = Pruning("val/loss", "min", num_startup=2, num_warmup=1)
        for step, loss in enumerate(losses):
            trainer: Any = Trainer(loss)
            if step == 0:
                callback.on_fit_start(trainer, None)
            try:
                callback.on_train_batch_start(trainer, None, None, 0)
                callback.on_validation_end(trainer, None)
            except Pruned:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                return step
        study.tell(trial, losses[-1])
        return len(losses)

    assert [train([1.0, 0.5, 0.2]), train([1.0, 0.6, 0.3])] == [3, 3]
    assert train([1.0, 0.9, 0.8]) == 2  # not at the first validation, which is warm-up
    assert train([1.0, 0.4, 0.1]) == 3
    assert load(tmp_path).get_trials()[2].intermediate_values == {0: 1.0, 1: 0.9}


def test_a_trial_that_goes_on_is_compared_at_the_point_it_had_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = load(tmp_path)

    def begin(state: dict[str, Any] | None = None) -> Any:
        trial = study.ask()
        monkeypatch.setenv(searching.TRIAL, json.dumps({"storage": str(tmp_path / searching.STUDY_FILE), "study_name": "seqlab", "number": trial.number}))
        callback: Any = Pruning("val/loss", "min")
        if state is not None:
            callback.load_state_dict(state)
        callback.on_fit_start(Trainer(0.0), None)
        return callback

    killed = begin()
    for loss in (1.0, 0.9):
        killed.on_validation_end(Trainer(loss), None)
    going_on = begin(killed.state_dict())  # of the trial in which the values of the killed one are tried again
    going_on.on_validation_end(Trainer(0.8), None)
    assert load(tmp_path).get_trials()[1].intermediate_values == {0: 1.0, 1: 0.9, 2: 0.8}
    assert load(tmp_path).get_trials()[0].intermediate_values == {0: 1.0, 1: 0.9}
    with pytest.raises(Pruned):
        begin({"reported": [1.0], "stop": True}).on_train_batch_start(None, None, None, 0)  # killed before it could end


def test_a_pruned_run_is_recorded_and_settled(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def worse(self: Pruning, *arguments: Any) -> None:
        self.stop = True

    monkeypatch.delenv(searching.TRIAL, raising=False)
    monkeypatch.setattr(Pruning, "on_validation_end", worse)
    done = run("hparams_search=optuna", "cell.hidden_size=2", "trainer.max_epochs=3")
    assert done.summary["status"] == "pruned"
    assert done.summary["steps"] == 6  # the first epoch
    assert done.value == done.summary["monitor_value"] == done.column(done.summary["monitor"])[-1]


def test_only_one_search_at_a_time(tmp_path: Path) -> None:
    with searching.one_search(tmp_path), pytest.raises(ValueError, match=r"a search is running in .* already"), searching.one_search(tmp_path):
        pass


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1,2", optuna.distributions.CategoricalDistribution(["1", "2"])),
        ("a=choice(x,y)", optuna.distributions.CategoricalDistribution(["x", "y"])),
        ("a=interval(0.5,1)", optuna.distributions.FloatDistribution(0.5, 1.0)),
        ("a=int(interval(1,9))", optuna.distributions.IntDistribution(1, 9)),
        ("a=tag(log,int(interval(1,9)))", optuna.distributions.IntDistribution(1, 9, log=True)),
        ("a=range(1,6,2)", optuna.distributions.CategoricalDistribution(["1", "3", "5"])),
    ],
)
def test_words_of_the_command_line_become_distributions(text: str, expected: Any) -> None:
    assert distribution(text) == expected


def test_what_cannot_be_searched_is_said(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="cannot be searched"):
        distribution("a=glob(*)")
    assert sweep("hparams_search=optuna") == 2
    assert "a search needs keys to vary" in capsys.readouterr().err
    with pytest.raises(ValueError, match="Did you mean 'tpe'"):
        searching.make_sampler("tp", 1, 0)
    with pytest.raises(ValueError, match="Known: median, hyperband, none"):
        searching.make_pruner("x", 1, 1)
