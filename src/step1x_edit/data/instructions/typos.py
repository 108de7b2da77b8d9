"""Slips of a Chinese keyboard: a character gives way to one that is typed by the same syllables."""

from __future__ import annotations

import random
import re

SLIPS: tuple[tuple[str, str], ...] = (
    ("背景", "背静"),
    ("颜色", "言色"),
    ("添加", "天加"),
    ("删除", "山除"),
    ("去掉", "去调"),
    ("移除", "移出"),
    ("替换", "替唤"),
    ("换成", "还成"),
    ("变成", "变城"),
    ("改成", "该成"),
    ("照片", "照骗"),
    ("图片", "图篇"),
    ("模糊", "模胡"),
    ("文字", "文子"),
    ("左边", "左变"),
    ("右边", "右变"),
    ("中间", "中见"),
    ("下方", "下放"),
    ("上方", "上放"),
    ("材质", "才质"),
    ("看起来", "看起莱"),
    ("麻烦", "麻凡"),
    ("帮忙", "帮芒"),
    ("帮我", "邦我"),
    ("可以", "可已"),
    ("希望", "西望"),
    ("谢谢", "谢射"),
    ("的", "得"),
    ("把", "吧"),
    ("请", "清"),
    ("在", "再"),
)
"""Word -> the same syllables typed wrongly."""

_QUOTED = re.compile("“[^”]*”")


def mistype(rng: random.Random, text: str) -> str:
    """Let one slip happen, outside of quoted words; the text as it is where none can."""
    quoted = [match.span() for match in _QUOTED.finditer(text)]
    places = [
        (match.start(), right, wrong)
        for right, wrong in SLIPS
        for match in re.finditer(right, text)
        if not any(start <= match.start() < end for start, end in quoted)
    ]
    if not places:
        return text
    at, right, wrong = rng.choice(places)
    return text[:at] + wrong + text[at + len(right) :]
