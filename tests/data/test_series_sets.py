"""The published tables of numbers, from small ones of our own making in their layout, and the real ones where they are."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from seqlab.data.ett import ETT, USUAL_LENGTHS
from seqlab.data.nab import NAB, NAB_DATA, nab_windows
from seqlab.data.named import NamedData, NamedFile

REAL = Path(os.environ.get("SEQLAB_DATA_DIR") or Path(__file__).parents[3] / "shared" / "data")
SERIES = "made/sums.csv"
START = datetime(2026, 1, 1)


@pytest.fixture
def transformers(tmp_path: Path) -> Path:
    """70 hours of ETTh1: a date, two loads and the oil's temperature."""
    (tmp_path / "ett" / "ETT-small").mkdir(parents=True)
    rows = [f"{START + timedelta(hours=n)},{n % 5}.5,{n % 7},{n}" for n in range(70)]
    (tmp_path / "ett" / "ETT-small" / "ETTh1.csv").write_text("\n".join(["date,HUFL,HULL,OT", *rows]))
    return tmp_path


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    """One series of 400 rows, five minutes apart, with a window of anomalies."""
    (tmp_path / "nab" / "labels").mkdir(parents=True)
    (tmp_path / "nab" / "data" / "made").mkdir(parents=True)
    rows = [f"{START + timedelta(minutes=5 * n)},{n % 9}" for n in range(400)]
    (tmp_path / "nab" / "data" / SERIES).write_text("\n".join(["timestamp,value", *rows]))
    windows = {SERIES: [["2026-01-01 20:00:00.000000", "2026-01-01 21:00:00.000000"]]}
    (tmp_path / "nab" / "labels" / "combined_windows.json").write_text(json.dumps(windows))
    return tmp_path


def test_ett_is_cut_by_its_rows_and_scaled_by_the_first_part(transformers: Path) -> None:
    data = ETT(data_dir=transformers, lengths=(40, 15, 15), window=6, horizon=3)
    data.setup()
    assert (data.spec.input_size, data.spec.output_size, data.spec.horizon) == (3, 3, 3)
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [32, 13, 13]  # type: ignore[arg-type]
    assert data.scale is not None
    assert data.scale.offset[2] == pytest.approx(39 / 2)  # the mean of 0 to 39
    first = data.splits["test"][0]
    restored = first.targets[:, 2] * data.scale.deviation[2] + data.scale.offset[2]
    assert restored.tolist() == pytest.approx([55, 56, 57], abs=1e-3)  # float32
    with pytest.raises(ValueError, match=r"no series of ETT is named 'ETTh3'.*Did you mean"):
        ETT("ETTh3", data_dir=transformers)


def test_nab_gives_a_series_its_probation_and_its_windows(benchmark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqlab.data.nab.NAB_DATA", with_file(f"data/{SERIES}"))
    data = NAB(SERIES, data_dir=benchmark, window=16, calendar=True)
    data.setup()
    assert data.num_training == 60
    assert (data.spec.input_size, data.spec.output_size) == (3, 1)
    assert len(data.splits["test"][0].inputs) == 399
    assert data.windows == [(START + timedelta(hours=20), START + timedelta(hours=21))]
    with pytest.raises(ValueError, match=r"no series of NAB is named 'made/sum.csv'. Did you mean 'made/sums.csv'"):
        NAB("made/sum.csv", data_dir=benchmark).setup()


def with_file(path: str) -> NamedData:
    """NAB_DATA with one more file, which is not downloaded."""
    return replace(NAB_DATA, files=(*NAB_DATA.files, NamedFile(path)))


@pytest.mark.skipif(not (REAL / "nab").is_dir() or not (REAL / "ett").is_dir(), reason="NAB and ETT are not there; name their folder with SEQLAB_DATA_DIR")
def test_the_published_tables() -> None:
    assert len(nab_windows(REAL)) == 58
    nab = NAB(data_dir=REAL)
    nab.setup()
    assert (nab.num_training, len(nab.splits["test"][0].inputs)) == (750, 10319)
    ett = ETT(data_dir=REAL)
    ett.setup()
    assert ett.spec.output_size == 7
    assert len(ett.splits["train"]) == USUAL_LENGTHS[0] - ett.window - ett.horizon + 1  # type: ignore[arg-type]
