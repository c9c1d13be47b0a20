"""Reading text: what is in the files, and what is wrong with those that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqlab.data.text_files import python_documentation, read_documents

FIXTURES = Path(__file__).parent.parent / "fixtures" / "text"


def test_the_documentation_of_python_is_real_text() -> None:
    documents = python_documentation()
    assert len(documents) > 50
    assert sum(map(len, documents)) > 100_000
    assert "statement" in documents[0]


def test_a_plain_file_is_one_document() -> None:
    (document,) = read_documents(FIXTURES / "harbour.txt")
    assert document.startswith("The harbour lay quiet")
    assert document.endswith("not theirs.\n")


@pytest.mark.parametrize("name", ["comments.csv", "comments.tsv"])
def test_a_column_gives_one_document_per_row_that_is_not_blank(name: str) -> None:
    documents = read_documents(FIXTURES / name, "body")
    assert len(documents) == 9
    assert documents[1] == 'A comment may have\nseveral lines, with commas,\nand an "inner" quote.'
    assert documents[4] == "Grüße aus Köln: umlauts are letters too."


def test_a_field_may_be_longer_than_what_csv_takes_by_default(tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_text("body\n" + "x" * 200_000 + "\n", encoding="utf-8")
    assert len(read_documents(tmp_path / "long.csv", "body")[0]) == 200_000


def test_line_ends_and_byte_order_mark_of_other_systems(tmp_path: Path) -> None:
    (tmp_path / "dos.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    assert read_documents(tmp_path / "dos.txt") == ["one\ntwo\nthree\n"]


def test_another_encoding_is_read_when_named(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("fünf Äpfel\n".encode("latin-1"))
    assert read_documents(tmp_path / "latin.txt", encoding="latin-1") == ["fünf Äpfel\n"]


@pytest.mark.parametrize(
    ("content", "column", "encoding", "message"),
    [
        (b"", None, "utf-8", r"holds no text \(0 bytes\)"),
        (b" \n\n", None, "utf-8", r"holds no text \(3 bytes\)"),
        ("ein\nf\u00fcnf\n".encode("latin-1"), None, "utf-8", r"is not utf-8: byte 0xfc at offset 5, in line 2.*data\.encoding"),
        (b"text", None, "utf-88", r"encoding 'utf-88' is not known"),
        (b"id,text\n1,a\n", "body", "utf-8", r"has no column 'body'; it has 'id', 'text'"),
        (b"id,body\n1,a\n2\n", "body", "utf-8", r"table\.csv, line 3: the row has 1 fields; expected 2"),
        (b'id,body\n1,"a\n2,b\n', "body", "utf-8", r"table\.csv, line 2: .*Repair the quotes.*data\.quotes=false"),
        (b'id,body\n1,"a\n\nb"\n2,"c\nd",e\n', "body", "utf-8", r"table\.csv, line 5: the row has 3 fields; expected 2"),
        (b"id,body\n1,\n2, \n", "body", "utf-8", r"column 'body' of .* is blank in every row"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, content: bytes, column: str | None, encoding: str, message: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_documents(path, column, encoding)


def test_a_missing_file_and_a_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.txt cannot be read: No such file.*Give the path of an existing file"):
        read_documents(tmp_path / "none.txt")
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        read_documents(tmp_path)
