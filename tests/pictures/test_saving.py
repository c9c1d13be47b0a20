"""A picture gets its name when it is whole; what was there under the name stays until then."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from seqlab.pictures.saving import save_picture


def test_a_picture_takes_the_place_of_the_one_before(tmp_path) -> None:
    (tmp_path / "a.png").write_bytes(b"before")
    save_picture(Figure(figsize=(2, 1)), tmp_path / "a.png", dpi=50)
    assert imread(tmp_path / "a.png").shape[:2] == (50, 100)
    save_picture(Figure(), tmp_path / "b.svg")
    assert "<svg" in (tmp_path / "b.svg").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.svg"]


def test_one_that_breaks_off_leaves_the_one_before(tmp_path, monkeypatch) -> None:
    (tmp_path / "a.png").write_bytes(b"before")
    figure = Figure()

    def half(path, **options) -> None:
        path.write_bytes(b"hal")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", half)
    with pytest.raises(OSError, match="No space left"):
        save_picture(figure, tmp_path / "a.png")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.png", b"before")]
