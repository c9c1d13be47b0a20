"""`seqlab generate`: what it writes, when it writes it, and what it says when it cannot."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
import torch

from seqlab.arguments import parse
from seqlab.cli import main
from seqlab.data.vocabulary import Vocabulary
from seqlab.generate import generate
from seqlab.generate_command import HELP, READERS
from seqlab.likeliest import likeliest
from seqlab.runs import load_run
from seqlab.search import Beam
from seqlab.tasks import LanguageModelling
from tests.text_runs import TEXT, make_run, save


@pytest.fixture(scope="module")
def characters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "characters", "experiment=char_lm", "data.lowercase=true")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "words", "experiment=word_lm", "data.max_vocabulary=30")


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = [f"data.path={TEXT / 'comments.csv'}", "data.column=body", "data.fractions=[0.6,0.2,0.2]"]
    return make_run(tmp_path_factory.mktemp("runs") / "documents", "experiment=char_lm", *options)


def vocabulary(run: Path) -> Vocabulary:
    return Vocabulary.from_json((run / "vocabulary.json").read_text(encoding="utf-8"))


def prefer(run: Path, symbol: int, by: float) -> None:
    """Let the model of a run favour one symbol."""
    task = load_run(run).task
    with torch.no_grad():
        task.model.head.linear.bias[symbol] += by  # pyright: ignore
    save(task, run, "partial")


def test_the_command_writes_the_prompt_and_as_many_symbols_as_asked(characters: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", f"run={characters}", "prompt=the ", "length=50", "temperature=0.9"]) == 0
    written = capsys.readouterr().out
    assert written.startswith("the ")
    assert written.endswith("\n")
    assert len(written) == 4 + 50 + 1


def test_text_streams_piece_by_piece(characters: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        shown: list[str] = []  # noqa: RUF012

        def flush(self) -> None:
            self.shown.append(self.getvalue())

    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    assert main(["generate", f"run={characters}", "prompt=the", "length=5"]) == 0
    lengths = [len(text) for text in dict.fromkeys(Screen.shown)]
    assert lengths == [3, 4, 5, 6, 7, 8, 9], "prompt, five symbols, the line end"


def test_the_seed_decides_and_texts_have_seeds_of_their_own(characters: Path) -> None:
    def write(**options: int) -> str:
        return "".join(generate(characters, length=30, **options))

    assert write(seed=1) == write(seed=1)
    assert write(seed=1) != write(seed=2)
    assert write(seed=1, num=2) == write(seed=1)[:-1] + "\n\n" + write(seed=2)


def test_a_beam_writes_the_likeliest_text(characters: Path, documents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for run, prompt in ((characters, "the"), (documents, "")):
        assert "".join(likeliest(run, prompt, length=12, beam=1)) == "".join(generate(run, prompt, length=12, top_k=1))
    task, symbols = load_run(characters).task, vocabulary(characters)
    assert isinstance(task, LanguageModelling)
    found = task.likeliest(symbols.opening("the"), Beam(8, num_best=8), 6)
    opening = symbols.opening("the").tolist()
    for one in found:
        scores, _ = task.model(torch.tensor([[*opening, *one.ids[:-1]]]))
        expected = scores[0, len(opening) - 1 :].double().log_softmax(-1)[range(6), list(one.ids)].sum()
        assert one.log_probability == pytest.approx(float(expected), abs=1e-4)  # the model is in float32
    assert found[0].log_probability >= task.likeliest(symbols.opening("the"), Beam(1), 6)[0].log_probability
    assert main(["generate", f"run={characters}", "prompt=the", "length=6", "beam=8", "num=2"]) == 0
    assert capsys.readouterr().out == "\n\n".join("the" + symbols.decode(one.ids) for one in found[:2]) + "\n"
    assert "".join(likeliest(characters, "the", length=0)) == "the\n"
    for options, message in (
        ({"beam": 10**6}, "but the vocabulary has"),
        ({"beam": 2, "num": 3}, "num is 3 and beam 2"),
        ({"beam": 0}, "beam is 0; expected at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            list(likeliest(characters, "the", **options))
    assert main(["generate", f"run={characters}", "beam=2", "temperature=0.5"]) == 1
    assert "temperature is given, but with beam=2 nothing is drawn" in capsys.readouterr().err


def test_the_checkpoint_decides(characters: Path) -> None:
    texts = {name: "".join(generate(characters, length=60, checkpoint=name)) for name in ("best", "last")}
    assert texts["best"] != texts["last"]


def test_the_likeliest_symbol_every_time(characters: Path) -> None:
    assert "".join(generate(characters, "the ", top_k=1, seed=1)) == "".join(generate(characters, "the ", top_k=1, seed=2))


def test_sentences_stop_at_the_end_and_hold_no_unknown_word(words: Path) -> None:
    symbols = vocabulary(words)
    assert symbols.unknown is not None
    assert symbols.start is not None
    for mark in (symbols.unknown, symbols.start):
        prefer(words, mark, 4.0)  # a model that would write it at half of all places
        texts = "".join(generate(words, length=40, num=20, temperature=1.0, checkpoint="partial")).split("\n\n")
        assert not any("<" in text for text in texts)
        assert len(set(texts)) > 10
    assert symbols.end is not None
    prefer(words, symbols.end, 20.0)
    assert list(generate(words, "the boy", checkpoint="partial")) == ["the boy", "", "\n"], "nothing is drawn after the end"


def test_documents_stop_at_their_end(documents: Path) -> None:
    end = vocabulary(documents).end
    assert end is not None
    prefer(documents, end, 20.0)
    assert list(generate(documents, "The", checkpoint="partial")) == ["The", "", "\n"], "nothing is drawn after the end"


def test_words_are_set_with_spaces(words: Path) -> None:
    written = "".join(generate(words, "the boy", length=12, temperature=1.0, seed=3))
    assert written.startswith("the boy")
    assert written[len("the boy")] in " .,!?:;\n"


def test_a_word_the_model_does_not_know_is_read_as_unknown_and_said(words: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = "".join(generate(words, "the zeppelin", length=3))
    assert written.startswith("the zeppelin")
    assert "reads 'zeppelin' of the prompt as an unknown symbol" in capsys.readouterr().err


def test_the_text_goes_on_from_the_prompt(words: Path) -> None:
    texts = ["".join(generate(words, prompt, length=15, top_k=1, checkpoint="last")).removeprefix(prompt) for prompt in ("the", "and", "was")]
    assert len(set(texts)) > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prompt=日"], "the prompt holds '日', not in the training text"),
        (["temperature=0"], r"temperature is 0.0; expected a number above 0"),
        (["temperature=-1"], r"temperature is -1.0; expected a number above 0"),
        (["temprature=1"], "no option of generate is named 'temprature'. Did you mean 'temperature'?"),
        (["length"], "option 'length' has no value; expected length=VALUE."),
        (["length=long"], "length is 'long'; expected a whole number."),
        (["top_p=x"], "top_p is 'x'; expected a number."),
        (["length=-1"], "length is -1; expected at least 0."),
        (["num=0"], "num is 0; expected at least 1."),
        (["seed=-1"], "seed is -1; expected at least 0."),
        (["top_k=0"], "top_k is 0; expected at least 1"),
        (["checkpoint=second"], "second.ckpt does not exist"),
    ],
)
def test_errors_are_one_paragraph(characters: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(["generate", f"run={characters}", *arguments]) != 0
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("seqlab generate: ")
    assert "Traceback" not in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("argument", "message"), [("run=nowhere", "run directory nowhere does not exist"), ("run=", "run is missing"), ("prompt=The", "run is missing")]
)
def test_a_run_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str], argument: str, message: str) -> None:
    assert main(["generate", argument]) != 0
    assert message in capsys.readouterr().err


def test_a_run_of_another_kind_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", "experiment=char_lm", "task=step_labelling")
    assert main(["generate", f"run={run}"]) != 0
    assert "trained a StepLabelling; expected a language model" in capsys.readouterr().err


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--help"]) == 0
    assert capsys.readouterr().out == HELP
    for name in READERS:
        assert f"  {name}=" in HELP


def test_options_are_read_with_their_kinds() -> None:
    given = ["run=a=b", "prompt=x = y ", "length=5", "temperature=1e-1", "top_k=3", "plugins=[a.py, b.py]"]
    expected = {"run": "a=b", "prompt": "x = y ", "length": 5, "temperature": 0.1, "top_k": 3, "plugins": ["a.py", "b.py"]}
    assert parse("generate", given, READERS) == expected
