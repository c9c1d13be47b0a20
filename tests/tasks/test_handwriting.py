"""The likelihood of steps, samples that follow from what was drawn before, and a run from its config to the picture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from seqlab import Stack
from seqlab.config import config_folder
from seqlab.data.base import Batch
from seqlab.frontends import ConvolvedFeatures, Features
from seqlab.heads import StepHead
from seqlab.heads.mixture import MixtureDensityHead, negative_log_likelihood
from seqlab.model import SequenceModel
from seqlab.tasks import Handwriting
from seqlab.train import train
from tests.data.own_digits import write_digits
from tests.tasks.models import SGD


def task(conditions: int = 2, mixtures: int = 3) -> Handwriting:
    torch.manual_seed(0)
    size = 3 + conditions
    return Handwriting(SequenceModel(Features(size), Stack.of("lstm", size, 4), MixtureDensityHead(4, mixtures)), SGD)


def test_the_loss_is_the_mean_over_the_steps_that_are_there() -> None:
    made, lengths = task(), torch.tensor([5, 2])
    inputs, targets = torch.randn(2, 5, 5), torch.rand(2, 5, 3).round()
    outcome = made.outcome(Batch(inputs, targets, lengths))
    rows = [negative_log_likelihood(made.model(inputs[row, :length][None])[0][0], targets[row, :length]) for row, length in enumerate([5, 2])]
    assert outcome.count == 7
    torch.testing.assert_close(outcome.loss, torch.cat(rows).mean())


def test_samples_follow_the_seed_and_what_was_drawn_before() -> None:
    made, wanted = task(), torch.eye(2)
    first = made.sample(wanted, 6, torch.Generator().manual_seed(0))
    assert first.shape == (2, 6, 3)
    assert torch.equal(first, made.sample(wanted, 6, torch.Generator().manual_seed(0)))
    assert not torch.equal(first, made.sample(wanted, 6, torch.Generator().manual_seed(1)))
    assert set(first[..., 2].unique().tolist()) <= {0.0, 1.0}
    # a pen that is sure of itself writes what the recurrence says: the mean of the likeliest Gaussian, after every step so far
    sure = made.sample(wanted, 6, torch.Generator().manual_seed(0), bias=1000.0)
    read = torch.cat([torch.tensor([0.0, 0.0, 1.0]).expand(2, 1, 3), sure[:, :-1]], 1)
    scores = made.model(torch.cat([read, wanted[:, None].expand(-1, 6, -1)], 2))[0]
    pi, x, y = scores[..., 1:10].unflatten(-1, (3, 3)).unbind(-2)
    likeliest = pi.argmax(-1, keepdim=True)
    expected = torch.cat([x.gather(-1, likeliest), y.gather(-1, likeliest)], -1)
    torch.testing.assert_close(sure[..., :2], expected, rtol=0, atol=0.01)  # ten least deviations


def test_models_that_have_read_ahead_are_refused() -> None:
    head = MixtureDensityHead(4, 2)
    with pytest.raises(ValueError, match="the encoder is bidirectional"):
        Handwriting(SequenceModel(Features(3), Stack.of("lstm", 3, 2, bidirectional=True), head), SGD)
    with pytest.raises(ValueError, match="the front end ConvolvedFeatures looks ahead"):
        Handwriting(SequenceModel(ConvolvedFeatures(3), Stack.of("lstm", 64, 4), head), SGD)
    with pytest.raises(ValueError, match="the head is a StepHead; expected a density over the next step"):
        Handwriting(SequenceModel(Features(3), Stack.of("lstm", 3, 4), StepHead(4, 3)), SGD)
    with pytest.raises(ValueError, match="the data has 5 values in a step; expected 3"):
        MixtureDensityHead(4, output_size=5)


def test_a_run_writes_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, directory = write_digits(tmp_path, monkeypatch), tmp_path / "run"
    small = ["data.num_train=12", "data.num_val=5", "data.num_test=10", f"data.data_dir={folder}", "cell.hidden_size=4", "head.num_mixtures=2"]
    places = [f"callbacks.strokes.directory={directory}", "callbacks.strokes.samples=1", "callbacks.strokes.longest=5", "trainer.enable_progress_bar=false"]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", ["experiment=handwriting", "trainer.max_epochs=1", "executor=loop", *small, *places])
    loss = train(config, directory, small)
    assert loss is not None
    assert (directory / "strokes.png").stat().st_size > 1000
