"""A report as one HTML page that needs nothing beside it: the pictures are in it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from seqlab.report.compare import Comparison
from seqlab.report.rows import Report
from seqlab.report.tables import FIGURES, Section, sections

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; display: block; overflow-x: auto; }
th, td { padding: 0.3rem 0.7rem; border-bottom: 1px solid #ddd; text-align: left; white-space: nowrap; }
.figure { text-align: right; }
.why { white-space: normal; }
img { max-width: 100%; }
p { color: #555; }
"""


def as_html(report: Report, comparisons: Sequence[Comparison], pictures: Sequence[tuple[Path, str]]) -> str:
    """pictures: (PNG file, what it shows); they stand below the first table."""
    parts = ["<h1>Report</h1>"]
    for i, section in enumerate(sections(report, comparisons)):
        parts += [f"<h2>{escape(section.heading)}</h2>", _table(section)]
        parts += [f"<p>{escape(section.text)}</p>"] * bool(section.text) + [_image(file, text) for file, text in pictures if i == 0]
    head = f'<meta charset="utf-8">\n<title>seqlab report</title>\n<style>{STYLE}</style>'
    return "\n".join(["<!doctype html>", f'<html lang="en">\n<head>\n{head}\n</head>\n<body>', *parts, "</body>\n</html>\n"])


def _image(file: Path, text: str) -> str:
    data = base64.b64encode(file.read_bytes()).decode("ascii")
    return f'<h2>{escape(text)}</h2>\n<img alt="{escape(text)}" src="data:image/png;base64,{data}">'


def _table(section: Section) -> str:
    kinds = ["figure" if name in FIGURES else "why" if name == "why" else "" for name in section.columns]

    def line(tag: str, words: Sequence[str]) -> str:
        return "".join(["<tr>", *(f'<{tag} class="{kind}">{escape(word)}</{tag}>' for kind, word in zip(kinds, words, strict=True)), "</tr>"])

    return "\n".join(["<table>", line("th", section.columns), *(line("td", words) for words in section.lines), "</table>"])
