"""The learning rate that each step is taken with. Every run reports each step; 6 steps make an epoch of the small adder."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from seqlab.tasks.schedules import OnRise, cosine, halve_on_rise, plateau, step, warmup
from tests.train.conftest import Run

SGD = "optimizer.lr=0.5"


def rates(run: Callable[..., Run], *overrides: str) -> list[float]:
    return run(SGD, *overrides).column("learning_rate")


def test_none_keeps_the_rate(run: Callable[..., Run]) -> None:
    assert rates(run, "schedule=none", "trainer.max_epochs=2") == [0.5] * 12


def test_step_by_epochs(run: Callable[..., Run]) -> None:
    found = rates(run, "schedule=step", "schedule.every=2", "schedule.factor=0.1", "trainer.max_epochs=5")
    assert found == pytest.approx([0.5] * 12 + [0.05] * 12 + [0.005] * 6, rel=1e-12)


def test_step_by_steps(run: Callable[..., Run]) -> None:
    found = rates(run, "schedule=step", "schedule.every=4", "schedule.unit=step", "schedule.factor=0.1", "trainer.max_epochs=2")
    assert found == pytest.approx([0.5] * 4 + [0.05] * 4 + [0.005] * 4, rel=1e-12)


def test_counting_may_begin_later(run: Callable[..., Run]) -> None:
    found = rates(run, "schedule=step", "schedule.every=1", "schedule.after=2", "trainer.max_epochs=5")
    assert found == pytest.approx([0.5] * 18 + [0.25] * 6 + [0.125] * 6, rel=1e-12)


def test_steps_are_those_of_the_optimizer_not_batches(run: Callable[..., Run]) -> None:
    """With two batches to a step, 12 batches are 6 steps, and the second batch of a step sees the rate of the first."""
    options = ["schedule=step", "schedule.every=2", "schedule.unit=step", "schedule.factor=0.1", "trainer.accumulate_grad_batches=2"]
    done = run(SGD, *options, "trainer.max_epochs=2")
    by_step = {int(row["step"]): float(row["learning_rate"]) for row in done.rows if row["learning_rate"]}
    assert [by_step[s] for s in range(1, 7)] == pytest.approx([0.5, 0.5, 0.05, 0.05, 0.005, 0.005], rel=1e-12)
    assert done.summary["steps"] == 6


def test_cosine_goes_over_the_whole_training(run: Callable[..., Run]) -> None:
    found = rates(run, "schedule=cosine", "schedule.final=0.1", "trainer.max_epochs=2")
    expected = [0.5 * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * s / 12))) for s in range(12)]
    assert found == pytest.approx(expected, rel=1e-12)


def test_cosine_goes_as_far_as_max_steps(run: Callable[..., Run]) -> None:
    found = rates(run, "schedule=cosine", "trainer.max_epochs=5", "trainer.max_steps=8")
    assert found == pytest.approx([0.25 * (1 + math.cos(math.pi * s / 8)) for s in range(8)], rel=1e-12)


def test_warmup_then_constant(run: Callable[..., Run]) -> None:
    found = rates(run, "schedule=warmup", "schedule.steps=4")
    assert found == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5, 0.5], rel=1e-12)


def test_warmup_then_cosine(run: Callable[..., Run]) -> None:
    found = rates(run, "schedule=warmup", "schedule.steps=2", "schedule.then=cosine")
    assert found == pytest.approx([0.25, 0.5, *(0.25 * (1 + math.cos(math.pi * s / 4)) for s in range(4))], rel=1e-12)


@pytest.mark.parametrize("then", ["constant", "cosine"])
def test_a_training_may_end_within_the_warmup(then: str, caplog: pytest.LogCaptureFixture) -> None:
    sgd = optimizer(0.5)
    with caplog.at_level("WARNING", logger="seqlab"):
        schedule = warmup(sgd, 3, steps=4, then=then)
    assert "ends after 3 steps, within the warm-up of 4: the learning rate goes up to 75% of optimizer.lr" in caplog.text
    found = []
    for _ in range(5):  # the scheduler is asked for the step after the last as well
        found.append(sgd.param_groups[0]["lr"])
        sgd.step()
        schedule.scheduler.step()
    assert found == [0.125, 0.25, 0.375, 0.5, 0.5]
    caplog.clear()
    warmup(sgd, 4, steps=4, then=then)
    assert not caplog.text


def test_plateau_and_rise_look_at_each_validation(run: Callable[..., Run]) -> None:
    """Validations come every 2 of 6 batches. At rate 0 the loss stays as it is: no better, no worse."""
    still = ["optimizer.lr=0", "trainer.val_check_interval=2", "trainer.max_epochs=2"]
    done = run(*still, "schedule=plateau", "schedule.patience=1", "schedule.factor=0.1")
    state = done.checkpoint("last")["lr_schedulers"][0]
    assert (state["last_epoch"], state["num_bad_epochs"]) == (6, 1)  # 6 validations: best, bad, reduced, bad, reduced, bad
    done = run(*still, "schedule=halve_on_rise")
    assert done.checkpoint("last")["lr_schedulers"][0]["previous"] == done.column("val/loss")[-1]


def test_halve_on_rise_halves_after_each_rise_of_the_validation_loss(run: Callable[..., Run]) -> None:
    done = run("optimizer.lr=6", "schedule=halve_on_rise", "trainer.max_epochs=8", "seed=2")
    losses, found = done.column("val/loss"), done.column("learning_rate")[::6]
    expected = [6.0]
    for before, now in zip([math.inf, *losses], losses, strict=False):
        expected.append(expected[-1] / 2 if now > before else expected[-1])
    assert found == expected[:8]
    assert len(set(expected[:8])) > 1  # there was a rise to see


def optimizer(lr: float = 1.0) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr)


def test_plateau_waits_for_its_patience() -> None:
    sgd = optimizer()
    schedule = plateau(sgd, None, patience=2, factor=0.5, minimum=0.3)
    found = []
    for loss in [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5]:
        schedule.scheduler.step(loss)
        found.append(sgd.param_groups[0]["lr"])
    assert found == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.3, 0.3]
    assert (schedule.interval, schedule.monitor) == ("validation", "val/loss")


def test_on_rise_takes_a_nan_for_a_rise_and_forgets_it() -> None:
    sgd = optimizer()
    schedule = OnRise(sgd, 0.5)
    found = []
    for loss in [1.0, 2.0, 2.0, 1.5, float("nan"), 1.4, 1.6]:
        schedule.step(loss)
        found.append(sgd.param_groups[0]["lr"])
    assert found == [1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]


def test_what_a_schedule_refuses() -> None:
    with pytest.raises(ValueError, match=r"schedule\.every is 0"):
        step(optimizer(), 10, every=0)
    with pytest.raises(ValueError, match=r"no unit is named 'epochs'\. Did you mean 'epoch'"):
        step(optimizer(), 10, every=1, unit="epochs")
    with pytest.raises(ValueError, match="has no end"):
        cosine(optimizer(), None)
    with pytest.raises(ValueError, match="no continuation of the warm-up is named 'cosin'"):
        warmup(optimizer(), 5, steps=1, then="cosin")
    with pytest.raises(ValueError, match=r"schedule\.factor is 2"):
        halve_on_rise(optimizer(), None, factor=2)


def test_a_metric_that_a_schedule_waits_for_in_vain_is_named(run: Callable[..., Run]) -> None:
    with pytest.raises(ValueError, match=r"no metric is named 'val/los'\. Did you mean 'val/loss'"):
        run("schedule=halve_on_rise", "schedule.monitor=val/los")
