"""What stands before the encoder: rows of a table for tokens, features as they come."""

import math

import pytest
import torch

from seqlab.data.base import Batch
from seqlab.frontends import Features, Tokens

INPUTS = torch.tensor([[2, 0, 2], [1, 2, 1]])


def test_a_token_becomes_its_row():
    tokens = Tokens(3, embedding_size=4)
    vectors = tokens(INPUTS)
    assert vectors.shape == (2, 3, tokens.output_size)
    assert torch.equal(vectors[0, 1], tokens.embedding.weight[0])
    assert torch.equal(vectors[0, 0], vectors[1, 1])


def test_rows_start_within_the_bound():
    torch.manual_seed(0)
    weight = Tokens(50, embedding_size=40, uniform=0.3).embedding.weight.abs()
    assert 0.29 < weight.max() <= 0.3  # 2,000 draws
    assert 0.14 < weight.mean() < 0.16


@pytest.mark.parametrize("frontend", [Tokens(3, 400, dropout=0.25, uniform=1.0), Features(400, dropout=0.25)], ids=["tokens", "features"])
def test_dropout_is_off_in_evaluation(frontend):
    torch.manual_seed(0)
    inputs = INPUTS if isinstance(frontend, Tokens) else torch.randn(2, 3, 400)
    dropped, whole = frontend.train()(inputs), frontend.eval()(inputs)
    kept = dropped != 0
    assert 0.71 < kept.double().mean() < 0.79  # 2,400 draws: four standard deviations
    torch.testing.assert_close(dropped, torch.where(kept, whole / 0.75, 0.0))
    assert isinstance(frontend, Tokens) or torch.equal(whole, inputs)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Tokens(3)(INPUTS + 1), r"inputs hold the token 3; expected ids in 0..2, the vocabulary"),
        (lambda: Tokens(3)(INPUTS - 1), r"inputs hold the token -1; expected ids in 0..2, the vocabulary"),
        (lambda: Tokens(3, 0), "embedding_size is 0; expected at least 1"),
        (lambda: Tokens(3, dropout=1.0), r"frontend dropout is 1.0; expected a probability in \[0, 1\)"),
        (lambda: Tokens(3, uniform=-0.1), "frontend uniform is -0.1; expected the bound of ±uniform, at least 0"),
        (lambda: Features(3, dropout=-0.1), r"frontend dropout is -0.1; expected a probability in \[0, 1\)"),
    ],
)
def test_errors_name_the_value_and_what_was_expected(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_embedding_dropout_takes_words_out_wherever_they_stand():
    torch.manual_seed(0)
    tokens = Tokens(1000, 2, embedding_dropout=0.25, uniform=1.0).train()
    inputs = torch.arange(1000).repeat(2, 2)
    dropped = tokens(inputs)
    assert torch.equal(dropped[0], dropped[1])
    assert torch.equal(dropped[:, :1000], dropped[:, 1000:])
    gone = (dropped[0, :1000] == 0).all(-1)
    assert 0.19 < gone.double().mean() < 0.31  # 1,000 draws: four standard deviations
    torch.testing.assert_close(dropped[0, :1000][~gone], tokens.eval()(inputs)[0, :1000][~gone] / 0.75)


def test_locked_dropout_is_one_mask_for_a_row():
    torch.manual_seed(0)
    dropped = Tokens(3, 400, dropout=0.25, locked_dropout=True, uniform=1.0).train()(INPUTS)
    kept = dropped != 0
    assert torch.equal(kept[:, 0], kept[:, 1])
    assert not torch.equal(kept[0], kept[1])


def test_features_are_normalised_by_the_valid_steps_of_the_training_split():
    class Data:
        def train_dataloader(self):
            yield Batch(torch.tensor([[[1e6 + 1, 5.0]], [[1e6 + 3, 5.0]]]), torch.zeros(2))
            padded = torch.tensor([[[1e6 + 5, 5.0], [9e9, 9e9]]])
            yield Batch(padded, torch.zeros(1), torch.tensor([1]))

    features = Features(2, normalise=True).double()
    features.prepare(Data())
    expected = [math.sqrt((2**2 + 0 + 2**2) / 3), 1.0]  # of 1, 3 and 5 around 3, and of a feature that never changes
    torch.testing.assert_close(features.deviation, torch.tensor(expected, dtype=torch.float64))
    x = torch.tensor([[[1e6 + 3, 7.0]]], dtype=torch.float64)
    torch.testing.assert_close(features(x), torch.tensor([[[0.0, 2.0]]], dtype=torch.float64))
    assert set(features.state_dict()) == {"mean", "deviation"}
    assert not Features(2).state_dict()
