"""The published text sets: read from small ones of the same layout, and as they are where they are there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from seqlab.build import build_data, build_task
from seqlab.config import config_folder
from seqlab.data.base import DataSpec, ExampleSplit
from seqlab.data.labelled_text import LabelledText
from seqlab.data.ptb import Ptb
from seqlab.data.sst import Sst, phrases_of
from seqlab.data.streams import TokenStreams
from seqlab.data.trec import Trec
from seqlab.data.ud_ewt import UdEwt
from seqlab.data.wnut17 import Wnut17
from tests.data.own_sets import write, write_sets

REAL = Path(os.environ.get("SEQLAB_DATA_DIR") or Path(__file__).parents[3] / "shared" / "data")


def ready(data: Any) -> Any:
    data.prepare_data()
    data.setup()
    return data


def texts(data: LabelledText, split: str) -> list[tuple[str, str]]:
    """The texts of a split as the model sees them, with their class or tags."""
    part = data.splits[split]
    assert isinstance(part, ExampleSplit)
    assert data.vocabulary is not None
    found = []
    for example in part.examples:
        ids = example.inputs if example.inputs.dim() == 1 else example.inputs[:, 0]
        words = " ".join(data.vocabulary.symbols[index] for index in ids)
        found.append((words, " ".join(data.labels[index] for index in example.targets.reshape(-1))))
    return found


def test_trec_holds_out_a_part_of_training_and_reads_latin_1(tmp_path: Path) -> None:
    data = ready(Trec(write_sets(tmp_path), unit="tokens", lowercase=True, val_share=0.2))
    assert data.sizes == {"train": 24, "val": 6, "test": 7}
    assert data.labels == ("HUM", "LOC", "NUM")
    assert texts(data, "test")[0] == ("who baked bread number 0 ?", "HUM")
    assert texts(data, "test")[-1] == ("who <unk> the <unk> ?", "HUM")
    assert ready(Trec(tmp_path, num_classes=50)).labels == ("HUM:ind", "LOC:city", "NUM:count")
    with pytest.raises(ValueError, match="num_classes of trec is 5"):
        Trec(tmp_path, num_classes=5)
    write(tmp_path / "trec" / "TREC.test", "HUM:ind Who ?\nWho else ?\n")
    with pytest.raises(ValueError, match=r"TREC\.test, line 2: 'Who else \?' is no question"):
        ready(Trec(tmp_path))


def test_sst_has_five_classes_or_two(tmp_path: Path) -> None:
    data = ready(Sst(write_sets(tmp_path), unit="tokens"))
    assert data.labels == ("negative", "neutral", "positive", "very negative", "very positive")
    assert texts(data, "test") == [("fine", "positive"), ("dull <unk>", "negative")]
    data = ready(Sst(tmp_path, binary=True, unit="tokens"))
    assert data.sizes == {"train": 6, "val": 2, "test": 2}
    assert texts(data, "train")[:2] == [("a dull film", "negative"), ("a very dull film", "negative")]


def test_sst_reads_the_phrases_of_trees_each_once(tmp_path: Path) -> None:
    data = ready(Sst(write_sets(tmp_path), binary=True, phrases=True, unit="tokens"))
    expected = [("a fine film", "positive"), ("fine", "positive"), ("fine film", "positive"), ("a dull film", "negative")]
    expected += [("dull", "negative"), ("dull film", "negative"), ("so fine", "positive")]
    assert sorted(texts(data, "train")) == sorted(expected)
    assert list(phrases_of("(3 (2 8\u00a01\\/2) (3 good))")) == [("8\u00a01\\/2", 2), ("good", 3), ("8\u00a01\\/2 good", 3)]
    for broken in ("(3 (2 a) (3 b)", "(3 (2 a) (3 b)))", "(9 a)", "(3 )", "word"):
        with pytest.raises(ValueError, match="the tree is broken"):
            list(phrases_of(broken))


def test_ud_leaves_out_comments_and_what_is_no_token(tmp_path: Path) -> None:
    data = ready(UdEwt(write_sets(tmp_path)))
    assert texts(data, "train") == [("Do n't run .", "AUX PART VERB PUNCT"), ("Do 10 000", "AUX NUM")]
    assert ready(UdEwt(tmp_path, tags="xpos")).labels == (".", "CD", "RB", "VB")
    with pytest.raises(ValueError, match="Did you mean 'upos'"):
        UdEwt(tmp_path, tags="upo")


def test_wnut_takes_a_tab_for_the_end_of_a_text_and_a_hash_for_a_word(tmp_path: Path) -> None:
    data = ready(Wnut17(write_sets(tmp_path)))
    assert texts(data, "train") == [("Anna Lee sings", "B-person I-person O"), ("# Oslo", "O B-location"), ("Oslo sings", "B-location O")]
    assert data.sizes["test"] == 2
    file = tmp_path / "wnut17" / "emerging.dev.conll"
    file.write_text("Anna\tO\nLee\tI-person\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"emerging\.dev\.conll, line 2: the tag 'I-person' after 'O' is not legal bio"):
        ready(Wnut17(tmp_path))


def test_ptb_ends_lines_with_a_symbol(tmp_path: Path) -> None:
    data = ready(Ptb(write_sets(tmp_path)))
    train = data.splits["train"]
    assert isinstance(train, TokenStreams)
    assert data.vocabulary is not None
    assert [data.vocabulary.symbols[index] for index in train.tokens[:-1]] == ["a", "bird", "sang", "\n", "a", "bird", "<unk>", "N", "songs", "\n"]
    assert len(data.vocabulary) == 7


@pytest.mark.parametrize(
    ("name", "task", "frontend", "head"),
    [
        ("trec", "classification", "tokens", "pooled"),
        ("sst", "classification", "tokens", "pooled"),
        ("ud_ewt", "step_labelling", "words", "steps"),
        ("wnut17", "step_labelling", "words", "crf"),
        ("ptb", "language_modelling", "tokens", "steps"),
        ("text_folder", "classification", "words", "pooled"),
        ("table_text", "classification", "tokens", "pooled"),
        ("conll", "step_labelling", "tokens", "crf"),
    ],
)
def test_each_is_chosen_by_its_name(name: str, task: str, frontend: str, head: str, tmp_path: Path) -> None:
    source = {"text_folder": tmp_path / "mine", "table_text": tmp_path / "mine.csv", "conll": tmp_path / "mine.conll"}.get(name)
    where = f"data.data_dir={write_sets(tmp_path)}" if source is None else f"data.path={source}"
    for label in ("good", "bad"):
        write(tmp_path / "mine" / f"{label}.txt", "".join(f"a {label} day, {number % 3}\n" for number in range(20)))
    write(tmp_path / "mine.csv", "text,label\n" + "".join(f"a {'good' if n % 2 else 'bad'} day,{n % 2}\n" for n in range(20)))
    write(tmp_path / "mine.conll", "Anna B-person\nsings O\n\n" * 20)
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        options = ["experiment=word_lm", "data.min_count=1", "data.spelling=true"] if frontend == "words" else ["experiment=word_lm"]
        config = compose(
            "train", [*options, f"data={name}", f"task={task}", f"frontend={frontend}", f"head={head}", where, "cell.hidden_size=4", "~head.uniform"]
        )
    data = build_data(config)
    task_ = build_task(config, data.spec)
    batch = next(iter(data.train_dataloader()))
    assert task_.outcome(batch).loss.isfinite()
    assert DataSpec.from_json(data.records()["spec.json"]) == data.spec


NEEDS = pytest.mark.skipif(not (REAL / "trec").is_dir(), reason="the data sets are not there; name their folder with SEQLAB_DATA_DIR")


@NEEDS
@pytest.mark.parametrize(
    ("data", "sizes", "classes"),
    [
        pytest.param(Trec(REAL), (5452 - 545, 545, 500), 6, marks=pytest.mark.slow),
        (Trec(REAL, num_classes=50), (5452 - 545, 545, 500), 50),
        pytest.param(Sst(REAL), (8544, 1101, 2210), 5, marks=pytest.mark.slow),
        pytest.param(Sst(REAL, binary=True), (6920, 872, 1821), 2, marks=pytest.mark.slow),
        (Wnut17(REAL), (3394, 1009, 1287), 13),
        pytest.param(UdEwt(REAL), (12544, 2001, 2077), 17, marks=pytest.mark.slow),
    ],
    ids=["trec-6", "trec-50", "sst-5", "sst-2", "wnut17", "ud_ewt"],
)
def test_the_published_sets_have_the_published_sizes(data: LabelledText, sizes: tuple[int, ...], classes: int) -> None:
    ready(data)
    assert tuple(data.sizes.values()) == sizes
    assert len(data.labels) == classes


@NEEDS
@pytest.mark.slow
def test_ptb_has_10_000_words_and_929_589_tokens() -> None:
    data = ready(Ptb(REAL))
    assert data.spec.output_size == 10_000
    counted = {split: len(part) + 1 for split, part in data.splits.items()}  # the first token of a text is no target
    assert counted == {"train": 929_589, "val": 73_760, "test": 82_430}
