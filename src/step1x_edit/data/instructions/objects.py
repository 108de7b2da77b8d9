"""How replacements, motions, materials, texts and portrait retouching are asked for."""

from __future__ import annotations

from step1x_edit.data.instructions.grammar import Clauses

CLAUSES: dict[str, Clauses] = {
    "replacement": Clauses(
        (
            "replace {subject} with {new}",
            "swap {subject} for {new}",
            "change {subject} into {new}",
            "turn {subject} into {new}",
            "substitute {new} for {subject}",
            "put {new} where {subject} is",
            "exchange {subject} for {new}",
        ),
        (
            "把{subject}换成{new}",
            "将{subject}替换为{new}",
            "把{subject}变成{new}",
            "用{new}代替{subject}",
            "把{subject}改成{new}",
            "用{new}替换{subject}",
            "将{subject}换为{new}",
        ),
    ),
    "motion place": Clauses(
        ("move {subject} {place}", "shift {subject} {place}", "bring {subject} {place}", "drag {subject} {place}"),
        ("把{subject}移到{place}", "将{subject}移动到{place}", "让{subject}移到{place}", "把{subject}挪到{place}"),
    ),
    "motion left": Clauses(
        ("move {subject} a little to the left", "shift {subject} slightly left", "nudge {subject} to the left"),
        ("把{subject}向左移一点", "将{subject}稍微左移", "让{subject}往左挪一点"),
    ),
    "motion right": Clauses(
        ("move {subject} a little to the right", "shift {subject} slightly right", "nudge {subject} to the right"),
        ("把{subject}向右移一点", "将{subject}稍微右移", "让{subject}往右挪一点"),
    ),
    "motion up": Clauses(
        ("move {subject} a little up", "shift {subject} slightly upwards", "raise {subject} a bit"),
        ("把{subject}向上移一点", "将{subject}稍微上移", "让{subject}往上挪一点"),
    ),
    "motion down": Clauses(
        ("move {subject} a little down", "shift {subject} slightly downwards", "lower {subject} a bit"),
        ("把{subject}向下移一点", "将{subject}稍微下移", "让{subject}往下挪一点"),
    ),
    "motion mirror": Clauses(
        ("flip {subject} horizontally", "mirror {subject}", "make {subject} face the other way", "turn {subject} around"),
        ("把{subject}水平翻转", "镜像{subject}", "让{subject}面向另一边", "让{subject}转身"),
    ),
    "motion turn left": Clauses(
        ("rotate {subject} 90 degrees anticlockwise", "turn {subject} a quarter to the left", "tip {subject} over to the left"),
        ("把{subject}逆时针旋转90度", "将{subject}向左转四分之一圈", "让{subject}向左翻倒"),
    ),
    "motion turn right": Clauses(
        ("rotate {subject} 90 degrees clockwise", "turn {subject} a quarter to the right", "tip {subject} over to the right"),
        ("把{subject}顺时针旋转90度", "将{subject}向右转四分之一圈", "让{subject}向右翻倒"),
    ),
    "motion turn over": Clauses(
        ("turn {subject} upside down", "rotate {subject} by 180 degrees", "stand {subject} on its head"),
        ("把{subject}倒过来", "将{subject}旋转180度", "让{subject}倒立"),
    ),
    "motion larger": Clauses(
        ("make {subject} bigger", "enlarge {subject}", "grow {subject}", "scale {subject} up"),
        ("把{subject}变大", "放大{subject}", "让{subject}变得更大", "将{subject}放大一些"),
    ),
    "motion smaller": Clauses(
        ("make {subject} smaller", "shrink {subject}", "reduce the size of {subject}", "scale {subject} down"),
        ("把{subject}变小", "缩小{subject}", "让{subject}变得更小", "将{subject}缩小一些"),
    ),
    "material": Clauses(
        (
            "make {subject} out of {material}",
            "turn {subject} into {material}",
            "change the material of {subject} to {material}",
            "make {subject} look like {material}",
            "give {subject} the texture of {material}",
            "build {subject} from {material}",
        ),
        (
            "用{material}制作{subject}",
            "把{subject}变成{material}材质",
            "将{subject}的材质改为{material}",
            "让{subject}看起来像{material}",
            "给{subject}加上{material}质感",
            "把{subject}换成{material}做的",
        ),
    ),
    "text replace": Clauses(
        (
            'change "{word}" to "{other}"',
            'replace the text "{word}" with "{other}"',
            'make it say "{other}" instead of "{word}"',
            'write "{other}" where it says "{word}"',
            'rewrite "{word}" as "{other}"',
            'edit the word "{word}" to read "{other}"',
        ),
        (
            "把“{word}”改成“{other}”",
            "将文字“{word}”替换为“{other}”",
            "把“{word}”换成“{other}”",
            "在“{word}”的位置写“{other}”",
            "把字样“{word}”改写为“{other}”",
            "将“{word}”这个词变成“{other}”",
        ),
    ),
    "text recolour": Clauses(
        (
            'make the text "{word}" {colour}',
            "change the text colour to {colour}",
            'turn "{word}" {colour}',
            "write the text in {colour}",
        ),
        ("把文字“{word}”变成{colour}", "将文字颜色改为{colour}", "把“{word}”改成{colour}", "用{colour}写这些文字"),
    ),
    "text remove": Clauses(
        ("remove the text", 'delete the word "{word}"', 'erase "{word}"', "get rid of the lettering", "take the writing away"),
        ("去掉文字", "删除“{word}”这个词", "擦掉“{word}”", "把字样去除", "把写的字抹掉"),
    ),
    "text remove sign": Clauses(
        ("remove the sign", "take the whole sign away", "delete the banner with the text", "get rid of the plate"),
        ("去掉牌子", "把整个招牌拿走", "删除带文字的横幅", "移除这块牌子"),
    ),
    "text add": Clauses(
        (
            'write "{word}" in {colour} {place}',
            'add the {colour} text "{word}" {place}',
            'put the word "{word}" {place} in {colour}',
            'print "{word}" {place} in {colour} letters',
        ),
        (
            "在{place}用{colour}写“{word}”",
            "在{place}添加{colour}文字“{word}”",
            "在{place}放上{colour}的“{word}”字样",
            "用{colour}字母在{place}印上“{word}”",
        ),
    ),
    "portrait smooth": Clauses(
        ("smooth the skin", "retouch the skin", "remove the blemishes", "make the face smooth", "clear up the complexion"),
        ("磨皮", "让皮肤光滑", "去除瑕疵", "让脸部平滑", "修饰皮肤"),
    ),
    "portrait brighten": Clauses(
        ("brighten the face", "light up the face", "whiten the skin", "put light on the face", "make the face brighter"),
        ("提亮脸部", "让脸更亮", "美白皮肤", "给脸部补光", "让面部明亮"),
    ),
    "portrait tan": Clauses(
        ("tan the skin", "give the face a suntan", "make the skin bronze", "make the face look tanned"),
        ("让皮肤变成古铜色", "给脸部加上日晒的肤色", "把皮肤晒黑", "让脸看起来晒过太阳"),
    ),
    "portrait blush": Clauses(
        ("make the face rosy", "add blush to the face", "give the skin a pink glow", "put pink make-up on the face"),
        ("让脸色红润", "给脸部加上腮红", "让皮肤粉嫩", "给脸上粉色的妆"),
    ),
    "portrait blur around": Clauses(
        ("blur around the face", "use portrait mode", "soften everything around the person", "focus on the face alone"),
        ("把脸周围虚化", "使用人像模式", "柔化人物周围的一切", "只让脸部清晰"),
    ),
    "portrait darken around": Clauses(
        (
            "put a spotlight on the face",
            "darken everything around the person",
            "make a dramatic dark portrait",
            "black out around the face",
        ),
        ("给脸部打聚光灯", "把人物周围变暗", "做成戏剧化的暗调人像", "让脸的周围变黑"),
    ),
    "portrait glow": Clauses(
        ("add a soft beauty glow", "give the portrait a dreamy glow", "apply a beauty filter", "make the portrait glow softly"),
        ("加上柔美的光晕", "让人像有梦幻的光", "使用美颜滤镜", "让人像柔和发光"),
    ),
    "portrait wear": Clauses(
        ("put {hat} on {subject}", "give {subject} {hat} to wear", "make {subject} wear {hat}", "dress {subject} with {hat}"),
        ("给{subject}戴上{hat}", "让{subject}戴{hat}", "为{subject}加上{hat}", "把{hat}戴在{subject}头上"),
    ),
}
