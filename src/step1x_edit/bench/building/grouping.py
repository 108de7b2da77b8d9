"""Which task a request belongs to, which requests ask for the same thing, and which to take so that tasks and intents are balanced.

Choice: rules and letters instead of a model. A request that no rule fits, or that several fit equally well, is left to the reviewer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from step1x_edit.bench.gedit import TASK_SIZES

SAME_INTENT = 0.5
SAME_WORDING = 0.8
"""Shares of common letter groups from which two instructions have one intent, or are the same."""

RULES: dict[str, tuple[str, ...]] = {
    "background_change": (r"\bbackgrounds?\b", r"\bbackdrop\b", "背景"),
    "color_alter": (
        r"\b(re)?colou?r\b",
        r"\b(make|turn|change|paint|dye)\b.*\b(red|blue|green|yellow|black|white|pink|purple|orange|brown|grey|gray|blonde?)\b",
        "颜色|变红|变蓝|染成",
        r"[换改变]成?[^，。]*[红橙黄绿青蓝紫黑白粉灰棕]色",
    ),
    "material_alter": (
        r"\b(material|wooden|wood|metal|glass|marble|gold|silver|leather|plastic|stone|knitted|crystal|ice)\b",
        "材质|木质|金属|玻璃|大理石|皮革|石头|冰做|陶瓷",
    ),
    "motion_change": (
        r"\b(pose|smil\w*|wav\w+|jump\w*|sit|sitting|stand\w*|walk\w*|run|running|raise|gesture|eyes closed)\b",
        r"\b(smaller|larger|bigger|resize|size|shrink|enlarge|move|rotate|turn around)\b",
        "姿势|动作|微笑|挥手|跳起|坐下|站起|举起|闭眼|缩小|放大|变小|变大|移动|旋转",
    ),
    "ps_human": (
        r"\b(skin|wrinkles?|acne|slim\w*|makeup|make-up|beard|hair\w*|face|retouch|beautify|younger|older|teeth|bald)\b",
        "皮肤|皱纹|痘|瘦|妆|胡子|发型|头发|脸|美颜|年轻|变老|牙齿",
    ),
    "style_change": (
        r"\b(style|ghibli|anime|cartoon|watercolou?r|oil painting|sketch|palette|mosaic|pixel art|comic|clay|lego)\b",
        "风格|动漫|卡通|水彩|油画|素描|像素|漫画|吉卜力",
    ),
    "subject-add": (r"\b(add|put|place|insert|include)\b", "添加|加上|加一|增加|放一|加个"),
    "subject-remove": (
        r"\b(remove|delete|erase|get rid of|without|disappear|take (away|out))\b",
        "去掉|移除|删除|去除|擦掉|消除|消失|拿掉",
    ),
    "subject-replace": (
        r"\b(replace|swap|substitute|exchange)\b",
        r"\b(turn|change|transform)\b.*\binto an? ",
        r"变成一[个只条辆朵张]",
        "替换|换成|换为|改为",
    ),
    "text_change": (
        r"\b(text|words?|letters?|lettering|caption|sign says?|logo says?|title|font)\b",
        r"(?:^|\s)[\"“'‘].+[\"”'’]",
        "文字|字样|标题|字体|[“「].+[”」]",
    ),
    "tone_transfer": (
        r"\b(night|day|sunset|dusk|dawn|winter|summer|autumn|snow\w*|rain\w*|fog\w*|sunny|weather|season)\b",
        r"\b(brighter|darker|lighting|vintage|warmer|cooler|white balance|contrast|brightness|exposure)\b",
        r"夜晚|白天|日落|黄昏|冬|夏|秋|下雪|下雨|雾|天气|季节|光线|复古|色调|色温|白平衡|对比度|亮度|[变调]得?\S{0,3}[亮暗冷暖]",
    ),
}
"""What instructions of a task look like."""

STRONG = ("background_change", "material_alter", "motion_change", "style_change", "text_change")
"""Tasks whose words say what is meant, whichever verb stands beside them."""

_VERB_FIRST = re.compile(r"(?i)^\W*(please )?(add|put|place|insert|remove|delete|erase|replace|swap)\b|^请?[添加放去移删擦]")

T = TypeVar("T")


def guess_task(english: str, chinese: str) -> str:
    """The task, or an empty text where the rules do not agree on one."""
    text = f"{english}\n{chinese}"
    fitting = [task for task, patterns in RULES.items() if any(re.search(pattern, text, re.IGNORECASE) for pattern in patterns)]
    strong = [task for task in fitting if task in STRONG]
    verbs = [task for task in fitting if task.startswith("subject-")]
    # "add a red hat" is an addition, whatever else its words speak of: the verb comes first
    chosen = strong or (verbs if _VERB_FIRST.search(english) or _VERB_FIRST.search(chinese) else fitting)
    return chosen[0] if len(chosen) == 1 else ""


def letter_groups(text: str) -> frozenset[str]:
    """Groups of three letters of a text in small letters; of two in Chinese, whose words are shorter."""
    bare = re.sub(r"[\W_]+", " ", text.lower()).strip()
    size = 2 if re.search(r"[\u4e00-\u9fff]", bare) else 3
    padded = f" {bare} "
    return frozenset(padded[i : i + size] for i in range(max(1, len(padded) - size + 1)))


def alike(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of the groups that both have, 0..1."""
    return len(one & other) / max(1, len(one | other))


def group_intents(texts: Sequence[str]) -> list[int]:
    """A number for each instruction: those that resemble the same earlier one share it."""
    leaders: list[frozenset[str]] = []
    numbers = []
    for text in texts:
        groups = letter_groups(text)
        scores = [alike(groups, leader) for leader in leaders]
        best = max(range(len(scores)), key=scores.__getitem__, default=-1)
        if best < 0 or scores[best] < SAME_INTENT:
            leaders.append(groups)
            best = len(leaders) - 1
        numbers.append(best)
    return numbers


def balance(candidates: Iterable[tuple[str, int, T]], targets: Mapping[str, int] = TASK_SIZES) -> dict[str, list[T]]:
    """Take at most the target of each task, one of each intent before a second of any.

    Args:
        candidates: (task, intent, what to take), the better first.
        targets: how many of each task; tasks that are not in it are left out.
    """
    tasks: dict[str, dict[int, list[T]]] = {}
    for task, intent, item in candidates:
        if task in targets:
            tasks.setdefault(task, {}).setdefault(intent, []).append(item)
    chosen: dict[str, list[T]] = {}
    for task, intents in tasks.items():
        queues, taken = list(intents.values()), list[T]()
        while queues and len(taken) < targets[task]:
            queues = [queue for queue in queues if queue]
            taken += [queue.pop(0) for queue in queues][: targets[task] - len(taken)]
        chosen[task] = taken
    return chosen
