"""`seqlab export`: the file equals the model for lengths and batches it was not traced with, and no loop is unrolled."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from seqlab.cli import main
from seqlab.data.base import DataSpec
from seqlab.export import formats
from seqlab.export.command import HELP, READERS
from seqlab.export.formats import ABOUT, ABOUT_FILE, export
from seqlab.frontends import Sentences
from seqlab.heads import PooledHead
from seqlab.layers import Stack
from seqlab.model import SequenceModel
from seqlab.runs import load_run
from tests.feature_runs import make_feature_run
from tests.text_runs import make_run

ROUNDING = {"rtol": 1e-4, "atol": 1e-6}  # float32, summed in another order
NO_ONNX = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
with_onnx = pytest.mark.skipif(bool(NO_ONNX), reason=f"{', '.join(NO_ONNX)} not installed: pip install 'seqlab[export]'")
DEEP = ["cell=lstm", "encoder.num_layers=2", "encoder.learn_initial_state=true", "wrap=[weight_drop]"]


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_feature_run(tmp_path_factory.mktemp("runs") / "deep", *DEEP)


@pytest.fixture(scope="module")
def program(deep: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("files") / "model.pt2"
    assert main(["export", f"run={deep}", "format=torch_export", f"output={file}"]) == 0
    return file


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_program_is_the_model_at_any_length_from_any_state(deep: Path, program: Path) -> None:
    model, graph = load_run(deep).task.model, torch.export.load(program).module()
    for batch, steps in ((1, 1), (5, 3), (2, 40)):
        x, state = torch.randn(batch, steps, 2), {name: torch.randn_like(leaf) for name, leaf in model.encoder.initial_state(batch).items()}
        with torch.no_grad():
            expected, final = model(x, None, state)
            scores, got = graph(x, state)
        torch.testing.assert_close(scores, expected, **ROUNDING)
        assert got.keys() == final.keys() == {"0.h", "0.c", "1.h", "1.c"}
        for name in final:
            torch.testing.assert_close(got[name], final[name], **ROUNDING)


def test_the_loop_is_one_operation(program: Path) -> None:
    read = torch.export.load(program)
    called = [str(node.target) for node in read.graph.nodes if node.op == "call_function"]
    assert called.count("scan") == 2, "one for each layer"
    assert len(read.graph.nodes) < 150, "no step stands there twice"


def test_a_head_that_pools_keeps_batch_and_time_free(tmp_path: Path) -> None:
    run = make_feature_run(tmp_path / "run", "cell=gru", "head=pooled")
    assert export(run, "torch_export", tmp_path / "model.pt2").difference is not None


@pytest.mark.slow
def test_sentences_keep_their_words_free_too() -> None:
    model = SequenceModel(Sentences(input_size=9, embedding_size=4), Stack.of("gru", input_size=4, hidden_size=5), PooledHead(5, 3)).eval()
    spec = DataSpec("sentences", 9, "sequence", 3)
    assert formats.compare(model, spec, formats.trace(model, spec).module()) < 1e-5


def test_a_model_without_a_graph_is_refused(tmp_path: Path) -> None:
    run = make_feature_run(tmp_path / "run", "frontend=segments", "frontend.length=2")
    with pytest.raises(ValueError, match=r"torch\.export finds no graph of this model with free batch and time"):
        export(run, "torch_export", tmp_path / "model.pt2")


def test_the_file_says_what_a_sequence_starts_from(deep: Path, program: Path) -> None:
    extra = {ABOUT_FILE: ""}
    torch.export.load(program, extra_files=extra)
    about = json.loads(extra[ABOUT_FILE])
    assert about["spec"]["input_size"] == 2
    start = load_run(deep).task.model.encoder.initial_state(1)
    assert {name: leaf["initial"] for name, leaf in about["state"].items()} == {name: leaf[0].tolist() for name, leaf in start.items()}


def test_weights_alone(deep: Path, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors", reason="safetensors is not installed: pip install 'seqlab[export]'")
    done = export(deep, "safetensors", tmp_path / "model.safetensors")
    with safetensors.safe_open(done.output, "pt") as file:
        weights = load_run(deep).task.model.state_dict()
        assert set(file.keys()) == set(weights)
        assert all(file.get_tensor(name).equal(value) for name, value in weights.items())
        assert json.loads(file.metadata()[ABOUT])["spec"]["inputs"] == "features"


@with_onnx
@pytest.mark.parametrize("cell", ["lstm", pytest.param("gru", marks=pytest.mark.slow), pytest.param("lru", marks=pytest.mark.slow)])
def test_onnx_is_the_model_and_holds_one_scan(cell: str, tmp_path: Path) -> None:
    import onnx  # pyright: ignore[reportMissingImports]

    run = make_run(tmp_path / "run", "experiment=char_lm", f"cell={cell}", "init=default")
    done = export(run, "onnx", tmp_path / "model.onnx")
    assert done.difference is not None
    assert done.difference < 1e-5
    graph = onnx.load(done.output).graph
    assert [node.op_type for node in graph.node].count("Scan") == 1
    assert graph.input[0].name == "inputs"
    assert all(axis.dim_param for axis in graph.input[0].type.tensor_type.shape.dim), "batch and time are free"


@pytest.mark.skipif("onnxscript" not in NO_ONNX, reason="onnxscript is installed")
def test_missing_packages_are_named(deep: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"format=onnx needs .*which this Python has not\. Install them with pip install 'seqlab\[export\]'"):
        export(deep, "onnx", tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_graph_that_differs_is_not_written(deep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = formats.trace

    def wrong(model: formats.SequenceModel, spec: formats.DataSpec) -> torch.export.ExportedProgram:
        with torch.no_grad():
            made = right(model, spec)
            model.head.linear.weight += 0.1  # pyright: ignore
        return made

    monkeypatch.setattr(formats, "trace", wrong)
    with pytest.raises(ValueError, match=r"the graph differs from the model by .* for 1 rows of 1 steps"):
        export(deep, "torch_export", tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("output=m.pt2", "format is missing; expected onnx, torch_export or safetensors."),
        ("format=onnx", "output is missing; expected a file."),
        ("format=onix output=m.pt2", "no format is named 'onix'. Did you mean 'onnx'? Known: "),
        ("format=torch_export output=there", "the output there exists already. Give another output=FILE, or overwrite=true."),
        ("format=torch_export output=no/m.pt2", "the output no/m.pt2 lies in no, which is no folder"),
        ("format=torch_export output=folder overwrite=true", "the output folder is a folder; expected a file."),
        ("formt=onnx", "no option of export is named 'formt'. Did you mean 'format'?"),
    ],
)
def test_what_is_wrong_is_said(
    words: str, message: str, deep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").touch()
    Path("folder").mkdir()
    assert main(["export", f"run={deep}", *words.split()]) == 1
    assert capsys.readouterr().err.startswith(f"seqlab export: {message}")


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--help"]) == 0
    assert capsys.readouterr().out == HELP
    assert all(f"  {name}=" in HELP for name in READERS)
