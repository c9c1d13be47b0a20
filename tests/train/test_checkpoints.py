"""Checkpoints: whole or not at all, plain data, and refused with a reason when they are damaged or of another model."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from seqlab.checkpoint import WholeFiles, copy_checkpoint, load_weights, newest_whole, read_checkpoint, write_checkpoint
from tests.train.conftest import Run


def test_the_config_lies_in_the_checkpoint_as_plain_data(run: Callable[..., Run]) -> None:
    done = run("tags=[a]")
    content = torch.load(done.directory / "checkpoints" / "best.ckpt", weights_only=True)
    assert content["seqlab"]["config"] == OmegaConf.to_container(OmegaConf.load(done.directory / "config.yaml"))
    assert content["seqlab"]["config"]["cell"]["hidden_size"] == 16


def test_last_is_the_end_of_training_and_best_the_best_validation(run: Callable[..., Run]) -> None:
    done = run("trainer.max_epochs=3", "optimizer.lr=3", "monitor=val/loss", "mode=min")
    losses = done.column("val/loss")
    assert losses[1] < losses[2]
    assert done.checkpoint("last")["global_step"] == 18
    assert done.checkpoint("best")["global_step"] == 12


def test_last_is_renewed_when_training_ends_between_validations(run: Callable[..., Run]) -> None:
    done = run("trainer.max_epochs=1", "trainer.val_check_interval=4")
    assert done.checkpoint("best")["global_step"] == 4
    assert done.checkpoint("last")["global_step"] == 6


def test_a_nan_is_never_best(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    from torchmetrics import MeanMetric

    honest, calls = MeanMetric.compute, []

    def compute(self: Any) -> torch.Tensor:
        calls.append(1)
        return torch.tensor(float("nan")) if len(calls) == 1 else honest(self)

    monkeypatch.setattr(MeanMetric, "compute", compute)
    done = run("trainer.max_epochs=2", "monitor=val/loss", "mode=min")
    assert done.column("val/loss")[0] != done.column("val/loss")[0]
    assert done.checkpoint("best")["global_step"] == 12


def test_a_write_that_fails_leaves_the_file_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    write_checkpoint({"state_dict": {"w": torch.ones(3)}}, path)

    def full(content: Any, file: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"No space left on device; \d+ MB are free there\. The one before it is whole.*go on with `seqlab train resume="):
        write_checkpoint({"state_dict": {}}, path)
    assert torch.equal(read_checkpoint(path)["state_dict"]["w"], torch.ones(3))
    assert sorted(os.listdir(tmp_path)) == ["last.ckpt", "last.ckpt.sha256"]


def killed_at_rename(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends instead of the `number`-th rename from now on."""
    calls = []
    rename = os.replace

    def replace(source: Any, target: Any) -> None:
        calls.append(target)
        if len(calls) == number:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)


@pytest.mark.parametrize("number", range(1, 7))
def test_a_kill_in_the_middle_of_writing_leaves_a_whole_newest_one(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last, before = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    for value in (1.0, 2.0):
        write_checkpoint({"state_dict": {"w": torch.tensor(value)}}, last, before)
    with monkeypatch.context() as patch:
        killed_at_rename(number, patch)
        with pytest.raises(KeyboardInterrupt):
            write_checkpoint({"state_dict": {"w": torch.tensor(3.0)}}, last, before)
    assert newest_whole(tmp_path) == last
    assert float(read_checkpoint(last)["state_dict"]["w"]) == (3.0 if number == 6 else 2.0)
    assert float(read_checkpoint(before)["state_dict"]["w"]) in (1.0, 2.0)


def test_a_damaged_newest_one_gives_way_to_the_one_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    last, before = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    assert newest_whole(tmp_path) is None
    for value in (1.0, 2.0):
        write_checkpoint({"state_dict": {"w": torch.full((100,), value)}}, last, before)
    assert newest_whole(tmp_path) == last
    content = bytearray(last.read_bytes())
    place = content.index(torch.full((100,), 2.0).numpy().tobytes())
    content[place] ^= 1  # one bit of a weight: the file can be read all the same
    last.write_bytes(content)
    assert newest_whole(tmp_path) == before
    assert "last.ckpt is damaged: its checksum is not the one in last.ckpt.sha256. The one before it is taken" in caplog.text
    before.write_bytes(b"")
    with pytest.raises(ValueError, match=r"no checkpoint in .* is whole: .*last\.ckpt is damaged.*previous\.ckpt of 0 bytes"):
        newest_whole(tmp_path)


def test_nothing_passes_through_another_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is renamed within its directory, where a rename cannot become a copy."""
    moves = []
    replace = os.replace

    def watch(source: Any, target: Any) -> None:
        moves.append((Path(source).parent, Path(target).parent))
        replace(source, target)

    monkeypatch.setattr(os, "replace", watch)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    WholeFiles({}).save_checkpoint({"state_dict": {}}, tmp_path / "folder" / "last.ckpt")
    assert set(moves) == {(tmp_path / "folder", tmp_path / "folder")}


@pytest.mark.parametrize("links", [True, False])
def test_a_copy_outlives_its_source(links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, path = tmp_path / "last.ckpt", tmp_path / "best.ckpt"
    write_checkpoint({"state_dict": {"w": torch.ones(3)}}, source)
    if not links:
        monkeypatch.setattr(os, "link", lambda *arguments: (_ for _ in ()).throw(OSError("no links on this disk")))
    copy_checkpoint(source, path)
    write_checkpoint({"state_dict": {"w": torch.zeros(3)}}, source)
    assert torch.equal(read_checkpoint(path)["state_dict"]["w"], torch.ones(3))
    assert sorted(os.listdir(tmp_path)) == sorted(f"{name}.ckpt{end}" for name in ("best", "last") for end in ("", ".sha256"))


class Payload:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("ran",))


def test_what_is_no_whole_checkpoint_is_refused_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "last.ckpt"
    write_checkpoint({"state_dict": {"w": torch.ones(1000)}}, path)
    whole = path.read_bytes()
    with pytest.raises(ValueError, match=r"other\.ckpt does not exist\. Beside it lie: last\."):
        read_checkpoint(tmp_path / "other.ckpt")
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=rf"last\.ckpt of {length} bytes is cut short, or no checkpoint"):
            read_checkpoint(path)
    (tmp_path / "last.ckpt.sha256").unlink()  # as of a stranger, who can write any
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match="holds no state_dict"):
        read_checkpoint(path)
    torch.save({"state_dict": {}, "payload": Payload()}, path)
    with pytest.raises(ValueError, match="more than tensors and plain data"):
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()
    path.write_bytes(whole.replace(b"state_dict", b"\x00tate_dict"))
    with pytest.raises(ValueError, match=r"last\.ckpt"):
        read_checkpoint(path)


def test_weights_of_another_model_are_refused_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    write_checkpoint({"state_dict": {"weight": torch.ones(2, 3), "extra": torch.ones(1)}}, path)
    model = torch.nn.Linear(4, 2)
    message = r"another model .*: bias is missing; extra is not part of the model; weight has shape \(2, 3\), the model's \(2, 4\)\."
    with pytest.raises(ValueError, match=message):
        load_weights(model, path)


def test_training_does_not_start_from_a_checkpoint_that_does_not_fit(run: Callable[..., Run], tmp_path: Path) -> None:
    first = run()
    path = first.directory / "checkpoints" / "last.ckpt"
    with pytest.raises(ValueError, match=r"last\.ckpt belongs to another model .*head\.linear\.weight has shape \(1, 16\), the model's \(1, 8\)"):
        run("cell.hidden_size=8", f"ckpt_path={path}", directory=tmp_path / "other")
    assert not (tmp_path / "other" / "config.yaml").exists()  # the directory is free again
    torn = tmp_path / "torn.ckpt"
    torn.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut short"):
        run(f"ckpt_path={torn}")
    with pytest.raises(ValueError, match=r"no\.ckpt does not exist"):
        run(f"ckpt_path={tmp_path}/no.ckpt")
