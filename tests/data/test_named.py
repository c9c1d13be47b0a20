"""Named data sets: found, downloaded whole or not at all, and what is said when they cannot be had."""

from __future__ import annotations

import gzip
import hashlib
import os
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from seqlab.data.indoor_movement import INDOOR_MOVEMENT_DATA
from seqlab.data.nab import NAB_DATA
from seqlab.data.named import NamedData, NamedFile, check_sha256, data_folder
from seqlab.data.sst import SST

TEXT = b"a file of our own making\n" * 9000


class Answers(BaseHTTPRequestHandler):
    """Gives TEXT under /whole, less than it announces under /cut and /chunks, and what is no HTTP under /nonsense."""

    protocol_version = "HTTP/1.1"  # chunks are of it

    def do_GET(self) -> None:
        if self.path == "/gone":
            return self.send_error(404)
        if self.path == "/nonsense":
            self.wfile.write(b"no answer of HTTP\r\n\r\n")
            return None
        self.send_response(200)
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"400\r\n" + TEXT[:100])  # 1,024 are announced
            return None
        self.send_header("Content-Length", str(len(TEXT)))
        self.end_headers()
        self.wfile.write(TEXT[: len(TEXT) // 2] if self.path == "/cut" else TEXT)
        return None

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    running = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def data(url: str | None, sha256: str | None = None, unpacked: bool = False) -> NamedData:
    return NamedData("letters", "letters", "A. Author", "CC0", "A. Author, 2001", (NamedFile("part/one.txt", url, sha256, unpacked),))


def left(folder: Path) -> list[str]:
    return [file.name for file in folder.rglob("*") if file.is_file()]


def test_a_whole_download_is_kept_and_not_fetched_again(server: str, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(TEXT).hexdigest()
    place = data(f"{server}/whole", sha256).find("part/one.txt", tmp_path)
    assert place == tmp_path / "letters" / "part" / "one.txt"
    assert place.read_bytes() == TEXT
    assert left(tmp_path) == ["one.txt"]
    assert data("http://127.0.0.1:9/nobody", sha256).find("part/one.txt", tmp_path) == place


@pytest.mark.parametrize(
    ("path", "sha256", "message"),
    [
        ("whole", "0" * 64, r"altered or cut short, and has been thrown away"),
        ("cut", None, rf"ended after {len(TEXT) // 2} of {len(TEXT)} bytes"),
        ("gone", None, "404"),
        ("chunks", None, r"lacks .*one\.txt.*Put the file there.*Downloading .* failed"),
        ("nonsense", None, r"lacks .*one\.txt.*Put the file there.*Downloading .* failed"),
    ],
)
def test_nothing_is_left_of_a_download_that_failed(path: str, sha256: str | None, message: str, server: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        data(f"{server}/{path}", sha256).find("part/one.txt", tmp_path)
    assert left(tmp_path) == []


def test_a_packed_file_can_be_known_by_what_it_holds(tmp_path: Path) -> None:
    source = tmp_path / "source.gz"
    source.write_bytes(gzip.compress(TEXT))
    sha256 = hashlib.sha256(TEXT).hexdigest()
    assert data(source.as_uri(), sha256, unpacked=True).find("part/one.txt", tmp_path).read_bytes() == source.read_bytes()
    source.write_bytes(gzip.compress(TEXT)[:-20])
    with pytest.raises(ValueError, match="no whole gzip file"):
        data(source.as_uri(), sha256, unpacked=True).find("part/one.txt", tmp_path / "else")
    assert left(tmp_path / "else") == []


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:9/nobody"])
def test_absent_and_offline_says_what_to_do(url: str | None, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"letters lacks .*one\.txt\. Source: A\. Author\. Licence: CC0\. Put the file there.*data\.data_dir=FOLDER"):
        data(url).find("part/one.txt", tmp_path)


def test_the_folder_is_the_key_then_the_variable_then_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQLAB_DATA_DIR", "named")
    assert data_folder("given") == Path("given")
    assert data_folder() == Path("named")
    monkeypatch.delenv("SEQLAB_DATA_DIR")
    assert data_folder() == Path("~/.cache/seqlab/data").expanduser()


def test_one_file_of_an_archive(tmp_path: Path) -> None:
    source = tmp_path / "source.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("in/one.txt", TEXT)
    sha256 = hashlib.sha256(TEXT).hexdigest()

    def find(member: str) -> Path:
        return NamedData("letters", "letters", "A", "CC0", "A", (NamedFile("part/one.txt", source.as_uri(), sha256, member=member),)).find(
            "part/one.txt", tmp_path
        )

    with pytest.raises(ValueError, match=r"no whole zip archive with in/two.txt in it"):
        find("in/two.txt")
    assert find("in/one.txt").read_bytes() == TEXT
    (tmp_path / "letters" / "part" / "one.txt").unlink()
    source.write_bytes(source.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"no whole zip archive"):
        find("in/one.txt")
    assert left(tmp_path) == ["source.zip"]


REAL = Path(os.environ.get("SEQLAB_DATA_DIR") or Path(__file__).parents[3] / "shared" / "data")


@pytest.mark.skipif(not (REAL / "nab").exists() or not (REAL / "sst").exists(), reason="NAB and SST are not there; name the folder with SEQLAB_DATA_DIR")
def test_the_files_that_are_there_are_those_that_would_be_downloaded() -> None:
    for data in (NAB_DATA, SST, INDOOR_MOVEMENT_DATA):
        for file in data.files:
            assert file.url is not None
            check_sha256(REAL / data.folder / file.path, file)
