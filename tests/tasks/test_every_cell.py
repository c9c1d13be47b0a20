"""Any registered cell takes part in every experiment on single sequences: one step of training each, on data of our own making, and
the same answer to a row among others as alone.

By default each of FIRST meets two cells and each cell two experiments; marked slow, all meet all. Left out are those whose model is
that of another in the list on other data: nab is watched_series, indoor_movement is series_folder, mnist_pixels is mnist_rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from seqlab.build import build_data, build_task
from seqlab.config import config_folder
from seqlab.data.base import Batch, DataSpec, SequenceDataModule
from seqlab.registry import list_cells
from seqlab.tasks import AnomalyDetection, LanguageModelling, Task
from tests.data.own_digits import write_digits
from tests.data.own_sets import write, write_sets
from tests.data.test_piano_roll import write_rolls
from tests.text_runs import TEXT

CELLS = [info.name for info in list_cells() if not info.error and info.origin == "seqlab"]
FORECAST = ["data.window=6", "data.horizon=2"]
EXPERIMENTS: dict[str, list[str]] = {
    **{name: [] for name in ("trec", "cnn_rnn", "sst2", "ud_pos", "wnut_ner")},
    "sst5": ["data.phrases=false"],
    **{name: ["data.batch_size=2", "data.chunk_length=4", "data.eval_batch_size=1"] for name in ("ptb_small", "ptb_best")},
    "text_folder": ["data.path=texts"],
    "table_text": ["data.path=t.csv"],
    "conll": ["data.path=a.conll"],
    "char_lm": [f"data.path={TEXT / 'harbour.txt'}", "data.batch_size=2", "data.chunk_length=6"],
    "word_lm": [f"data.path={TEXT / 'harbour.txt'}", "data.batch_size=2"],
    "time_series": ["data.path=s.csv", *FORECAST],
    "etth1": ["data.lengths=[40,15,15]", "data.window=12", "data.horizon=2", "frontend.length=4", "data.batch_size=2"],
    "watched_series": ["data.path=s.csv", "data.window=6", "data.train_fraction=0.5"],
    "series_folder": ["data.path=rolls", "data.label_pattern=a|b"],
    "piano_roll": ["data.path=rolls"],
    "mnist_rows": ["data.batch_size=2"],
    "binary_addition": ["data.num_bits=3", "data.num_pairs=8"],
    "temporal_order": ["data.min_length=10", "data.max_length=11", "data.num_train=4", "data.num_val=2", "data.num_test=2", "data.batch_size=2"],
}
FIRST = [name for name in EXPERIMENTS if name not in ("sst5", "table_text", "conll", "ptb_small", "series_folder", "binary_addition", "temporal_order")]
REFUSED = {  # what a recipe is made of and these cells do not have, which is said
    "ptb_best": (("lru", "min_gru", "min_lstm"), "has no parameter named recurrent_weight.*or leave the wrapper out, as wrap=\\[\\] does"),
    "ptb_small": (("lru",), "initialisation bias 'uniform' fits no parameter of LRU.*Leave it out for this cell"),
}
SMALL = {"embedding_size": 3, "character_size": 2, "spelling_size": 2, "num_filters": 2, "output_size": 3}  # of front ends that have such a width


@pytest.fixture(scope="module", autouse=True)
def data_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Everything that EXPERIMENTS names, in the working directory."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = tmp_path_factory.mktemp("data")
        write_all(folder, monkeypatch)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("SEQLAB_DATA_DIR", str(folder))
        yield


def write_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sets(folder)
    write_digits(folder, monkeypatch)
    for label in ("good", "bad"):
        write(folder / "texts" / f"{label}.txt", "".join(f"a {label} day {number % 3}\n" for number in range(10)))
    write(folder / "t.csv", "text,label\n" + "".join(f"a {'good' if n % 2 else 'bad'} day,{n % 2}\n" for n in range(20)))
    write(folder / "a.conll", "Anna B-person\nsings O\n\n" * 10)
    rows = [f"{n % 5}.5,{n % 7},{n}" for n in range(70)]
    write(folder / "s.csv", "\n".join(["load,heat,rise", *rows]))
    hours = [f"2026-01-{1 + n // 24:02} {n % 24:02}:00:00,{row}" for n, row in enumerate(rows)]
    write(folder / "ett" / "ETT-small" / "ETTh1.csv", "\n".join(["date,HUFL,HULL,OT", *hours]))
    write_rolls(folder / "rolls")


def small_config(experiment: str) -> DictConfig:
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", [f"experiment={experiment}", "executor=loop", *EXPERIMENTS[experiment]])
    for name, size in SMALL.items():
        if config.frontend.get(name):
            config.frontend[name] = size
    return config


def step(config: DictConfig, data: SequenceDataModule, batch: Any, cell: str) -> None:
    config.cell = {**OmegaConf.load(config_folder() / "cell" / f"{cell}.yaml"), "hidden_size": 4}  # type: ignore[dict-item]
    task = build_task(config, data.spec)
    task.prepare(data)
    loss = task.outcome(batch).loss
    loss.backward()
    assert loss.isfinite(), cell
    strange = [name for name, p in task.model.encoder.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not strange, f"{cell}: no finite gradient of {strange}"
    if not isinstance(task, LanguageModelling | AnomalyDetection):  # these answer one sequence at a time
        check_alone(task, batch, cell)


def check_alone(task: Task, batch: Batch, cell: str) -> None:
    """A row is answered among others, padded, as it is alone."""
    task.eval()
    lengths = [batch.inputs.shape[1]] * len(batch.inputs) if batch.lengths is None else batch.lengths.tolist()
    together = task.answer(batch)
    for row in {lengths.index(min(lengths)), lengths.index(max(lengths))}:
        (alone,) = task.answer(Batch(batch.inputs[row : row + 1, : lengths[row]], batch.targets[row : row + 1]))
        for name, said in together[row].items():
            if isinstance(said, str) or (isinstance(said, list) and said and isinstance(said[0], str)):
                assert said == alone[name], f"{cell}: row {row} answers {said} among others and {alone[name]} alone"
            else:
                torch.testing.assert_close(torch.tensor(said), torch.tensor(alone[name]), atol=1e-5, rtol=1e-4, msg=f"{cell}: {name} of row {row}")  # float32


def meet(experiment: str, cells: list[str]) -> None:
    config = small_config(experiment)
    data = build_data(config)
    batch = next(iter(data.train_dataloader()))
    torch.manual_seed(0)
    refused, message = REFUSED.get(experiment, ((), ""))
    for cell in cells:
        with pytest.raises(ValueError, match=message) if cell in refused else nullcontext():
            step(config, data, batch, cell)


@pytest.mark.parametrize(("turn", "experiment"), list(enumerate(FIRST)), ids=FIRST)
def test_an_experiment_takes_two_cells(turn: int, experiment: str) -> None:
    meet(experiment, [CELLS[turn % len(CELLS)], CELLS[(turn + len(CELLS) // 2) % len(CELLS)]])


def test_experiments_say_no_more_of_a_cell_than_its_width() -> None:
    """Another cell could not be chosen beside an option that it has not."""
    for file in (config_folder() / "experiment").glob("*.yaml"):
        assert set(OmegaConf.load(file).get("cell", {})) <= {"hidden_size"}, file.name


@pytest.mark.parametrize(
    ("words", "message"), [(["head=tied"], r"no option of TiedHead is named 'uniform'.*Leave it out with ~head\.uniform"), (["head=tied", "~head.uniform"], "")]
)
def test_an_option_for_another_head_is_named(words: list[str], message: str) -> None:
    """word_lm says how its own head starts, which another one may not know."""
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", ["experiment=word_lm", "executor=loop", "cell.hidden_size=3", *words])
    with pytest.raises(ValueError, match=message) if message else nullcontext():
        build_task(config, DataSpec("tokens", 5, "steps", 5))


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_takes_every_cell(experiment: str) -> None:
    meet(experiment, CELLS)
