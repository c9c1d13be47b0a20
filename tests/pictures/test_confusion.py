"""The picture of a confusion matrix: its size, its labels in any script, and what is said when no font has them."""

from __future__ import annotations

import logging

import pytest
from matplotlib.image import imread

from seqlab.pictures import fonts
from seqlab.pictures.confusion import draw_confusion


@pytest.mark.parametrize("size", [2, 30])
def test_draws(tmp_path, size) -> None:
    draw_confusion(tmp_path / "c.png", [[i * j for i in range(size)] for j in range(size)], [f"name {i}" for i in range(size)])
    picture = imread(tmp_path / "c.png")
    assert picture.shape[1] > picture.shape[0] > 400
    assert picture[..., :3].std() > 0.05  # not blank


def test_a_class_named_like_a_formula_is_shown_as_written(tmp_path) -> None:
    draw_confusion(tmp_path / "c.png", [[1, 2], [3, 4]], [r"$\no$", "$5 to $9"])
    assert (tmp_path / "c.png").is_file()


def test_a_font_that_has_the_signs_is_added(monkeypatch) -> None:
    own = fonts.fonts_for(["abc é"])
    monkeypatch.setattr(fonts, "_installed", lambda: ("Wrong", "Wide"))
    monkeypatch.setattr(fonts, "_signs", lambda family: {"Wide": frozenset("日本"), "Wrong": frozenset("日")}.get(family, frozenset("abc")))
    assert fonts.fonts_for(["ab日本"]) == [*own, "Wide"]


def test_one_sign_that_no_font_has_does_not_hide_the_others(monkeypatch, caplog) -> None:
    own = fonts.fonts_for(["abc é"])
    have = {"Han": frozenset("日本"), "Kana": frozenset("日かな")}
    monkeypatch.setattr(fonts, "_installed", lambda: ("Kana", "Han"))
    monkeypatch.setattr(fonts, "_signs", lambda family: have.get(family, frozenset("abc")))
    fonts._say.cache_clear()
    with caplog.at_level(logging.WARNING, "seqlab"):
        assert fonts.fonts_for(["日本かな😀"]) == [*own, "Kana", "Han"]
    assert "no font on this machine has '😀'" in caplog.text


def test_without_one_the_log_says_so_once(monkeypatch, caplog) -> None:
    monkeypatch.setattr(fonts, "_installed", lambda: ())
    fonts._say.cache_clear()
    with caplog.at_level(logging.WARNING, "seqlab"):
        fonts.fonts_for(["日本"])
        fonts.fonts_for(["日本"])
    assert caplog.text.count("no font on this machine has '日本'") == 1
