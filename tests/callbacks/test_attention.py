"""The picture of a tested model is in the run directory, of rows that have something to show; a model that attends to nothing leaves none."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import lightning.pytorch as L
import pytest
import torch

from seqlab import Stack
from seqlab.attention import AdditiveAttention
from seqlab.callbacks import attention as module
from seqlab.callbacks.attention import AttentionPicture
from seqlab.data.reverse import Reverse
from seqlab.frontends import Tokens
from seqlab.model import SequenceModel
from seqlab.seq2seq import Decoder
from seqlab.tasks import SequenceToSequence


def panels_of(directory: Path, monkeypatch: pytest.MonkeyPatch, attention=None) -> list:
    """The panels that were drawn while an untrained model was tested."""
    torch.manual_seed(0)
    encoder = Stack.of("gru", 4, 4)
    decoder = Decoder(6, encoder, partial(Stack.of, "gru", hidden_size=4), attention, embedding_size=4)
    task = SequenceToSequence(SequenceModel(Tokens(6, 4), encoder, decoder), torch.optim.Adam, labels=Reverse(num_symbols=3).symbols)
    data = Reverse(num_symbols=3, max_length=6, test_max_length=6, num_train=1, num_val=1, num_test=9, eval_batch_size=4)
    drawn, draw = [], module.draw_attention
    monkeypatch.setattr(module, "draw_attention", lambda path, panels: (drawn.extend(panels), draw(path, panels)))
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(accelerator="cpu", devices=1, default_root_dir=directory, callbacks=[AttentionPicture(directory, rows=2)], **options)
    trainer.test(task, data, verbose=False)
    return drawn


def test_the_picture_shows_source_answer_and_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panels = panels_of(tmp_path, monkeypatch, partial(AdditiveAttention, attention_size=4))
    assert 1 <= len(panels) <= 2
    for source, written, weights in panels:
        assert set(source) <= set("abc")
        assert (len(weights), len(weights[0])) == (len(written), len(source))
        assert [sum(row) for row in weights] == pytest.approx([1.0] * len(written), abs=1e-5)  # nothing was cut off but zeros; float32
    assert (tmp_path / "attention.png").stat().st_size > 1000


def test_steps_without_names_are_numbered() -> None:
    """Of sound the encoder makes fewer steps than there are samples."""
    assert module.source_names(torch.zeros(800), 3, None) == ["0", "1", "2"]
    assert [name for name in module.source_names(torch.zeros(800), 100, None) if name] == [str(step) for step in range(0, 100, 5)]
    assert module.source_names(torch.tensor([3, 4]), 2, Reverse(num_symbols=3)) == ["a", "b"]


def test_without_attention_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not panels_of(tmp_path, monkeypatch)
    assert not (tmp_path / "attention.png").exists()
