"""Where somebody in an office is about to go, from the strength of four radio signals."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

from seqlab.data.labelled_series import LabelledSeries, SeriesData
from seqlab.data.named import NamedData, NamedFile
from seqlab.data.number_tables import Table, parse_table

ARCHIVE = "IndoorMovement.zip"
MIRROR = "https://raw.githubusercontent.com/jbrownlee/Datasets/master/"
INDOOR_MOVEMENT_DATA = NamedData(
    "Indoor User Movement Prediction from RSS",
    "indoor_movement",
    "D. Bacciu et al., UCI Machine Learning Repository, https://archive.ics.uci.edu/dataset/348/indoor+user+movement+prediction+from+rss+data; mirror "
    + MIRROR,
    "none stated",
    "D. Bacciu et al., 2014, An experimental characterization of reservoir computing in ambient assisted living applications",
    (NamedFile(ARCHIVE, MIRROR + ARCHIVE, "c657ee8635275145b11c9e4ed3b4647b876f8acb638e61e7b1a6a18f27e0472a"),),
)
CLASSES = {"1": "changes room", "-1": "stays"}


class IndoorMovement(SeriesData):
    """314 sequences of 19 to 129 steps, each the signals of four anchors at 8 Hz; two classes. The group is the environment: 1, 2 or 3.

    Read from the zip file as it is published, under data_dir. options: those of SeriesData.
    """

    def __init__(self, data_dir: str | Path | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.data_dir = data_dir

    def read(self) -> list[LabelledSeries]:
        place = INDOOR_MOVEMENT_DATA.find(ARCHIVE, self.data_dir)
        try:
            with zipfile.ZipFile(place) as archive:
                targets = _table(archive, place, "dataset/MovementAAL_target.csv")
                groups = dict(_table(archive, place, "groups/MovementAAL_DatasetGroup.csv").rows)
                found = []
                for index, (number, label) in enumerate(targets.rows):
                    if label not in CLASSES or number not in groups:
                        what = f"the class {label!r}" if label not in CLASSES else "no environment"
                        raise ValueError(f"{targets.place(index)}: sequence {number} has {what}; expected 1 or -1, and an environment. Get the file again.")
                    table = _table(archive, place, f"dataset/MovementAAL_RSS_{number}.csv")
                    found.append(LabelledSeries(self.numbers_of(table, range(len(table.names))), CLASSES[label], groups[number], str(table.path)))
        except (zipfile.BadZipFile, zlib.error, KeyError) as error:
            raise ValueError(f"{place} is not the archive of {INDOOR_MOVEMENT_DATA.name}: {error}. It is cut short or another file; get it again.") from error
        return found


def _table(archive: zipfile.ZipFile, place: Path, name: str) -> Table:
    with archive.open(name) as file:
        return parse_table(io.TextIOWrapper(file, "utf-8").read(), place / name, header=True)
