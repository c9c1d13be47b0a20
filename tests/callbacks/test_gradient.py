"""The gradient callback: training is bit for bit what it is without it, its cost is bounded, its files are complete."""

import logging
from pathlib import Path

import lightning.pytorch as L
import numpy as np
import pytest
import torch

from seqlab.callbacks.gradient import GradientRecord, load_record
from seqlab.callbacks.gradient_pictures import draw_activations, draw_parameters, draw_states
from seqlab.data.temporal_order import TemporalOrder
from seqlab.layers.pass_through import PassThrough
from seqlab.metrics_file import MetricsFile
from seqlab.tasks import SequenceClassification
from tests.tasks.models import make_task

PICTURES = ("gradient_states.png", "gradient_parameters.png", "gradient_activations.png")


def fit(directory: Path, *callbacks: L.Callback, with_data_module: bool = True, **trainer_options) -> tuple[SequenceClassification, torch.Tensor]:
    """Two short epochs with dropout, which draws random numbers; the trained task and the state of the generator after it."""
    L.seed_everything(0, verbose=False)
    data = TemporalOrder(10, 14, num_train=40, num_val=8, num_test=8, batch_size=8)
    data.setup()
    directory.mkdir(exist_ok=True)
    task = make_task(SequenceClassification, "lstm", input_size=8, output_size=4, pool="mean", num_layers=2, dropout=0.4, bidirectional=True)
    torch.manual_seed(1)
    trainer = L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=[MetricsFile(directory / "metrics.csv")],
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **trainer_options,
    )
    trainer.fit(task, **({"datamodule": data} if with_data_module else {"train_dataloaders": data.train_dataloader()}))
    return task, torch.get_rng_state()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pictures: they take longer than the training."""
    monkeypatch.setattr(GradientRecord, "_draw", lambda self: None)


@pytest.mark.usefixtures("undrawn")
def test_training_is_bit_for_bit_what_it_is_without(tmp_path: Path) -> None:
    plain, generator = fit(tmp_path / "plain")
    record = GradientRecord(tmp_path, every=2, rows=4, max_share=1.0)
    watched, generator_after = fit(tmp_path, record)
    assert record.steps == [0, 1, 2, 4, 6, 8, 10]
    assert torch.equal(generator, generator_after)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, watched.state_dict()[name]), name


@pytest.mark.usefixtures("undrawn")
def test_a_run_that_goes_on_keeps_its_probes(tmp_path: Path) -> None:
    first, rest = (GradientRecord(tmp_path, every=5, rows=2, max_share=1.0) for _ in range(2))
    fit(tmp_path, first)
    before = load_record(tmp_path / "gradient.npz")
    torch.save(first.state_dict(), tmp_path / "state.pt")
    rest.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    fit(tmp_path, rest)
    assert first.steps == [0, 1, 2, 4, 5, 10]
    assert rest.steps == [*first.steps, 1, 2, 4, 5, 10]
    after = load_record(tmp_path / "gradient.npz")
    for name, values in before.items():
        np.testing.assert_array_equal(after[name][: len(values)], values)


def test_files_and_metrics(tmp_path: Path) -> None:
    fit(tmp_path, GradientRecord(tmp_path, every=3, rows=4, max_share=1.0))
    record = load_record(tmp_path / "gradient.npz")
    assert record["steps"].tolist() == [0, 1, 2, 3, 6, 9, 10]
    assert record["states/0.forward.h"].shape == (7, 14)
    assert record["parameters/head.linear.weight"].shape == (7,)
    assert record["largest"][0] == 0
    assert (record["largest"][1:] > 0).all()
    assert (record["parameters/head.linear.weight"] > 0).all()
    assert {name for name in record if name.startswith("saturation/1.backward")} == {
        f"saturation/1.backward.{gate}" for gate in ("σ(i)", "σ(f)", "σ(o)", "tanh(g)", "tanh(c)")
    }
    for name in PICTURES:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    header, *rows = (tmp_path / "metrics.csv").read_text().splitlines()
    assert {"gradient/norm", "gradient/first_step/0.forward.c", "activation/mean/1.backward", "activation/saturated/0.forward.σ(f)"} <= set(header.split(","))
    assert len([row for row in rows if row.split(",")[header.split(",").index("gradient/norm")]]) == 7


@pytest.mark.usefixtures("undrawn")
def test_its_share_of_the_time_is_bounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record = GradientRecord(tmp_path, every=1, rows=4, max_share=1e-6)
    with caplog.at_level(logging.INFO, "seqlab"):
        fit(tmp_path, record)
    assert record.steps == [0, 10]  # the first and the last are never left out
    assert "2 gradient probes took" in caplog.text
    assert "9 more were left out to stay below 0%" in caplog.text


class Norms(L.Callback):
    """The norm of the gradient of each step."""

    def __init__(self) -> None:
        self.found: dict[int, float] = {}

    def on_train_batch_end(self, trainer, pl_module, *rest) -> None:
        if trainer.global_step and trainer.global_step not in self.found:
            self.found[trainer.global_step] = float(pl_module.gradient_norm)


@pytest.mark.usefixtures("undrawn")
def test_batches_that_make_a_step_together_are_one_step(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record, norms = GradientRecord(tmp_path, every=1, rows=4, max_share=1.0), Norms()
    fit(tmp_path, record, norms, accumulate_grad_batches=2)
    assert record.steps == [0, 1, 2, 3, 4, 5, 6]
    assert record.largest == pytest.approx([0.0, *norms.found.values()], rel=1e-6)  # each since the probe before: none of the step before that
    with caplog.at_level(logging.INFO, "seqlab"):
        fit(tmp_path, GradientRecord(tmp_path, every=1, rows=4, max_share=1e-6), accumulate_grad_batches=2)
    assert "2 gradient probes took" in caplog.text
    assert "; 5 more were left out" in caplog.text


@pytest.mark.usefixtures("undrawn")
def test_a_model_without_layers_is_refused_at_once(tmp_path: Path) -> None:
    task = make_task(SequenceClassification, "lstm", input_size=8, hidden_size=8, output_size=4, pool="mean")
    task.model.encoder = PassThrough(8)
    data = TemporalOrder(10, 14, num_train=8, num_val=8, num_test=8, batch_size=8)
    data.setup()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", callbacks=[GradientRecord(tmp_path)], **quiet)
    with pytest.raises(ValueError, match=r"no layer whose states could be watched.* Leave gradient out of callbacks"):
        trainer.fit(task, datamodule=data)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("options", [{"limit_val_batches": 0}, {"check_val_every_n_epoch": 2}, {"with_data_module": False}])
def test_validation_need_not_run(tmp_path: Path, options: dict[str, int]) -> None:
    record = GradientRecord(tmp_path, every=100, rows=4, max_share=1.0)
    fit(tmp_path, record, **options)
    assert record.steps == [0, 1, 2, 4, 8, 10]


@pytest.mark.usefixtures("undrawn")
def test_what_was_recorded_survives_an_error(tmp_path: Path) -> None:
    class Fails(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fit(tmp_path, GradientRecord(tmp_path, rows=4), Fails())
    assert load_record(tmp_path / "gradient.npz")["steps"].tolist() == [0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "callbacks.gradient.every is 0; expected at least 1"),
        ({"rows": 0}, "callbacks.gradient.rows is 0; expected at least 1"),
        ({"max_share": 0.0}, r"max_share is 0.0; expected a share of the run's time in \(0, 1\]"),
    ],
)
def test_options_are_checked(tmp_path: Path, options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GradientRecord(tmp_path, **options)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("probes", [1, 5])
def test_pictures_of_awkward_records(tmp_path: Path, probes: int) -> None:
    """One probe, states of different lengths, gradients that are exactly zero or span hundreds of decades, no gates."""
    steps = np.arange(probes) * 7
    record = {
        "steps": steps,
        "loss": np.ones(probes),
        "states/0.h": np.zeros((probes, 5)),
        "states/1.h": np.full((probes, 3), 1e-300) * np.arange(3),
        **{f"states/{n}.h": np.ones((probes, 4)) * 10.0 ** (2 * n) for n in range(2, 5)},
        "parameters/w": np.zeros(probes),
        "dead/0": np.ones(probes),
        "mean/0": np.zeros(probes),
        "spread/0": np.zeros(probes),
        "silent": np.array(["0"]),
    }
    for draw, name in zip((draw_states, draw_parameters, draw_activations), PICTURES, strict=True):
        draw(record, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
