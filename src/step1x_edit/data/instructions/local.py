"""How edits of one subject, one colour or the background are asked for."""

from __future__ import annotations

from step1x_edit.data.instructions.grammar import Clauses

CLAUSES: dict[str, Clauses] = {
    "removal": Clauses(
        (
            "remove {subject}",
            "delete {subject}",
            "erase {subject}",
            "take {subject} away",
            "get rid of {subject}",
            "make {subject} disappear",
            "take {subject} out of the picture",
            "clear {subject} from the photo",
        ),
        (
            "去掉{subject}",
            "删除{subject}",
            "移除{subject}",
            "擦掉{subject}",
            "把{subject}去掉",
            "把{subject}拿走",
            "让{subject}消失",
            "把{subject}从图中抹去",
        ),
    ),
    "addition": Clauses(
        (
            "add {subject} {place}",
            "put {subject} {place}",
            "place {subject} {place}",
            "insert {subject} {place}",
            "draw {subject} {place}",
            "paste {subject} {place}",
            "include {subject} {place}",
        ),
        (
            "在{place}添加{subject}",
            "在{place}放{subject}",
            "在{place}加上{subject}",
            "在画面{place}画{subject}",
            "在图片{place}插入{subject}",
            "往{place}贴{subject}",
            "给{place}增加{subject}",
        ),
    ),
    "colour": Clauses(
        (
            "change {what} to {colour}",
            "turn {what} {colour}",
            "make {what} {colour}",
            "recolour {what} to {colour}",
            "paint {what} {colour}",
            "colour {what} {colour}",
            "dye {what} {colour}",
        ),
        (
            "把{what}改成{colour}",
            "把{what}变成{colour}",
            "将{what}换成{colour}",
            "将{what}改为{colour}",
            "让{what}变{colour}",
            "把{what}涂成{colour}",
            "把{what}染成{colour}",
        ),
    ),
    "background plain": Clauses(
        (
            "change the background to {colour}",
            "make the background {colour}",
            "replace the background with plain {colour}",
            "put {subject} on a {colour} background",
            "use a solid {colour} background",
            "give {subject} a plain {colour} background",
            "turn the background {colour}",
        ),
        (
            "把背景改成{colour}",
            "把背景换成纯{colour}",
            "将背景变为{colour}",
            "把{subject}放在{colour}背景上",
            "使用纯{colour}背景",
            "给{subject}换一个{colour}背景",
            "让背景变成{colour}",
        ),
    ),
    "background gradient": Clauses(
        (
            "make the background a gradient from {colour} to {other}",
            "change the background to a gradient from {colour} at the top to {other}",
            "replace the background with a {colour} to {other} gradient",
            "put {subject} on a {colour} to {other} gradient",
        ),
        (
            "把背景变成从{colour}到{other}的渐变",
            "将背景换成从上方{colour}到下方{other}的渐变",
            "把背景替换为{colour}到{other}的渐变色",
            "把{subject}放在{colour}到{other}的渐变背景上",
        ),
    ),
    "background checkerboard": Clauses(
        (
            "make the background a {colour} checkerboard",
            "put {subject} on a {colour} checkerboard",
            "replace the background with {colour} checks",
            "change the background to a {colour} chessboard pattern",
        ),
        (
            "把背景变成{colour}棋盘格",
            "把{subject}放在{colour}棋盘格上",
            "将背景换成{colour}格子图案",
            "把背景改为{colour}的方格图案",
        ),
    ),
    "background stripes": Clauses(
        (
            "make the background {colour} stripes",
            "put {subject} on {colour} stripes",
            "replace the background with {colour} stripes",
            "change the background to a {colour} striped pattern",
        ),
        (
            "把背景变成{colour}条纹",
            "把{subject}放在{colour}条纹上",
            "将背景换成{colour}条纹图案",
            "把背景改为{colour}的横条纹",
        ),
    ),
    "background blur": Clauses(
        ("blur the background", "make the background blurry", "put the background out of focus", "blur everything behind {subject}"),
        ("把背景模糊掉", "让背景变模糊", "虚化背景", "把{subject}后面的一切都虚化"),
    ),
    "background black and white": Clauses(
        (
            "make the background black and white",
            "take the colour out of the background",
            "keep only {subject} in colour",
            "turn the background grey scale",
        ),
        ("把背景变成黑白", "去掉背景的颜色", "只保留{subject}的颜色", "让背景变成灰度"),
    ),
    "background dark": Clauses(
        ("darken the background", "make the background darker", "dim everything behind {subject}", "put the background in the dark"),
        ("把背景变暗", "让背景更暗", "压暗{subject}后面的一切", "让背景处于黑暗中"),
    ),
}
