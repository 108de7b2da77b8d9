"""Number plates by what is written on them: a line of text that reads like one and has the shape of one. Offline plate detector."""

from __future__ import annotations

import re

from step1x_edit.data.tools.choice import BareTool
from step1x_edit.data.tools.protocols import Plate, TextLine, ToolCard
from step1x_edit.data.tools.rapid_ocr import RapidTextReader
from step1x_edit.data.triplet import Pixels

_PATTERNS = (
    r"[A-Z]{2}-?\d{2}-?[A-Z]{3}",  # Britain
    r"[A-ZÄÖÜ]{1,3}-[A-Z]{1,2}-?\d{1,4}[EH]?",  # Germany
    r"[A-Z]{2}-?\d{3}-?[A-Z]{2}",  # France, Italy
    r"\d{4}-?[A-Z]{3}",  # Spain
    r"[A-Z]{2,3}-?\d{3,5}-?[A-Z]{0,2}",  # North America, Poland, Switzerland
    r"\d[A-Z]{3}\d{3}",  # California
    r"\d{1,3}-?[A-Z]{1,3}-?\d{2,4}",  # North America, Netherlands, Belgium
    r"[A-Z]{2}-?\d{1,2}-?[A-Z]{1,3}-?\d{3,4}",  # India
    r"[ABEKMHOPCTYX]-?\d{3}-?[ABEKMHOPCTYX]{2}-?\d{2,3}",  # Russia
    r"[\u4e00-\u9fff]-?[A-Z]-?[A-Z0-9]{4,5}[A-Z0-9挂学警港澳领]",  # China
    r"使-?\d{3}-?\d{3}",  # its embassies
    r"[\u4e00-\u9fff]{1,4}\d{2,3}-?[\u3040-\u309f]-?\d{2}-?\d{2}",  # Japan
)
_PLATE = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS))
_SEPARATORS = re.compile(r"[\s\-·.•:|]+")


def is_plate_text(text: str) -> bool:
    """Whether a line of text reads like a number plate: five to ten letters and digits, at least two of these, in a known order."""
    joined = _SEPARATORS.sub("-", text.strip()).upper()
    letters, digits = sum(c.isalpha() for c in joined), sum(c.isdigit() for c in joined)
    return 5 <= letters + digits <= 10 and digits >= 2 and _PLATE.fullmatch(joined) is not None


class TextPlates(BareTool):
    """Reads the picture and keeps what looks like a plate: it errs towards hiding too much, and misses plates too small to read."""

    def __init__(self) -> None:
        self._reader = RapidTextReader()

    @property
    def card(self) -> ToolCard:
        return ToolCard("text", "1", {"reader": self._reader.card.name, "reader_version": self._reader.card.version})

    def find_plates(self, picture: Pixels) -> tuple[Plate, ...]:
        """List the plates, the surest first."""
        return tuple(sorted(select_plates(self._reader.read(picture)), key=lambda plate: (-plate.score, plate.box)))


def select_plates(lines: tuple[TextLine, ...]) -> list[Plate]:
    """The lines of text that read like plates and are between 1.2 and 9 times as wide as high."""
    return [
        Plate(line.box, line.confidence, line.text)
        for line in lines
        if is_plate_text(line.text) and 1.2 <= line.box.width / max(line.box.height, 1) <= 9
    ]
