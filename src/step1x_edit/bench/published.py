"""The paper's tables as data, so that a new system is printed beside them.

Two versions of the G judge are never mixed: the first version of the paper (arXiv 2504.17761v1, April 2025) and the figures that were
published later, after the hosted judge had changed. Q is Qwen2.5-VL-72B, an open model that does not change.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST = "GPT-4.1, April 2025 (paper, version 1)"
LATER = "GPT-4.1, later (figures published after version 1)"
OPEN = "Qwen2.5-VL-72B"


@dataclass(frozen=True)
class Published:
    """One row: a system's figures under one judge, language and subset. None where it was not published."""

    system: str
    judge: str
    language: str
    subset: str
    sc: float | None
    pq: float | None
    o: float


Figures = tuple[float, float, float]

# system: G and Q on the intersection, G and Q on the full set. Source: arXiv 2504.17761v1, table 2 (434 common cases).
_ENGLISH: dict[str, tuple[Figures, Figures, Figures, Figures]] = {
    "Instruct-Pix2Pix": ((3.473, 5.601, 3.631), (4.836, 6.948, 4.655), (3.575, 5.491, 3.684), (4.772, 6.870, 4.576)),
    "MagicBrush": ((4.646, 5.800, 4.578), (5.806, 7.162, 5.632), (4.677, 5.656, 4.518), (5.733, 7.066, 5.536)),
    "AnyEdit": ((3.177, 5.856, 3.231), (3.583, 6.751, 3.498), (3.178, 5.820, 3.212), (3.438, 6.729, 3.361)),
    "OmniGen": ((6.070, 5.885, 5.162), (7.022, 6.853, 6.565), (5.963, 5.888, 5.061), (6.900, 6.781, 6.413)),
    "Step1X-Edit": ((7.183, 6.818, 6.813), (7.380, 7.229, 7.161), (7.091, 6.763, 6.701), (7.332, 7.204, 7.104)),
    "Gemini": ((6.697, 6.638, 6.322), (7.276, 7.306, 6.978), (6.732, 6.606, 6.315), (7.287, 7.315, 6.982)),
    "Doubao": ((7.004, 7.215, 6.828), (7.417, 7.635, 7.273), (6.916, 7.188, 6.754), (7.382, 7.639, 7.241)),
    "GPT-4o": ((7.844, 7.592, 7.517), (7.873, 7.690, 7.694), (7.850, 7.620, 7.534), (7.826, 7.689, 7.646)),
}
# The same, in Chinese. Source: arXiv 2504.17761v1, table 3 (422 common cases).
_CHINESE: dict[str, tuple[Figures, Figures, Figures, Figures]] = {
    "Gemini": ((5.580, 6.757, 5.505), (5.658, 7.362, 5.522), (5.427, 6.767, 5.360), (5.617, 7.360, 5.485)),
    "Doubao": ((7.076, 7.315, 6.869), (7.122, 7.669, 7.062), (6.984, 7.273, 6.772), (7.116, 7.667, 7.063)),
    "GPT-4o": ((7.722, 7.590, 7.353), (7.771, 7.625, 7.572), (7.673, 7.559, 7.302), (7.698, 7.634, 7.529)),
    "Step1X-Edit": ((7.250, 6.855, 6.898), (7.347, 7.327, 7.232), (7.204, 6.869, 6.861), (7.282, 7.303, 7.161)),
}
# Source: reference facts, "Published G_O (EN, full, later judge)"; SC and PQ: the readme of stepfun-ai/Step1X-Edit, to two decimals.
_LATER: dict[str, tuple[float | None, float | None, float]] = {
    "Instruct-Pix2Pix": (None, None, 3.219),
    "MagicBrush": (None, None, 4.185),
    "AnyEdit": (None, None, 2.854),
    "OmniGen": (None, None, 5.005),
    "Step1X-Edit": (7.13, 7.00, 6.444),
    "Step1X-Edit v1.1": (7.66, 7.35, 6.969),
    "Gemini": (None, None, 6.509),
    "Doubao": (None, None, 6.983),
    "GPT-4o": (None, None, 7.494),
}
# Source: the readme of stepfun-ai/Step1X-Edit, to two decimals.
_LATER_OPEN: dict[str, Figures] = {"Step1X-Edit v1.1": (7.65, 7.41, 7.35)}


def _rows() -> tuple[Published, ...]:
    rows = []
    for language, table in (("en", _ENGLISH), ("cn", _CHINESE)):
        for system, figures in table.items():
            for (judge, subset), row in zip(
                ((FIRST, "intersection"), (OPEN, "intersection"), (FIRST, "full"), (OPEN, "full")), figures, strict=True
            ):
                rows.append(Published(system, judge, language, subset, *row))
    rows += [Published(system, LATER, "en", "full", *row) for system, row in _LATER.items()]
    rows += [Published(system, OPEN, "en", "full", *row) for system, row in _LATER_OPEN.items()]
    return tuple(rows)


PUBLISHED: tuple[Published, ...] = _rows()


def published(language: str, subset: str) -> list[Published]:
    """The rows for a language and subset, best first, judge by judge."""
    rows = [row for row in PUBLISHED if row.language == language and row.subset == subset]
    return sorted(rows, key=lambda row: (row.judge, -row.o))
