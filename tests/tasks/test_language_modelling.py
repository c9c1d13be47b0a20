"""Language modelling: truncated back-propagation equals one long run, padding does not count, and the loss is what it is called."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from hydra import compose, initialize_config_dir
from torch.nn.functional import cross_entropy
from torchmetrics.text import Perplexity

from seqlab import Stack
from seqlab.build import build_data, build_task
from seqlab.config import config_folder
from seqlab.data.base import Batch, Example, pad_batch
from seqlab.data.streams import StreamBatches, TokenStreams
from seqlab.frontends import Tokens
from seqlab.heads import StepHead
from seqlab.model import SequenceModel
from seqlab.search import Sampling
from seqlab.tasks import LanguageModelling

FIXTURES = Path(__file__).parent.parent / "fixtures" / "text"
V = 11


def make_task(cell: str = "gru", *, unit: str = "characters", lr: float = 0.1, **stack: Any) -> LanguageModelling:
    torch.manual_seed(0)
    encoder = Stack.of(cell, 5, 6, **stack)
    model = SequenceModel(Tokens(V, 5, uniform=1.0), encoder, StepHead(encoder.output_size, V, uniform=1.0))
    return LanguageModelling(model, partial(torch.optim.SGD, lr=lr), unit=unit).double()


def documents(*sizes: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(V, (size,), generator=generator) for size in sizes]


def batches(data: TokenStreams, num_streams: int, chunk_length: int) -> list[Batch]:
    return [data.__getitems__(chunks) for chunks in StreamBatches(data.spans, num_streams, chunk_length, False, 0)]


def evaluate(task: LanguageModelling, read: list[Batch]) -> float:
    """The validation loss over the batches, as the trainer would have it."""
    task.eval()
    with torch.no_grad():
        for batch in read:
            task._evaluate("val", batch)
    loss = task.losses["val"].compute().item()  # pyright: ignore[reportCallIssue]
    task.losses["val"].reset()  # pyright: ignore[reportCallIssue]
    return loss


def loss_alone(task: LanguageModelling, document: torch.Tensor) -> torch.Tensor:
    """Sum of the losses of a document read in one piece."""
    scores, _ = task.eval().model(document[None, :-1])
    return cross_entropy(scores[0], document[1:], reduction="sum")


@pytest.mark.parametrize(("cell", "executor"), [("rnn", "loop"), ("lstm", "native"), ("gru", "loop")])
@pytest.mark.parametrize("chunk_length", [1, 7, 50])
def test_chunks_with_carried_state_equal_one_run(cell: str, executor: str, chunk_length: int) -> None:
    task = make_task(cell, num_layers=2, executor=executor)
    (document,) = documents(48)
    found = evaluate(task, batches(TokenStreams([document]), 1, chunk_length))
    assert found == pytest.approx(loss_alone(task, document).item() / 47, rel=1e-6)  # the mean is kept in float32


@pytest.mark.parametrize("chunk_length", [1, 4, 50])
def test_documents_do_not_see_each_other(chunk_length: int) -> None:
    task = make_task("lstm")
    docs = documents(9, 2, 30, 5)
    expected = sum(loss_alone(task, document).item() for document in docs) / (8 + 1 + 29 + 4)
    assert evaluate(task, batches(TokenStreams(docs), 1, chunk_length)) == pytest.approx(expected, rel=1e-6)  # float32 mean


def test_rows_of_streams_do_not_see_each_other() -> None:
    task = make_task("lstm")
    (document,) = documents(41)
    pieces = [document[start : start + 11] for start in (0, 10, 20, 30)]
    expected = sum(loss_alone(task, piece).item() for piece in pieces) / 40
    assert evaluate(task, batches(TokenStreams([document]), 4, 3)) == pytest.approx(expected, rel=1e-6)  # float32 mean


def test_streams_that_end_early_leave_the_others_as_they_were() -> None:
    task = make_task("lstm")
    docs = documents(3, 3, 3, 3, 30)
    data = TokenStreams(docs)
    read = batches(data, 2, 5)
    assert len({len(batch.inputs) for batch in read}) > 1, "the case that is tested"
    share = len(data) // 2 - 8  # of the long document, in the first stream; the rest is the second
    pieces = [*docs[:4], docs[4][: share + 1], docs[4][share:]]
    expected = sum(loss_alone(task, piece).item() for piece in pieces) / len(data)
    assert evaluate(task, read) == pytest.approx(expected, rel=1e-6)  # float32 mean


def test_padded_sentences_weigh_by_their_symbols() -> None:
    task = make_task("lstm")
    docs = documents(4, 12, 2, 7)
    batch = pad_batch([Example(document[:-1], document[1:]) for document in docs])
    outcome = task.eval().outcome(batch)
    assert outcome.count == 3 + 11 + 1 + 6
    assert outcome.loss.item() == pytest.approx(sum(loss_alone(task, document).item() for document in docs) / 21, rel=1e-12)


def test_no_gradient_flows_into_the_chunk_before() -> None:
    task = make_task("lstm").train()
    first, second, *_ = batches(TokenStreams(documents(30)), 1, 10)
    task.training_step(first, 0)
    carried = {name: leaf.clone() for name, leaf in task.carried[True].items()}
    assert not any(leaf.requires_grad for leaf in carried.values())
    assert any(leaf.any() for leaf in carried.values())
    task.training_step(second, 1)["loss"].backward()
    found = [p.grad.clone() for p in task.parameters() if p.grad is not None]
    task.zero_grad()
    scores, _ = task.model(second.inputs, None, carried)
    cross_entropy(scores.flatten(0, 1), second.targets.flatten()).backward()
    for gradient, p in zip(found, task.parameters(), strict=True):
        torch.testing.assert_close(gradient, p.grad, rtol=1e-12, atol=1e-15)  # float64: rounding alone


def test_an_epoch_starts_without_a_past() -> None:
    task = make_task("lstm").train()
    read = batches(TokenStreams(documents(3, 3, 3, 3, 30)), 2, 5)
    assert len(read[-1].inputs) < len(read[0].inputs), "the state that is left has fewer rows than the next epoch needs"
    fresh = task.outcome(read[0]).loss
    for index, batch in enumerate(read):
        task.training_step(batch, index)
    torch.testing.assert_close(task.outcome(read[0]).loss, fresh, rtol=0, atol=0)


def test_a_learned_initial_state_is_where_a_reset_row_starts() -> None:
    task = make_task("gru", learn_initial_state=True)
    with torch.no_grad():
        for name, p in task.model.encoder.named_parameters():
            if "learned" in name:
                p.fill_(0.5)
    docs = documents(9, 6)
    expected = sum(loss_alone(task, document).item() for document in docs) / 13
    assert evaluate(task, batches(TokenStreams(docs), 1, 4)) == pytest.approx(expected, rel=1e-6)  # float32 mean


def test_validation_and_a_probe_leave_the_training_state_alone() -> None:
    task = make_task("lstm").train()
    read = batches(TokenStreams(documents(200)), 3, 10)
    task.training_step(read[0], 0)
    before = {name: leaf.clone() for name, leaf in task.carried[True].items()}
    evaluate(task, read[:2])
    task.train().outcome(read[1])
    for name, leaf in task.carried[True].items():
        assert leaf.equal(before[name])


def test_the_carried_state_is_part_of_the_checkpoint() -> None:
    task, other = make_task("lstm").train(), make_task("lstm").train()
    read = batches(TokenStreams(documents(200)), 3, 10)
    task.training_step(read[0], 0)
    other.carry_over(task.carried_over())
    torch.testing.assert_close(other.outcome(read[1]).loss, task.outcome(read[1]).loss, rtol=0, atol=0)
    assert task.outcome(read[1]).loss != make_task("lstm").train().outcome(read[1]).loss


def test_perplexity_and_bits_are_functions_of_the_loss() -> None:
    task = make_task()
    batch = batches(TokenStreams(documents(100)), 2, 20)[0]
    outcome = task.eval().outcome(batch)
    derived = task.derived_metrics(outcome.loss)
    expected = Perplexity()(outcome.predictions[None].float(), outcome.targets[None])
    torch.testing.assert_close(derived["perplexity"].float(), expected, rtol=1e-5, atol=0)  # torchmetrics counts in float32
    assert derived["bits_per_character"].item() == pytest.approx(math.log2(derived["perplexity"].item()), rel=1e-12)
    assert "bits_per_character" not in make_task(unit="words").derived_metrics(outcome.loss)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_an_untrained_word_model_guesses(cell: str) -> None:
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", ["experiment=word_lm", f"data.path={FIXTURES / 'harbour.txt'}", "data.fractions=[0.8,0.1,0.1]", f"cell={cell}"])
    torch.manual_seed(0)
    data = build_data(config)
    task = build_task(config, data.spec).eval()
    outcome = task.outcome(next(iter(data.train_dataloader())))
    assert outcome.loss.item() == pytest.approx(math.log(data.spec.output_size), rel=0.01)  # the goal of the word model


def test_one_batch_can_be_learned_by_heart() -> None:
    task = make_task("lstm").train()
    batch = batches(TokenStreams(documents(60)), 3, 20)[0]
    optimizer = torch.optim.Adam(task.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss = task.outcome(batch).loss
        loss.backward()
        optimizer.step()
    assert task.outcome(batch).loss < 0.1  # of ln 11 = 2.4


def test_the_trainer_runs_two_epochs_over_documents() -> None:
    task = make_task("lstm", lr=0.0)
    data = TokenStreams(documents(9, 30, 5, 2, 14))
    loader = torch.utils.data.DataLoader(data, batch_sampler=StreamBatches(data.spans, 2, 4, True, 0), collate_fn=lambda batch: batch)
    options: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(max_epochs=2, accelerator="cpu", precision="64-true", **options)
    trainer.fit(task, loader)
    assert trainer.global_step == 2 * len(loader)


def test_a_sample_repeats_what_the_model_gives_step_by_step() -> None:
    task = make_task("lstm", num_layers=2)
    prompt = documents(6)[0]
    drawn = list(task.sample(prompt, Sampling(top_k=1), torch.Generator(), 10))
    read = prompt
    for index in drawn:
        scores, _ = task.model(read[None])
        assert index == int(scores[0, -1].argmax())
        read = torch.cat([read, torch.tensor([index])])


def test_what_the_task_cannot_take_is_said() -> None:
    with pytest.raises(ValueError, match=r"bidirectional.*encoder\.bidirectional=false"):
        make_task(bidirectional=True)
    task = make_task().train()
    tokens = torch.zeros(2, 5, dtype=torch.long)
    with pytest.raises(ValueError, match=r"inputs hold the token 11; expected ids in 0\.\.10"):
        task.outcome(Batch(tokens + V, tokens))
    with pytest.raises(ValueError, match=r"inputs hold the token -1; expected ids in 0\.\.10"):
        task.outcome(Batch(tokens - 1, tokens))
    with pytest.raises(ValueError, match="label 11 in row 0 of the batch is no class"):
        task.outcome(Batch(tokens, tokens + V))
    with pytest.raises(ValueError, match="targets have shape"):
        task.outcome(Batch(tokens, tokens[:, 0]))
    with pytest.raises(ValueError, match="the prompt is empty"):
        task.sample(tokens[0, :0], Sampling(), torch.Generator(), 5)


def test_a_row_that_ended_early_must_not_go_on() -> None:
    task = make_task().train()
    tokens = torch.zeros(2, 5, dtype=torch.long)
    task.training_step(Batch(tokens, tokens, torch.tensor([5, 3]), torch.tensor([True, True])), 0)
    task.outcome(Batch(tokens, tokens, None, torch.tensor([False, True])))
    with pytest.raises(ValueError, match="row 1 continues a row that ended before its batch did"):
        task.outcome(Batch(tokens, tokens, None, torch.tensor([True, False])))
