"""The decoder at once against step by step; the bridge between unlike parts; padding of the source changes nothing."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from seqlab import Bidirectional, Layer, Stack, make_cell
from seqlab.attention import AdditiveAttention, DotAttention, GeneralAttention, LocationAttention
from seqlab.executors import lengths_to_mask
from seqlab.registry import known_names
from seqlab.search import Beam, beam_search
from seqlab.seq2seq import Bridge, Decoder, TeacherForcing

LENGTHS = torch.tensor([5, 2, 4])
EXACT = {"rtol": 1e-9, "atol": 1e-11}  # float64; at once and step by step sum in another order
ENCODERS = {
    "stack of both directions": lambda: Stack.of("lstm", 3, 4, 2, bidirectional=True),
    "one layer": lambda: Layer(make_cell("gru", 3, 4)),
    "one layer of both directions": lambda: Bidirectional(Layer(make_cell("gru", 3, 4)), Layer(make_cell("rnn", 3, 2))),
}
KINDS = {
    "general": {"attention": GeneralAttention},
    "additive with input feeding": {"attention": partial(AdditiveAttention, attention_size=3), "input_feeding": True},
    "location": {"attention": partial(LocationAttention, attention_size=3, num_filters=2, filter_size=3)},
    "tied": {"attention": GeneralAttention, "attended_size": 4, "tied": True},
    "narrow with input feeding": {"attention": GeneralAttention, "attended_size": 3, "input_feeding": True},
    "no bridge": {"attention": GeneralAttention, "bridge": False},
    "no attention": {},
}


def build(kind: str = "general", encoder: str = "stack of both directions", cell: str = "gru", depth: int = 1) -> tuple[torch.nn.Module, Decoder]:
    torch.manual_seed(2)
    reads = ENCODERS[encoder]().double()
    decoder = Decoder(7, reads, partial(Stack.of, cell, hidden_size=5, num_layers=depth), embedding_size=4, **KINDS[kind]).double()
    return reads, decoder


def begin(reads: torch.nn.Module, decoder: Decoder, x: torch.Tensor, lengths: torch.Tensor | None):
    y, final = reads(x, lengths)
    return decoder.start(y, None if lengths is None else lengths_to_mask(lengths, x.shape[1]), final)


def source() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(3, 5, 3, generator=generator).double()
    x[~lengths_to_mask(LENGTHS, 5)] = torch.nan
    return x, torch.randint(7, (3, 6), generator=generator)


@pytest.mark.parametrize("kind", KINDS)
def test_at_once_equals_step_by_step_and_a_row_alone(kind: str) -> None:
    reads, decoder = build(kind)
    x, tokens = source()
    state = begin(reads, decoder, x, LENGTHS)
    scores, weights = decoder(tokens, state)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = begin(reads, decoder, x[row : row + 1, :length], None)
        for place in range(6):
            score, alone = decoder.step(tokens[row : row + 1, place], alone)
            torch.testing.assert_close(score[0], scores[row, place], **EXACT)
            if weights is not None:
                torch.testing.assert_close(alone["weights"][0], weights[row, place, :length], **EXACT)
                assert not weights[row, place, length:].any()
    assert (weights is None) == (kind == "no attention")


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(("cell", "depth"), [("lstm", 3), ("gru", 1), ("lru", 2)])
def test_any_decoder_starts_from_any_encoder_and_gradients_reach_it(encoder: str, cell: str, depth: int) -> None:
    reads, decoder = build("no attention", encoder, cell, depth)
    x, tokens = source()
    scores, _ = decoder(tokens, begin(reads, decoder, x, LENGTHS))
    scores.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in (*reads.parameters(), *decoder.parameters()))
    assert all(p.grad.any() for p in decoder.bridge.parameters())


@pytest.mark.parametrize("name", known_names())
def test_every_cell_reads_and_writes(name: str) -> None:
    """As encoder, of both directions and stacked, before a decoder of another cell, depth and width, and the other way round."""
    x, tokens = source()
    for reading, writing in ((name, "lstm"), ("gru", name)):
        torch.manual_seed(2)
        reads = Stack.of(reading, 3, 4, 2, bidirectional=True).double()
        decoder = Decoder(7, reads, partial(Stack.of, writing, hidden_size=5, num_layers=1), GeneralAttention, embedding_size=4).double()
        state = begin(reads, decoder, x, LENGTHS)
        scores, _ = decoder(tokens, state)
        torch.nn.functional.cross_entropy(scores.flatten(0, 1), tokens.flatten()).backward()
        parameters = (*reads.parameters(), *decoder.parameters())
        assert all(p.grad is not None and p.grad.isfinite().all() for p in parameters)
        assert all(sum(p.grad.abs().sum() for p in layer.parameters()) > 0 for layer in (*reads.children(), decoder.layers, decoder.bridge))
        found = beam_search(decoder.step, *decoder.step(tokens[:, 0], {k: v.detach() for k, v in state.items()}), Beam(2), 3, end=2)
        assert all(0 <= row[0].log_probability * -1 < torch.inf for row in found)


def test_the_top_of_the_decoder_reads_the_top_of_the_encoder() -> None:
    bridge = Bridge(Stack.of("lstm", 3, 4, 2), Stack.of("gru", 3, 4, 3))
    assert bridge.sources == {"2.h": ["1.h", "1.c"], "1.h": ["0.h", "0.c"], "0.h": ["0.h", "0.c"]}
    state = {name: torch.randn(2, 4) for name in ("0.h", "0.c", "1.h", "1.c")}
    one = bridge(state)
    expected = torch.tanh(bridge.maps["2/h"](torch.cat([state["1.h"], state["1.c"]], 1)))
    torch.testing.assert_close(one["2.h"], expected)
    assert not torch.equal(bridge({**state, "0.c": state["0.c"] + 1})["0.h"], one["0.h"])
    assert not list(set(bridge.parameters()) & set(bridge.decoder[0].parameters()))


def test_a_tied_output_is_the_embedding() -> None:
    _, decoder = build("tied")
    assert decoder.output.weight is decoder.embedding.weight
    assert decoder.output.weight.abs().max() <= 0.1  # not N(0, 1), whose first scores would lie far apart


def test_without_teacher_forcing_the_model_reads_what_it_drew(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, decoder = build("general")
    x, tokens = source()
    state = begin(reads, decoder, x, LENGTHS)
    monkeypatch.setattr(torch, "multinomial", lambda p, n: p.argmax(-1, keepdim=True))
    scores, _ = decoder(tokens, state, teacher_forcing=0.0)
    read = tokens[:, 0]
    for place in range(6):
        score, state = decoder.step(read, state)
        torch.testing.assert_close(scores[:, place], score, **EXACT)
        read = score.argmax(-1)


def test_schedules_fall_as_the_paper_says() -> None:
    assert TeacherForcing().probability(10**9) == 1
    assert TeacherForcing("linear", least=0.25, k=100).probability(50) == 0.5
    assert TeacherForcing("linear", least=0.25, k=100).probability(99) == 0.25
    assert TeacherForcing("exponential", k=100).probability(100) == pytest.approx(0.36787944)
    assert TeacherForcing("inverse_sigmoid", k=100).probability(0) == pytest.approx(100 / 101)
    assert TeacherForcing("inverse_sigmoid", k=1).probability(10**6) == pytest.approx(0)
    with pytest.raises(ValueError, match=r"no teacher forcing schedule is named 'liner'.*'linear'"):
        TeacherForcing("liner")
    with pytest.raises(ValueError, match="expected 0 <= least <= start <= 1"):
        TeacherForcing(least=0.5, start=0.2)


def test_beams_carry_their_own_states() -> None:
    """The log-probability of a hypothesis is what reading it afresh gives; a state of another hypothesis would be seen."""
    reads, decoder = build("additive with input feeding")
    x, _ = source()
    state = begin(reads, decoder, x, LENGTHS)
    first = torch.full((3,), 1)
    found = beam_search(decoder.step, *decoder.step(first, state), Beam(4, num_best=4, coverage_penalty=0.1), 5, end=2)
    for row, hypotheses in enumerate(found):
        for hypothesis in hypotheses:
            ids = [*hypothesis.ids, 2] if hypothesis.ended else list(hypothesis.ids)
            tokens = torch.tensor([[1, *ids[:-1]]])
            alone = {name: leaf[row : row + 1] for name, leaf in state.items()}
            expected = decoder(tokens, alone)[0].log_softmax(-1)[0, range(len(ids)), ids].sum()
            assert hypothesis.log_probability == pytest.approx(expected.item(), abs=1e-9)


def test_what_is_wrong_is_said() -> None:
    reads = ENCODERS["one layer"]()
    layers = partial(Stack.of, "gru", hidden_size=5)
    with pytest.raises(ValueError, match="no attention whose result could be fed"):
        Decoder(7, reads, layers, input_feeding=True)
    with pytest.raises(ValueError, match="the output reads 5 values and the embedding has 128"):
        Decoder(7, reads, layers, tied=True)
    with pytest.raises(ValueError, match="attended_size is 3 but there is no attention"):
        Decoder(7, reads, layers, attended_size=3)
    with pytest.raises(ValueError, match="the decoder's layers are bidirectional"):
        Decoder(7, reads, partial(layers, bidirectional=True))
    with pytest.raises(ValueError, match="neither attention nor a bridge"):
        Decoder(7, reads, layers, bridge=False)
    with pytest.raises(ValueError, match="key_size is 4 and query_size 5"):
        Decoder(7, reads, layers, DotAttention)
