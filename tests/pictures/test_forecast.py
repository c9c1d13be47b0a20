"""Pictures of series: what was measured is shown."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.image import imread

from seqlab.pictures.forecast import between_gaps, draw_anomalies, draw_forecast

SPARSE = [value for step in range(20) for value in (float(step % 5), math.nan)]
NOTHING = [math.nan] * 40


def test_a_value_between_two_gaps_is_drawn(tmp_path: Path) -> None:
    assert between_gaps([1.0, math.nan, 2.0, 3.0, math.nan, 4.0]) == [0, 5]
    assert between_gaps([]) == []
    inked = []
    for number, values in enumerate((NOTHING, SPARSE)):
        draw_forecast(tmp_path / "f.png", {"a": values}, {"a": [0.0, 4.0]})
        draw_anomalies(tmp_path / "a.png", {"a": values}, [0.0] * 39 + [4.0], [False] * 40)
        inked.append([int((abs(imread(tmp_path / name)[..., :3] - 0.35).max(2) < 0.02).sum()) for name in ("f.png", "a.png")])
        assert number == 0 or all(some > nothing + 20 for nothing, some in zip(*inked, strict=True))
