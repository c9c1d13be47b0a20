"""What stands before the encoder: rows of a table for tokens, features as they come."""

import pytest
import torch

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
