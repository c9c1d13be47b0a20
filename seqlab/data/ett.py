"""Electricity transformer temperature: seven series by the hour over two years."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqlab.data.named import NamedData, NamedFile
from seqlab.data.splits import Fractions
from seqlab.data.time_series import TimeSeries
from seqlab.registry import unknown

SOURCE = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/"
NAMES = {
    "ETTh1": "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
    "ETTh2": "a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b",
}
ETT_DATA = NamedData(
    "ETT",
    "ett",
    "H. Zhou et al., https://github.com/zhouhaoyi/ETDataset",
    "CC BY-ND 4.0",
    "H. Zhou et al., 2021, Informer: Beyond efficient transformer for long sequence time-series forecasting",
    tuple(NamedFile(f"ETT-small/{name}.csv", f"{SOURCE}ETT-small/{name}.csv", sha256) for name, sha256 in NAMES.items()),
)
USUAL_LENGTHS = (8640, 2880, 2880)  # 12, 4 and 4 months of 30 days; the rows after them are used by nobody


class ETT(TimeSeries):
    """ETTh1 or ETTh2, split as in the papers on long forecasts: 12 months for training, 4 for validation, 4 for test.

    name: which of them. The other arguments are those of TimeSeries; found under data_dir, else downloaded.
    """

    def __init__(
        self,
        name: str = "ETTh1",
        data_dir: str | Path | None = None,
        lengths: Sequence[int] | None = USUAL_LENGTHS,
        fractions: Fractions = (0.7, 0.1, 0.2),
        **options: Any,
    ) -> None:
        super().__init__(lengths=lengths, fractions=fractions, **options)
        if name not in NAMES:
            raise ValueError(unknown("series of ETT", name, list(NAMES), "Choose one with data.name=NAME."))
        self.name, self.data_dir = name, data_dir

    @property
    def file(self) -> Path:
        return ETT_DATA.find(f"ETT-small/{self.name}.csv", self.data_dir)
