"""What is taken for a name by how it is written, and what is not."""

from __future__ import annotations

import pytest

from step1x_edit.bench.building.names import find_names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Anna Schmidt should smile", ["Anna Schmidt"]),
        ("Anna should smile", ["Anna"]),
        ("Remove Anna from the picture", ["Anna"]),
        ("Make Anna Schmidt smile. Bob may stay", ["Anna Schmidt", "Bob"]),
        ("let José and O'Neil wave", ["José", "O'Neil"]),
        ("把王小明的头发变成红色", ["王小明"]),
        ("去掉王伟，加一只狗", ["王伟"]),
        ("欧阳娜娜的帽子换成红色", ["欧阳娜娜"]),
        ("移除Annika", ["Annika"]),
        ("把脸换成刘德华", ["刘德华"]),
        ("加上周杰伦", ["周杰伦"]),
        ("在周杰伦旁边加一只狗", ["周杰伦"]),
        ("把陳小姐去掉", ["陳小姐"]),
        ("將劉德華的頭髮變成紅色", ["劉德華"]),
        ("歐陽娜娜的帽子換成紅色", ["歐陽娜娜"]),
    ],
)
def test_names_are_seen(text: str, names: list[str]) -> None:
    assert find_names(text) == names


@pytest.mark.parametrize(
    "text",
    [
        "Make it a Chinese garden. Please add a dog",
        "I want the T-shirt to be red",
        "Hi, could you remove the haze on the TV?",
        "把黄色的车变成白色，谢谢",
        "把周围的人去掉，给石头加上高光",
        "把黃色的車變成白色，謝謝",
        "在馬路上加一輛車，在上方绿色的墙上加胡萝卜",
        "",
    ],
)
def test_other_words_are_none(text: str) -> None:
    assert find_names(text) == []
