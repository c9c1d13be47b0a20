"""Fonts for labels in any script: matplotlib's own has no Chinese, Japanese or Korean."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable
from functools import cache
from typing import Any

log = logging.getLogger("seqlab")

# what systems have, the most widespread first; matplotlib takes each character from the first font that has it
WIDE_FONTS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK TC", "Noto Sans JP", "Noto Sans SC", "Source Han Sans", "Droid Sans Fallback"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "IPAexGothic", "IPAGothic", "TakaoGothic", "VL Gothic", "AR PL UMing CN"),
    *("PingFang SC", "Hiragino Sans", "Hiragino Sans GB", "Heiti SC", "Arial Unicode MS"),
    *("Microsoft YaHei", "Yu Gothic", "Meiryo", "MS Gothic", "SimHei", "Malgun Gothic"),
)


def plain_text(texts: Iterable[str]) -> dict[Any, Any]:
    """What `rc_context` needs to show these texts as they are: fonts that have their signs, and no formula between two dollar signs,
    on which matplotlib fails where there is none. Text is made and drawn inside of it."""
    return {"font.family": fonts_for(texts), "text.parse_math": False}


def fonts_for(texts: Iterable[str]) -> list[str]:
    """The font families that show these texts, for `rc_context({"font.family": …})`; says once in the log which signs are in none of them."""
    import matplotlib

    families = list(matplotlib.rcParams["font.family"])
    missing = {sign for text in texts for sign in text if sign.isprintable()} - _signs("DejaVu Sans")
    while missing:
        best = max(_installed(), key=lambda family: len(missing & _signs(family)), default=None)  # of equals the most widespread
        if best is None or not missing & _signs(best):
            _say("".join(sorted(missing)[:5]))
            break
        families.append(best)
        missing -= _signs(best)
    return families


@cache
def _installed() -> tuple[str, ...]:
    """The WIDE_FONTS that matplotlib finds here."""
    from matplotlib import font_manager

    found = set(font_manager.get_font_names())
    return tuple(family for family in WIDE_FONTS if family in found)


@cache
def _signs(family: str) -> frozenset[str]:
    """Every character that the font has."""
    from matplotlib import font_manager

    font = font_manager.get_font(font_manager.findfont(family))
    return frozenset(map(chr, font.get_charmap()))


@cache
def _say(signs: str) -> None:
    warnings.filterwarnings("ignore", "Glyph .* missing from font")  # said once is enough
    log.warning(f"no font on this machine has {signs!r}: pictures show boxes in their place. Install Noto Sans CJK, or another font that has them.")
