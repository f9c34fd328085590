"""The style sheet: small, self-contained, light and dark, and with enough contrast in both."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

import countermand.web

ASSETS = Path(countermand.web.__file__).parent / "assets"
STYLE = (ASSETS / "style.css").read_text(encoding="utf-8")
_TEXT_ON = [
    *((text, ground) for text in ("ink", "soft", "link") for ground in ("ground", "sheet", "sunk")),
    ("on-strong", "strong"),
    ("strong", "sheet"),
    *((name, f"{name}-ground") for name in ("good", "wait", "bad", "calm", "told")),
    ("bad", "ground"),
    ("bad", "sheet"),
]
_EDGES_ON = [(edge, ground) for edge in ("edge", "focus") for ground in ("ground", "sheet")]


def colours(scheme: str) -> Mapping[str, str]:
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)[:2]
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", light))
    return found | (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", dark)) if scheme == "dark" else {})


def contrast(one: str, other: str) -> float:
    """As WCAG 2 computes it."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_edges_have_enough_contrast(scheme: str):
    known = colours(scheme)
    weak = [(a, b, round(contrast(known[a], known[b]), 2)) for a, b in _TEXT_ON if contrast(known[a], known[b]) < 4.5]
    weak += [(a, b, round(contrast(known[a], known[b]), 2)) for a, b in _EDGES_ON if contrast(known[a], known[b]) < 3]
    assert weak == []


def test_the_style_sheets_are_small_and_load_nothing():
    assert len(STYLE.encode()) < 12 * 1024
    for sheet in ASSETS.glob("*.css"):
        assert not re.search(r"url\(|@import|@font-face", sheet.read_text(encoding="utf-8")), sheet.name


def test_the_style_sheet_knows_dark_paper_and_a_visible_focus():
    for wanted in ("prefers-color-scheme: dark", "@media print", ":focus-visible"):
        assert wanted in STYLE
