"""Videos whose digit and direction can be read off their frames; the CNN reads each frame by itself; a run to its picture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Trainer

from seqlab.build import build_data, build_task
from seqlab.callbacks.video import VideoPicture
from seqlab.config import config_folder
from seqlab.data.moving_digits import DIRECTIONS, SIDE, STEPS, MovingDigits, halved
from seqlab.frontends.frames import Frames
from tests.data.own_digits import digit, write_digits


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return write_digits(tmp_path, monkeypatch)


def test_the_ink_moves_as_the_label_says_and_is_the_digit_that_it_says(folder: Path) -> None:
    data = MovingDigits(num_train=60, num_val=10, num_test=25, noise=0.0, data_dir=folder)
    data.setup()
    labels = data.spec.labels
    seen = set()
    for index in range(60):
        example = data.splits["train"][index]
        frames = example.inputs.unflatten(1, (SIDE, SIDE))
        assert torch.allclose(frames.sum((1, 2)), frames[0].sum())  # nothing leaves the frame
        weights = frames / frames.sum((1, 2), keepdim=True)
        rows, columns = ((weights.sum(axis) * torch.arange(SIDE)).sum(1) for axis in (2, 1))
        moved = torch.stack([rows[-1] - rows[0], columns[-1] - columns[0]])
        number, _, direction = labels[int(example.targets)].partition(" ")
        assert torch.equal(moved.sign() * (moved.abs() > 1), torch.tensor(STEPS[DIRECTIONS.index(direction)]).float())
        assert 0.75 * 7 - 1 <= moved.abs().max() <= 1.25 * 7 + 1
        ink = frames[0][frames[0].any(1)][:, frames[0].any(0)]
        assert any(torch.equal(ink, cut) for shift in range(-2, 3) if (cut := cropped(halved(digit(int(number), shift)[None])[0])).shape == ink.shape)
        seen.add(direction)
    assert len(data.splits["test"]) == 25  # type: ignore[arg-type]  # more than there are digits
    assert len(seen) >= 6


def cropped(image: torch.Tensor) -> torch.Tensor:
    return image[image.any(1)][:, image.any(0)]


def test_a_video_is_the_same_however_it_is_asked_for(folder: Path) -> None:
    data = MovingDigits(num_train=20, num_val=5, num_test=5, data_dir=folder)
    data.setup()
    batch = data.splits["train"].__getitems__([3, 7])  # type: ignore[attr-defined]
    assert torch.equal(batch.inputs[1], data.splits["train"][7].inputs)
    assert not torch.equal(batch.inputs[0], data.splits["train"][7].inputs)
    longest = MovingDigits(num_train=40, num_val=1, num_test=1, num_frames=12, noise=0.0, data_dir=folder)
    longest.setup()
    ink = longest.splits["train"].__getitems__([*range(40)]).inputs.sum(2)  # type: ignore[attr-defined]
    torch.testing.assert_close(ink, ink[:, :1].expand_as(ink))  # nothing leaves the frame
    with pytest.raises(ValueError, match="num_frames is 20; expected 2 to 12"):
        MovingDigits(num_frames=20)
    with pytest.raises(ValueError, match="noise is -1; expected a deviation"):
        MovingDigits(noise=-1)


def test_each_frame_is_read_by_itself() -> None:
    torch.manual_seed(0)
    frontend = Frames(6 * 10, channels=(2, 3), output_size=5, height=6).eval()  # in training frames share the moments of a batch
    x = torch.rand(2, 4, 60)
    y = frontend(x)
    assert y.shape == (2, 4, 5)
    torch.testing.assert_close(y[:, 2:3], frontend(x[:, 2:3]))
    x[1, 3:] = torch.nan
    torch.testing.assert_close(frontend(x, torch.tensor([4, 3]))[1, :3], y[1, :3])
    assert (frontend.shape, Frames(64).shape) == ((6, 10), (8, 8))
    with pytest.raises(ValueError, match="a frame has 60 pixels; expected the square of a whole number"):
        Frames(60)
    with pytest.raises(ValueError, match="a frame has 60 pixels; expected a multiple of 7, the height"):
        Frames(60, height=7)


def test_a_model_names_videos_and_is_drawn(folder: Path, tmp_path: Path) -> None:
    small = ["data.num_train=4", "data.num_val=4", "data.num_test=4", "data.num_frames=3", f"data.data_dir={folder}", "cell.hidden_size=4"]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", ["experiment=moving_digits", *small, "frontend.channels=[2,2]", "frontend.output_size=4", "executor=loop"])
    data = build_data(config)
    task = build_task(config, data.spec)
    picture = VideoPicture(tmp_path, rows=2)
    trainer = Trainer(logger=False, callbacks=[picture], enable_progress_bar=False, accelerator="cpu")
    trainer.test(task, data, verbose=False)
    assert {"test/loss", "test/accuracy"} <= set(trainer.callback_metrics)
    assert (tmp_path / "video.png").stat().st_size > 1000
