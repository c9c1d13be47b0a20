"""Anomalies: every score is a function of the past, the likelihood against its closed form, and a spike is found."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from seqlab import Stack
from seqlab.data.base import Batch
from seqlab.data.watched_series import WatchedSeries
from seqlab.frontends import ConvolvedFeatures, Features
from seqlab.heads import NextValueHead
from seqlab.metrics.likelihood import FEWEST, TAIL, first_of_burst, tail_scores
from seqlab.model import SequenceModel
from seqlab.tasks import AnomalyDetection
from tests.tasks.models import SGD


def task(num_series: int = 1, **options: Any) -> AnomalyDetection:
    torch.manual_seed(0)
    model = SequenceModel(Features(num_series), Stack.of("lstm", num_series, 4), NextValueHead(4, num_series, loss="absolute_error"))
    made = AnomalyDetection(model, SGD, **{"window": 8, "learn_every": 5, "learning_rate": 0.05, **options})
    made.num_rest.fill_(10)
    return made


def wave(rows: int = 200, num_series: int = 1) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.sin(torch.arange(rows)[:, None] * 0.7 + torch.arange(num_series)) + 0.05 * torch.randn(rows, num_series)


@pytest.mark.parametrize("learn_steps", [0, 1])
def test_no_score_knows_the_future(learn_steps: int) -> None:
    made, series = task(learn_steps=learn_steps), wave()
    scores = made.anomaly_scores(series[:-1], series[1:])
    changed = series.clone()
    changed[150:] += 5.0
    others = made.anomaly_scores(changed[:-1], changed[1:])
    assert torch.equal(scores[:150], others[:150])
    assert not torch.equal(scores[150:], others[150:])
    shorter = made.anomaly_scores(series[:119], series[1:120])
    torch.testing.assert_close(shorter, scores[:120])


def test_watching_leaves_the_trained_model_as_it_is_and_learning_helps() -> None:
    made, series = task(), wave(400)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    learned = made.errors(series[:-1], series[1:])
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    made.learn_steps = 0
    assert not torch.equal(learned, made.errors(series[:-1], series[1:]))


def test_a_spike_is_found_and_told_once() -> None:
    made, series = task(2), wave(300, 2)
    series[200, 1] += 6.0
    both = torch.stack([series, wave(300, 2)])
    answer = made.answer(Batch(both, both, torch.tensor([300, 260])))
    assert [len(one["score"]) for one in answer] == [300, 260]
    flagged = [row for row, flag in enumerate(answer[0]["flag"]) if flag]
    assert 200 in flagged
    assert not set(flagged) & set(range(202, 211))  # the rest of 10 rows; the way back from the spike may be farther off than the spike
    assert all(score == 0 for score in answer[0]["score"][:10])


def test_a_series_too_short_to_be_judged_is_said(caplog: pytest.LogCaptureFixture) -> None:
    made = task()
    made.answer(Batch(wave(11)[None], wave(11)[None]))
    assert not caplog.text
    (answer,) = made.answer(Batch(wave(10)[None], wave(10)[None]))
    assert not any(answer["flag"])
    assert "the series has 10 rows, and no row is judged before 10 have gone by" in caplog.text


def test_a_row_that_was_not_measured_is_no_anomaly_in_new_input_either(tmp_path: Path) -> None:
    lines = table(tmp_path / "t.csv").read_text().split("\n")
    (tmp_path / "t.csv").write_text("\n".join([*lines[:20], *(f"{line.partition(',')[0]}," for line in lines[20:23]), *lines[23:]]))
    data, made = WatchedSeries(path=tmp_path / "t.csv", train_fraction=0.3, window=8), task(threshold=0.0, range_tolerance=9.0)
    data.setup()
    made.num_rest.fill_(0)
    (row,) = data.read_new(tmp_path / "t.csv")
    assert row is not None
    (answer,) = made.answer(data.collate([row]))
    whole = next(iter(data.test_dataloader()))
    assert answer["score"] == made.anomaly_scores(whole.inputs[0], whole.targets[0]).tolist()
    assert made.errors(row.inputs[:-1], row.targets[1:])[19:22].tolist() == [0.0] * 3
    batch = data.splits["train"].__getitems__([5, 15])  # type: ignore[attr-defined]
    assert made.outcome(batch).count == 16 - 3


def test_a_value_beyond_the_range_is_flagged() -> None:
    made = task(range_tolerance=0.1)
    rows = torch.tensor([[0.0], [1.0], [float("nan")], [1.05], [1.2], [-0.05], [-0.2]])
    assert made._leaves_range(rows).tolist() == [False, True, False, False, True, False, True]
    made.num_rest.fill_(0)
    late = torch.cat([torch.full((9, 1), float("nan")), rows[[0, 0, 1]]])
    (answer,) = made.answer(Batch(late.nan_to_num(-5.0)[None], late[None]))
    assert answer["flag"] == [False] * 11 + [True]  # the first value that was measured leaves no range


def test_tail_of_exponential_errors_is_their_own_probability() -> None:
    """P(e) = exp(−e), so that the score is e, but for what 19,000 draws leave uncertain of the tail's shape and scale."""
    torch.manual_seed(0)
    errors = torch.empty(20000, dtype=torch.float64).exponential_()
    errors[-1] = 8.0
    scores = tail_scores(errors)
    assert scores[-1].item() == pytest.approx(8.0, rel=0.1)
    assert (scores[:FEWEST] == 0).all()
    late = scores[10000:]
    assert (late > -math.log(TAIL)).double().mean().item() == pytest.approx(TAIL, rel=0.15)


def test_a_spike_that_comes_again_is_no_rarer_than_counted() -> None:
    """Noise with a spike every 100 rows: the first is told by the tail, the later ones by how many there were."""
    torch.manual_seed(0)
    errors = torch.rand(1000, dtype=torch.float64)
    errors[100::100] = 10.0
    scores = tail_scores(errors)
    assert scores[100] > 20
    counted = [-math.log((rows // 100) / (rows + 1)) for rows in range(200, 1000, 100)]
    assert scores[200::100].tolist() == pytest.approx(counted, abs=0.11)  # the last fit was up to 19 rows ago
    errors[900] = 11.0
    assert tail_scores(errors)[900] > scores[900]


def test_series_without_errors_have_no_anomaly() -> None:
    scores = tail_scores(torch.zeros(100))
    assert torch.isfinite(scores).all()
    assert float(scores.max()) == 0.0


def test_first_of_burst_by_hand() -> None:
    scores = torch.tensor([1.0, 3.0, 2.0, 3.0, 2.0, 1.0, 2.5])
    assert first_of_burst(scores, 2).tolist() == [1.0, 3.0, 0.0, 0.0, 0.0, 0.0, 2.5]
    assert first_of_burst(scores, 0).tolist() == scores.tolist()


def table(path: Path, rows: int = 200) -> Path:
    values = wave(rows)[:, 0].tolist()
    path.write_text("timestamp,value\n" + "\n".join(f"2020-01-{1 + row // 24:02d} {row % 24:02d}:00:00,{value}" for row, value in enumerate(values)))
    return path


def test_a_table_that_is_watched(tmp_path: Path) -> None:
    data = WatchedSeries(path=table(tmp_path / "t.csv"), train_fraction=0.3, window=8, calendar=True, batch_size=4)
    data.setup()
    assert data.num_training == 60
    assert (data.spec.input_size, data.spec.output_size, data.spec.horizon) == (3, 1, 1)
    assert len(data.splits["train"]) == 52  # type: ignore[arg-type]
    whole = next(iter(data.test_dataloader()))
    assert whole.inputs.shape == (1, 199, 3)
    assert torch.equal(whole.inputs[0, 1:, :1], whole.targets[0, :-1])
    assert whole.inputs[0, 6, 1:].tolist() == pytest.approx([1.0, 0.0], abs=1e-6)  # six in the morning
    for name, text in data.records().items():
        (tmp_path / name).write_text(text)
    again = WatchedSeries(window=8, calendar=True)
    again.restore(tmp_path)
    rows = again.read_new(table(tmp_path / "new.csv", 30))
    scores = [0.0] * 29 + [9.5]
    answers = [{"score": scores, "flag": [score > 7 for score in scores]}]
    again.write_answers(rows, answers, tmp_path / "out.csv")
    with open(tmp_path / "out.csv", newline="") as file:
        written = [*csv.DictReader(file)]
    assert len(written) == 30
    assert (written[-1]["score"], written[-1]["flag"], written[0]["flag"]) == ("9.5000", "1", "0")
    assert again.draw_answers(rows, answers, tmp_path / "out.png")
    assert (tmp_path / "out.png").exists()
    (tmp_path / "gaps.csv").write_text("timestamp,value\n2020-01-01,1\n\n\n2020-01-02,2\n\n2020-01-03,1\n")
    rows = again.read_new(tmp_path / "gaps.csv")
    again.write_answers(rows, [{"score": [0.0] * 3, "flag": [False] * 3}], tmp_path / "out.csv")
    assert [line.split(",")[0] for line in (tmp_path / "out.csv").read_text().split("\n")] == [
        "timestamp",
        "2020-01-01",
        "",
        "",
        "2020-01-02",
        "",
        "2020-01-03",
        "",
    ]


def test_a_table_that_trains_and_one_that_is_watched(tmp_path: Path) -> None:
    train, test = table(tmp_path / "train.csv", 30), table(tmp_path / "test.csv", 50)
    data = WatchedSeries(train=train, test=test, window=8)
    data.setup()
    assert (data.num_training, len(data.splits["train"])) == (30, 22)  # type: ignore[arg-type]
    whole = next(iter(data.test_dataloader()))
    assert whole.inputs.shape == (1, 49, 1)
    with pytest.raises(ValueError, match=r"data\.val or data\.path is given beside data\.train"):
        WatchedSeries(train=train, val=test, test=test)


def test_a_series_that_stands_still_in_training_can_be_watched(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("value\n" + "\n".join(["45"] * 60 + ["46"] * 60))
    data = WatchedSeries(path=tmp_path / "t.csv", train_fraction=0.4, window=8)
    data.setup()
    targets = next(iter(data.test_dataloader())).targets[0, :, 0]
    assert float(targets[0]) == 0.0
    assert float(targets[-1]) == pytest.approx(1 / 0.45)


def test_wrong_options(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"task.learn_every is 0; expected at least 1"):
        task(learn_every=0)
    path = table(tmp_path / "t.csv")
    with pytest.raises(ValueError, match=r"the training part of .* has 8 rows; expected more than 8, the window"):
        WatchedSeries(path=path, train_fraction=0.04, window=8).setup()
    for share in (0.0, 1.5):
        with pytest.raises(ValueError, match=rf"data.train_fraction is {share}; expected a share above 0 and at most 1"):
            WatchedSeries(path=path, train_fraction=share)
    with pytest.raises(ValueError, match=r"data.max_training is 0; expected at least 1 row"):
        WatchedSeries(path=path, max_training=0)
    (tmp_path / "d.csv").write_text("value\n" + "\n".join(map(str, range(100))))
    with pytest.raises(ValueError, match=r"d.csv has no date; expected one for data.calendar=true"):
        WatchedSeries(path=tmp_path / "d.csv", calendar=True, window=8).setup()


def test_a_front_end_that_has_read_the_next_value_is_refused() -> None:
    model = SequenceModel(ConvolvedFeatures(1, widths=[3], num_filters=4), Stack.of("lstm", 4, 4), NextValueHead(4, 1))
    with pytest.raises(ValueError, match=r"front end ConvolvedFeatures looks ahead.*frontend=features"):
        AnomalyDetection(model, SGD)
