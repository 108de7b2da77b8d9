"""Instructions for what moved between two frames of a clip: where to and how far, or nearer and farther."""

from __future__ import annotations

from step1x_edit.data.instructions.grammar import Clauses

CLAUSES: dict[str, Clauses] = {
    "motion travel": Clauses(
        ("move {subject} {where}", "shift {subject} {where}", "let {subject} move {where}", "have {subject} go {where}"),
        ("把{subject}{where}", "将{subject}{where}", "让{subject}{where}", "使{subject}{where}"),
    ),
    "motion nearer": Clauses(
        ("bring {subject} closer", "let {subject} come nearer", "make {subject} approach the camera", "move {subject} towards the viewer"),
        ("让{subject}靠近一些", "把{subject}拉近", "让{subject}朝镜头过来", "将{subject}移近一点"),
    ),
    "motion farther": Clauses(
        ("move {subject} farther away", "let {subject} go away from the camera", "push {subject} back", "make {subject} more distant"),
        ("让{subject}离远一些", "把{subject}推远", "让{subject}远离镜头", "将{subject}移远一点"),
    ),
}

DIRECTIONS: dict[tuple[int, int], tuple[str, str, str]] = {
    (-1, 0): ("left", "to the left", "向左"),
    (1, 0): ("right", "to the right", "向右"),
    (0, -1): ("up", "up", "向上"),
    (0, 1): ("down", "down", "向下"),
    (-1, -1): ("up left", "up and to the left", "向左上方"),
    (1, -1): ("up right", "up and to the right", "向右上方"),
    (-1, 1): ("down left", "down and to the left", "向左下方"),
    (1, 1): ("down right", "down and to the right", "向右下方"),
}
"""Steps to the right and downwards -> short name, English, Chinese."""

DISTANCES: tuple[tuple[float, str, str, str], ...] = (
    (0.12, "a little", "a little {}", "{}移一点"),
    (0.3, "", "{}", "{}移动"),
    (1.0, "far", "far {}", "{}移很远"),
)
"""Share of the frame's side up to which it is called so, short name, English and Chinese around the direction."""


def name_step(right: float, down: float) -> tuple[str, str, str]:
    """Name a motion, given in shares of the frame's side: short form of the closed vocabulary, English, Chinese.

    A direction counts from the sector of 45 degrees that it lies in.
    """
    across, along = (0 if abs(part) < 0.414 * abs(other) else 1 if part > 0 else -1 for part, other in ((right, down), (down, right)))
    short, english, chinese = DIRECTIONS[across, along]
    length = (right**2 + down**2) ** 0.5
    _, name, around_en, around_zh = next((row for row in DISTANCES if length <= row[0]), DISTANCES[-1])
    return f"{short} {name}".strip(), around_en.format(english), around_zh.format(chinese)
