"""`seqlab evaluate cache=N`: a language model with and without a neural cache, whose values are chosen on validation alone."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from seqlab import evaluate_command
from seqlab.evaluate import evaluate
from tests.text_runs import make_run
from tests.train.conftest import Run

QUICK = ["trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "executor=loop"]


@pytest.fixture(scope="module")
def language_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("cache") / "run", "experiment=char_lm", "data.eval_batch_size=2", *QUICK)


def test_the_values_are_the_best_on_validation(language_run: Path) -> None:
    thetas, shares = [0.0, 3.0], [0.0, 0.1]
    found = evaluate(language_run, cache=40, cache_theta=thetas, cache_lambda=shares)
    plain = evaluate(language_run)
    assert {name: found[name] for name in plain} == plain  # what is without a cache stays as it was
    alone = {pair: evaluate(language_run, cache=40, cache_theta=[pair[0]], cache_lambda=[pair[1]]) for pair in itertools.product(thetas, shares)}
    best = min(alone, key=lambda pair: alone[pair]["val/cache_loss"])
    assert best != min(alone)  # a choice to be made
    assert (found["cache_theta"], found["cache_lambda"], found["cache_window"]) == (*best, 40)
    assert found == alone[best]
    assert alone[0.0, 0.0]["test/cache_perplexity"] == pytest.approx(plain["test/perplexity"], rel=1e-5)  # the mean is kept in float32
    one_stream = evaluate(language_run, changes=["data.eval_batch_size=1"], cache=40, cache_theta=best[:1], cache_lambda=best[1:])
    assert one_stream["test/cache_loss"] != found["test/cache_loss"]


def test_the_largest_of_the_values_is_warned_of(language_run: Path, caplog: pytest.LogCaptureFixture) -> None:
    evaluate(language_run, cache=9, cache_theta=[0.1, 0.1], cache_lambda=[0.0, 0.001])
    assert "cache_theta 0.1 is the largest of those tried" in caplog.text


def test_the_command_prints_both(language_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [f"run={language_run}", "cache=40", "cache_theta=[0.3,1]", "cache_lambda=0.1"]
    assert evaluate_command.main([*arguments, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert {"val/perplexity", "val/cache_perplexity", "test/perplexity", "test/cache_perplexity", "test/cache_bits_per_character"} <= set(figures)
    assert (figures["cache_window"], figures["cache_lambda"]) == (40, 0.1)
    assert evaluate_command.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "cache_perplexity" in shown
    assert "validation" in shown  # its progress
    assert f"cache: window 40, theta {figures['cache_theta']:g}, lambda 0.1, the best on validation of those tried." in shown
    assert evaluate_command.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name}=" in shown for name in evaluate_command.READERS)


def test_what_cannot_be_done_is_refused(language_run: Path, run: Callable[..., Run]) -> None:
    done = run()
    with pytest.raises(ValueError, match=rf"cache is 500, but run {done.directory} trained a BitLabelling; expected a language model\. Leave cache out\."):
        evaluate(done.directory, cache=500)
    with pytest.raises(ValueError, match=r"cache is 0; expected at least 1 step"):
        evaluate(language_run, cache=0)
    with pytest.raises(ValueError, match="cache_theta is given without a cache"):
        evaluate(language_run, cache_theta=[0.1])
    with pytest.raises(ValueError, match="the cache has read no word"):
        evaluate(language_run, cache=9, changes=["trainer.limit_val_batches=0"])
    with pytest.raises(ValueError, match=r"cache_theta is '0\.1;0\.2'; expected numbers, with commas between them"):
        evaluate_command.main([f"run={language_run}", "cache=9", "cache_theta=0.1;0.2"])
    with pytest.raises(ValueError, match=r"cache is '5\.5'; expected a whole number"):
        evaluate_command.main([f"run={language_run}", "cache=5.5"])
