"""Vectors from files, as they are published; what is wrong in one is named with its line."""

from __future__ import annotations

import gzip
import logging
from types import SimpleNamespace

import pytest
import torch

from seqlab.data.vocabulary import Vocabulary
from seqlab.frontends import Tokens, Words
from seqlab.frontends.vectors import read_vectors

ROWS = {"<unk>": 0, "boat": 1, "Sea": 2, "quay": 3}
DATA = SimpleNamespace(vocabulary=Vocabulary("words", tuple(ROWS)))


def written(folder, text: str, name: str = "vectors.txt"):
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
@pytest.mark.parametrize("header", ["", "5 2\n"])
def test_words_are_found_as_they_are_and_else_in_lower_case(tmp_path, name, header) -> None:
    path = written(tmp_path, header + "boat 1 2.5\n. . -1 0\nsea 3 4\nSEA 9 9\nboat 7 7\n", name)
    rows, vectors = read_vectors(path, ROWS, 2)
    assert dict(zip(rows, vectors.tolist(), strict=True)) == {1: [1.0, 2.5], 2: [3.0, 4.0]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("boat 1 2 3\n", "line 1: 3 numbers; expected a word and 2 numbers"),
        ("9 3\nboat 1 2 3\n", "line 1: 3 numbers; expected a word and 2 numbers"),
        ("a 1 2\nboat 1\n", "line 2: 1 numbers; expected a word and 2 numbers"),
        ("a 1 2\nb 1 2 3\n", "line 2: 3 numbers; expected a word and 2 numbers"),
        ("a 1 2\nboat 1 x\n", "line 2: could not convert string to float: 'x'; expected a word and 2 numbers"),
        ("", "are an empty file"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, content, message) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ValueError, match=message) as error:
        read_vectors(path, ROWS, 2)
    assert str(path) in str(error.value)


def test_other_files_are_refused(tmp_path) -> None:
    (tmp_path / "latin.txt").write_bytes("a 1 2\nmér 1 2\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin.txt, line 2: not UTF-8"):
        read_vectors(tmp_path / "latin.txt", ROWS, 2)
    whole = gzip.compress(b"a 1 2\n" * 1000)
    (tmp_path / "cut.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut.gz is damaged after line"):
        read_vectors(tmp_path / "cut.gz", ROWS, 2)
    (tmp_path / "cut.gz").write_bytes(whole[:12] + b"\xff" * 8 + whole[20:])
    with pytest.raises(ValueError, match=r"cut.gz is damaged after line"):
        read_vectors(tmp_path / "cut.gz", ROWS, 2)
    with pytest.raises(ValueError, match=r"none.txt do not exist.*Give frontend.vectors=FILE"):
        read_vectors(tmp_path / "none.txt", ROWS, 2)


@pytest.mark.parametrize("frozen", [False, True])
def test_prepare_puts_them_into_the_rows_and_says_how_many(tmp_path, caplog, frozen) -> None:
    path = written(tmp_path, "boat 1 2\nsea 3 4\n")
    for frontend in (Tokens(4, 2, vectors=path, freeze_vectors=frozen), Words(4, 3, 2, vectors=path, freeze_vectors=frozen)):
        before = frontend.embedding.weight.detach().clone()
        with caplog.at_level(logging.INFO, "seqlab"):
            frontend.prepare(DATA)
        assert frontend.embedding.weight[1:3].tolist() == [[1, 2], [3, 4]]
        assert torch.equal(frontend.embedding.weight[[0, 3]], before[[0, 3]])
        assert frontend.embedding.weight.requires_grad is not frozen
        assert "vectors for 2 of the 4 symbols of the vocabulary (50.0%)" in caplog.text
    with pytest.raises(ValueError, match="the data has no vocabulary to look up"):
        frontend.prepare(SimpleNamespace(vocabulary=None))
    with pytest.raises(ValueError, match="freeze_vectors is true but vectors is missing"):
        Tokens(4, 2, freeze_vectors=True)
