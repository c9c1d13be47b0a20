"""Published data sets by name: found on this machine, else downloaded once and held against their sha256."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

DATA_DIR = "SEQLAB_DATA_DIR"  # the environment variable that names the folder of all named data sets
CACHE = "~/.cache/seqlab/data"
_PIECE = 1 << 16


@dataclass(frozen=True)
class NamedFile:
    """A file of a data set: where it lies under the data set's folder, and where it can be had.

    url: None for a file that has to be put there by hand. sha256: of its bytes; None where a publisher changes them without
    saying so. unpacked: the sha256 is that of what a .gz file holds, which can be packed in more than one way. member: the URL
    gives a zip archive, of which the file is the member of this name; the sha256 is the member's.
    """

    path: str
    url: str | None = None
    sha256: str | None = None
    unpacked: bool = False
    member: str | None = None


@dataclass(frozen=True)
class NamedData:
    """A published data set. folder: its place in the data folder; source: who made it and where it is found; licence: as the
    source states it; citation: what to cite."""

    name: str
    folder: str
    source: str
    licence: str
    citation: str
    files: tuple[NamedFile, ...]

    def find(self, path: str, data_dir: str | Path | None = None) -> Path:
        """Where the file `path` of the data set lies, downloaded first when it is not there and has a URL.

        A file that lies there is taken as it is: own versions are allowed. One that is downloaded is held against its
        sha256 before it gets its name. Raises ValueError that says the file, its source, licence and place when it is absent
        and cannot be had, or when what came is cut short or altered; then nothing of it is left.
        """
        file = next(file for file in self.files if file.path == path)
        place = data_folder(data_dir) / self.folder / path
        if place.is_file():
            return place
        if file.url is None:
            raise ValueError(f"{self.missing(place)} It is not downloaded by itself.")
        try:
            download(file, place)
        except OSError as error:
            raise ValueError(f"{self.missing(place)} Downloading {file.url} failed: {error}.") from error
        return place

    def find_all(self, paths: Sequence[str], data_dir: str | Path | None = None) -> list[Path]:
        """`find` for each."""
        return [self.find(path, data_dir) for path in paths]

    def missing(self, place: Path) -> str:
        """What to say of a file that is not there."""
        return (
            f"the data set {self.name} lacks {place}. Source: {self.source}. Licence: {self.licence}. Put the file there, or name the folder that "
            f"holds {self.folder}/ with data.data_dir=FOLDER or the environment variable {DATA_DIR}."
        )


def data_folder(data_dir: str | Path | None = None) -> Path:
    """Where named data sets lie: `data_dir`, else the environment variable SEQLAB_DATA_DIR, else ~/.cache/seqlab/data."""
    return Path(data_dir or os.environ.get(DATA_DIR) or CACHE).expanduser()


def download(file: NamedFile, place: Path) -> None:
    """Bring the file to `place`, with progress on a terminal, through a temporary file beside it that is renamed at the end.

    Raises OSError when it cannot be had or is cut short, and ValueError when its sha256 is another; `place` is then untouched.
    """
    assert file.url is not None
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            try:
                _fetch(file.url, out, place.name)
            except http.client.HTTPException as error:  # which is no OSError: chunks that end early, an answer that is none
                raise OSError(f"{type(error).__name__}: {error}; run again") from error
        if file.member is not None:
            part.write_bytes(_member(part, file.member))
        check_sha256(part, file)
        part.chmod(0o644)  # mkstemp keeps it from everybody else
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)


def _fetch(url: str, out: IO[bytes], title: str) -> None:
    """Copy what the URL gives. OSError when it ends before the length that its server said."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with urllib.request.urlopen(url, timeout=60) as answer, Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        size = answer.headers.get("Content-Length")
        bar = progress.add_task(f"downloading {title}", total=int(size) if size else None)
        came = 0
        while piece := answer.read(_PIECE):
            out.write(piece)
            came += len(piece)
            progress.advance(bar, len(piece))
    if size and came != int(size):
        raise OSError(f"the connection ended after {came} of {size} bytes; run again")


def _member(archive: Path, name: str) -> bytes:
    """What a zip archive holds under a name. OSError when it is no whole archive, or has no such member."""
    try:
        with zipfile.ZipFile(archive) as opened:
            return opened.read(name)
    except (zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise OSError(f"what came is no whole zip archive with {name} in it ({error}); run again") from error


def check_sha256(part: Path, file: NamedFile) -> None:
    """Raise ValueError when the file's content is not what its sha256 says."""
    if file.sha256 is None:
        return
    digest = hashlib.sha256()
    try:
        with gzip.open(part) if file.unpacked else part.open("rb") as content:
            while piece := content.read(_PIECE):
                digest.update(piece)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise OSError(f"what came is no whole gzip file ({error}); run again") from error
    if digest.hexdigest() != file.sha256:
        raise ValueError(
            f"{file.url} gave a file with sha256 {digest.hexdigest()}; expected {file.sha256}. It was altered or cut short, and has been thrown away. "
            f"Run again, or get {file.path} from another source."
        )
