"""Captions that agree with where the digits stand; the grid reads places; no layers; a run to its picture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Trainer
from PIL import Image

from seqlab.build import build_data, build_task
from seqlab.callbacks.captions import CaptionPicture
from seqlab.config import config_folder
from seqlab.data.digit_scenes import CELL, SIDE, WORDS, DigitScenes, caption, text
from seqlab.data.moving_digits import halved
from seqlab.data.pairs import END
from seqlab.frontends.image_grid import ImageGrid
from seqlab.layers.pass_through import PassThrough
from tests.data.own_digits import digit, write_digits


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return write_digits(tmp_path, monkeypatch)


def number_in(place: torch.Tensor) -> int:
    """The digit whose picture, moved by up to two pixels, a place of 16 × 16 holds."""
    ink = place[place.any(1)][:, place.any(0)]
    for number in range(10):
        for shift in range(-2, 3):
            small = halved(digit(number, shift)[None])[0]
            cut = small[small.any(1)][:, small.any(0)]
            if cut.shape == ink.shape and torch.equal(cut, ink):
                return number
    raise AssertionError("no digit is there")


def test_the_caption_says_what_is_in_the_picture(folder: Path) -> None:
    data = DigitScenes(num_train=40, num_val=3, num_test=3, data_dir=folder)
    data.setup()
    seen = set()
    for index in range(40):
        example = data.splits["train"][index]
        assert example.inputs.shape == (SIDE, SIDE)
        places = example.inputs.unflatten(0, (-1, CELL)).unflatten(2, (-1, CELL)).permute(0, 2, 1, 3)
        found = {(row, column): number_in(places[row, column]) for row in range(3) for column in range(3) if places[row, column].any()}
        rows, columns = {row for row, _ in found}, {column for _, column in found}
        assert min(len(rows), len(columns)) == 1
        assert int(example.targets[-1]) == END
        words = text(example.targets).split()
        assert words == caption([found[place] for place in sorted(found)], across=len(columns) > 1)
        seen.add(len(found) if len(columns) > 1 else -len(found))
    assert seen == {-1, 2, 3, -2, -3}
    batch = next(iter(data.train_dataloader()))
    assert batch.lengths is None
    assert batch.inputs.shape == (40, SIDE, SIDE)
    assert int(batch.targets.max()) < len(WORDS) == data.spec.output_size


def test_words_of_a_caption() -> None:
    assert " ".join(caption([3, 7], True)) == "a three left of a seven"
    assert " ".join(caption([3, 7, 2], False)) == "a three above a seven above a two"
    assert " ".join(caption([0], True)) == "a zero"


def test_the_grid_knows_what_is_where() -> None:
    torch.manual_seed(0)
    frontend = ImageGrid(10, channels=(2, 3), output_size=4)
    blank = torch.zeros(1, 7, 10)
    y = frontend(blank)
    assert y.shape == (1, 2 * 3, 4)
    assert frontend.columns == 3
    assert frontend.output_lengths(torch.tensor([7, 4, 5])).tolist() == [6, 3, 6]
    assert not torch.equal(y[0, 0], y[0, 2])  # equal but for the column and the edge
    with torch.no_grad():
        frontend.linear.weight[:, -2:] = 0.0
        for layer in frontend.layers:
            layer[0].weight[:] = 0.0
    same = frontend(blank)[0]
    torch.testing.assert_close(same[0], same[5])  # but for the rounding of a product of another row
    with pytest.raises(ValueError, match=r"frontend channels are \[\]"):
        ImageGrid(10, channels=())


def test_a_picture_with_fewer_rows_is_read_as_it_is_alone() -> None:
    torch.manual_seed(0)
    frontend, pictures = ImageGrid(6, channels=(2, 3), output_size=4).eval(), torch.rand(3, 9, 6)
    for layer in frontend.layers:
        torch.nn.init.uniform_(layer[1].bias)  # what a layer makes of nothing is not nothing
    pictures[1, 5:], pictures[2, 2:] = torch.nan, torch.nan
    together = frontend(pictures, torch.tensor([9, 5, 2]))
    for row, length in enumerate((9, 5, 2)):
        alone = frontend(pictures[row : row + 1, :length])[0]
        torch.testing.assert_close(together[row, : len(alone)], alone)


def test_no_layers_change_nothing_but_the_padding() -> None:
    layers, x = PassThrough(3), torch.randn(2, 4, 3)
    assert torch.equal(layers(x)[0], x)
    y, state = layers(x, [4, 2])
    assert state == layers.initial_state(2) == {}
    assert torch.equal(y[1], torch.cat([x[1, :2], torch.zeros(2, 3)]))
    with pytest.raises(ValueError, match=r"state has the leaves \['h'\] but the encoder has none"):
        layers(x, None, {"h": x[:, 0]})


def test_a_model_writes_captions_and_is_drawn(folder: Path, tmp_path: Path) -> None:
    small = ["data.num_train=4", "data.num_val=2", "data.num_test=3", f"data.data_dir={folder}", "cell.hidden_size=4", "frontend.channels=[2,2,2]"]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", ["experiment=caption", *small, "frontend.output_size=4", "head.embedding_size=3", "executor=loop"])
    data = build_data(config)
    torch.manual_seed(1)
    task = build_task(config, data.spec)
    picture = CaptionPicture(tmp_path, rows=2)
    trainer = Trainer(logger=False, callbacks=[picture], enable_progress_bar=False, accelerator="cpu")
    trainer.test(task, data, verbose=False)
    assert {"test/loss", "test/exact_match"} <= set(trainer.callback_metrics)
    written, weights = task.attention(next(iter(data.test_dataloader())))
    assert weights is not None
    assert weights.shape == (3, written.shape[1], 36)
    torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]))
    assert (tmp_path / "attention.png").stat().st_size > 1000


def test_new_pictures_are_read_as_they_are_and_others_refused(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = DigitScenes(num_train=1, num_val=1, num_test=1, data_dir=folder)
    data.setup()
    scene = data.splits["test"][0].inputs
    place = tmp_path / "scene.png"
    Image.fromarray((255 * scene).round().to(torch.uint8).numpy()).save(place)
    fresh = DigitScenes()
    fresh.restore(tmp_path)
    (row,) = fresh.read_new(place)
    assert row is not None
    torch.testing.assert_close(row.inputs, scene, atol=0.5 / 255 + 1e-6, rtol=0)  # a file holds whole steps of 1 / 255
    fresh.write_answers([row], [{"symbols": ["a", "three"]}], tmp_path / "said.csv")
    assert (tmp_path / "said.csv").read_text(encoding="utf-8") == "file,text\nscene.png,a three\n"
    Image.new("L", (48, 48), 250).save(place)
    with caplog.at_level("WARNING", logger="seqlab"):
        fresh.read_new(place)
    assert "scene.png is bright, and training showed bright digits on a dark ground" in caplog.text
    Image.new("L", (50, 40)).save(place)
    with pytest.raises(ValueError, match=r"scene\.png has 40 rows of 50 pixels; expected 48 rows of 48"):
        fresh.read_new(place)
    Image.effect_noise((48, 48), 50).save(place)
    place.write_bytes(place.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"scene\.png cannot be read: .*whole"):
        fresh.read_new(place)
    place.write_text("no picture")
    with pytest.raises(ValueError, match=r"scene\.png is no picture"):
        fresh.read_new(place)
    with pytest.raises(ValueError, match=r"has no file '\*\.png'; expected pictures"):
        fresh.read_new(folder / "mnist")
