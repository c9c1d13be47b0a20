"""`seqlab.stream`: one step at a time equals the run over the whole sequence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import seqlab
from seqlab.data.base import DataSpec
from seqlab.export.formats import export
from seqlab.frontends import Sentences
from seqlab.heads import PooledHead
from seqlab.layers import Stack
from seqlab.model import SequenceModel
from seqlab.runs import load_run
from seqlab.streaming import Stepper
from tests.feature_runs import make_feature_run
from tests.text_runs import make_run

ROUNDING = {"rtol": 1e-4, "atol": 1e-6}  # float32; a product over all steps at once adds up in another order
FEATURES = torch.randint(0, 2, (3, 9, 2), generator=torch.Generator().manual_seed(1)).float()
TOKENS = torch.randint(0, 20, (3, 9), generator=torch.Generator().manual_seed(1))


def offline(run: Path, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return load_run(run).task.model(inputs)[0]


def steps(stepper: seqlab.streaming.Stepper, inputs: Tensor) -> Tensor:  # pyright: ignore
    return torch.stack([stepper(inputs[:, t]) for t in range(inputs.shape[1])], 1)


@pytest.mark.parametrize(
    ("overrides", "inputs"),
    [
        (["cell=lstm", "encoder.num_layers=2", "encoder.learn_initial_state=true"], FEATURES),
        (["cell=min_gru", "wrap=[zoneout]"], FEATURES),
        (["cell=lru", "executor=scan"], FEATURES),
        (["experiment=char_lm", "cell=gru", "encoder.num_layers=2"], TOKENS),
        (["experiment=char_lm", "head=tied"], TOKENS),
    ],
    ids=["lstm", "zoneout", "scan", "gru-tokens", "tied"],
)
def test_step_by_step_equals_the_whole(overrides: list[str], inputs: Tensor, tmp_path: Path) -> None:
    run = (make_run if inputs is TOKENS else make_feature_run)(tmp_path / "run", *overrides)
    stepper = seqlab.stream(run, batch_size=3)
    scores = steps(stepper, inputs)
    expected = offline(run, inputs)
    torch.testing.assert_close(scores, expected, **ROUNDING)
    assert not expected[:, 0].allclose(expected[:, -1], **ROUNDING), "steps that are all alike would prove nothing"
    stepper.reset()
    assert steps(stepper, inputs).equal(scores)


def test_the_state_is_the_callers(tmp_path: Path) -> None:
    stepper = seqlab.stream(make_feature_run(tmp_path / "run", "cell=lstm"), batch_size=3)
    assert set(stepper.state) == {"0.h", "0.c"}
    steps(stepper, FEATURES[:, :4])
    kept = stepper.state
    rest = steps(stepper, FEATURES[:, 4:])
    stepper.state = kept
    assert steps(stepper, FEATURES[:, 4:]).equal(rest), "a step writes into no state that it was given"
    stepper.state = {"h": kept["0.h"]}
    with pytest.raises(ValueError, match="state has the leaves"):
        stepper(FEATURES[:, 0])


def test_one_stream_starts_anew_and_the_others_go_on(tmp_path: Path) -> None:
    stepper = seqlab.stream(make_feature_run(tmp_path / "run", "cell=gru", "encoder.learn_initial_state=true"), batch_size=3)
    before = steps(stepper, FEATURES)
    stepper.reset([1])
    after = steps(stepper, FEATURES)
    torch.testing.assert_close(after[1], before[1], **ROUNDING)
    assert not after[0].allclose(before[0])
    with pytest.raises(ValueError, match=r"row 3 is no stream; expected 0\.\.2\."):
        stepper.reset([3])


def test_of_a_head_that_pools_the_last_step_come_the_scores_so_far(tmp_path: Path) -> None:
    run = make_feature_run(tmp_path / "run", "cell=gru", "head=pooled")
    scores = steps(seqlab.stream(run, batch_size=3), FEATURES)
    for t in (0, 4, 8):
        torch.testing.assert_close(scores[:, t], offline(run, FEATURES[:, : t + 1]), **ROUNDING)


def test_sentences_are_steps_too() -> None:
    torch.manual_seed(0)
    frontend = Sentences(input_size=9, embedding_size=4)
    encoder = Stack.of("gru", input_size=4, hidden_size=5)
    model = SequenceModel(frontend, encoder, PooledHead(5, 3)).eval()
    story = torch.randint(1, 9, (2, 6, 4))
    stepper = Stepper(model, DataSpec("sentences", 9, "sequence", 3), batch_size=2)
    with torch.no_grad():
        torch.testing.assert_close(steps(stepper, story)[:, -1], model(story)[0], **ROUNDING)
    with pytest.raises(ValueError, match=r"x has shape \(2,\); expected \(2, words\): one step of sentences for each stream\."):
        stepper(story[:, 0, 0])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["encoder.bidirectional=true"], "its encoder is bidirectional"),
        (["frontend=convolutions"], "its front end ConvolvedFeatures reads the steps after each one"),
        (["frontend=segments", "frontend.length=2"], "its Segments makes one step of several"),
        (["head=pooled", "head.pool=mean"], "its head pools over all steps"),
        (["task=step_labelling", "head=crf"], "its head is a CRF"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_must_see_the_future_is_refused(overrides: list[str], message: str, tmp_path: Path) -> None:
    run = make_feature_run(tmp_path / "run", *overrides)
    with pytest.raises(ValueError, match=f"this run cannot be streamed: {message}"):
        seqlab.stream(run)


def test_a_model_that_writes_a_sequence_from_another_is_refused(tmp_path: Path) -> None:
    small = ["experiment=reverse", "~callbacks.attention", "encoder.bidirectional=false", "data.num_train=8", "data.num_val=8", "data.num_test=8"]
    run = make_feature_run(tmp_path / "run", small=small)
    with pytest.raises(ValueError, match="it writes a sequence from another"):
        seqlab.stream(run)
    with pytest.raises(ValueError, match="which no graph of one call holds"):
        export(run, "torch_export", tmp_path / "model.pt2")


def test_wrong_inputs(tmp_path: Path) -> None:
    features, tokens = seqlab.stream(make_feature_run(tmp_path / "features"), batch_size=3), seqlab.stream(make_run(tmp_path / "tokens", "experiment=char_lm"))
    with pytest.raises(ValueError, match=r"x has shape \(3, 9, 2\); expected \(3, 2\): one step of features for each stream"):
        features(FEATURES)
    with pytest.raises(ValueError, match=r"x has shape \(3,\); expected \(1,\): one step of tokens"):
        tokens(TOKENS[:, 0])
    with pytest.raises(TypeError, match=r"x has dtype torch\.float32; expected whole numbers"):
        tokens(torch.zeros(1))
    with pytest.raises(ValueError, match="inputs hold the token 9999"):
        tokens(torch.tensor([9999]))
    with pytest.raises(ValueError, match="batch_size is 0"):
        seqlab.stream(tmp_path / "features", batch_size=0)
