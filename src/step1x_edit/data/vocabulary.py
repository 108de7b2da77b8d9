"""Words for what pictures show: kinds of subjects, places in the frame, flowers. Literal tables, English and Chinese."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field, field_validator

from step1x_edit.data.labels import LABELS

KINDS: dict[str, tuple[str, str]] = {
    "animal": ("animal", "动物"),
    "plant": ("plant", "植物"),
    "food": ("food", "食物"),
    "vehicle": ("vehicle", "交通工具"),
    "building": ("building", "建筑"),
    "person": ("person", "人"),
    "clothing": ("piece of clothing", "衣物"),
    "object": ("object", "物体"),
}
"""General word for a kind of subject: name -> (English, Chinese)."""

_MEASURES: dict[str, str] = {
    "animal": "一只",
    "plant": "一株",
    "food": "一个",
    "vehicle": "一辆",
    "building": "一座",
    "person": "一个",
    "clothing": "一件",
    "object": "一个",
}
"""Chinese "one" with the measure word of a kind."""

_MEASURES_BY_WORD: dict[str, str] = {
    "一个": "头 脸 鼻子 包 袋 巢 站 轮子 球 球门 松果 卫星 天线 土豆",
    "一只": "蜗牛 章鱼 海马 水豚 鞋 靴 翅膀",
    "一头": "河马 蒜",
    "一辆": "拖拉机",
    "一艘": "客轮",
    "一副": "眼镜 刀叉 弓和箭",
    "一双": "芭蕾舞鞋 袜子 筷子",
    "一顶": "皇冠 帽 帽子 头盔",
    "一条": "裤 裙 领带 索道",
    "一块": "滑板 滑雪板 冲浪板 木头 石头 岩石 砖 饼干 磁铁 手表 黄油 芝士 巧克力 姜",
    "一把": "斧头 椅子 吉他 贝斯 提琴 班卓琴 雨伞 勺子 叉子 刀 锤子 木槌 钳子 锯子 木工锯 刷子 牙刷 铁锹 铲 扳手 钥匙 直尺 三角尺 水枪",
    "一支": "笔 小号 长笛 萨克斯管",
    "一门": "大炮",
    "一架": "手风琴 竖琴 望远镜 雪橇 梯子",
    "一台": "相机 电脑 冰箱 电视 显微镜 微波炉 烤箱 搅拌机 传真机 老虎机",
    "一张": "床 桌子 长椅 沙发 信用卡 票 光盘 光片 软盘",
    "一部": "手机",
    "一份": "薯条 沙拉 报纸 乐谱 意粉",
    "一封": "电子邮件",
    "一根": "香蕉 胡萝卜 黄瓜 玉米 棒棒糖 拐杖 魔棒 缝合针",
    "一串": "葡萄",
    "一颗": "星星 钻石 樱桃 豆 蓝莓 花生 栗子 糖",
    "一枚": "硬币 奖牌 图钉 别针",
    "一团": "线",
    "一轮": "满月 弯月",
    "一面": "旗 旗子 墙 镜子",
    "一扇": "门 窗户",
    "一座": "奖杯 雕像 山",
    "一列": "火车 列车 地铁 轻轨",
    "一株": "风信子",
    "一盆": "盆栽 盆栽植物",
    "一朵": "郁金香 蘑菇 雏菊",
    "一束": "花束",
    "一片": "叶子 培根",
    "一本": "书 书本 笔记本",
    "一碗": "米饭 面条",
    "一杯": "啤酒 葡萄酒 鸡尾酒 奶茶 热茶 热饮 牛奶",
    "一瓶": "香槟 盐",
    "一罐": "蜂蜜",
    "一锅": "炖菜",
    "一桶": "爆米花",
}
"""Exceptions whatever the kind: "one" with the measure word -> how the Chinese name ends; the longest ending that fits counts."""

_MEASURES_BY_ENDING: tuple[tuple[str, str, str], ...] = (
    ("vehicle", "船艇舟", "一艘"),
    ("vehicle", "机", "一架"),
    ("vehicle", "箭", "一枚"),
    ("vehicle", "碟星", "一个"),
    ("animal", "鱼蛇豚鲸", "一条"),
    ("animal", "马", "一匹"),
    ("animal", "象牛", "一头"),
    ("plant", "花葵瑰莲", "一朵"),
    ("plant", "树", "一棵"),
    ("plant", "叶", "一片"),
    ("object", "灯", "一盏"),
    ("object", "毛", "一根"),
)
"""Further exceptions: kind, last characters of the Chinese name, "one" with the measure word."""

_SINGLE = ("一个", "一颗", "一朵", "一本")
"""Measure words of one thing, which several in a picture have not: of "books" there are "一些书", but jeans and glasses stay one."""

_UNCOUNTED = "bacon, bread, broccoli, butter, food, garlic, grass, ice, luggage, money, popcorn, rice, salt, spaghetti, sushi, wood, yarn"

_UNCOUNTABLE: frozenset[str] = frozenset(_UNCOUNTED.split(", "))
"""English names that neither "a" nor "another" goes before."""

FLOWERS: dict[str, str] = {
    "daisy": "daisies",
    "dandelion": "dandelions",
    "roses": "roses",
    "sunflowers": "sunflowers",
    "tulips": "tulips",
}
"""First word of a photograph's file name -> what it shows."""

_LEAVES = ("green", "black", "grey", "blue", "teal")

NO_PETALS: dict[str, tuple[str, ...]] = {
    "daisy": (*_LEAVES, "yellow", "orange"),
    "dandelion": (*_LEAVES, "orange"),
    "rose": _LEAVES,
    "sunflower": (*_LEAVES, "white", "red", "pink", "purple"),
    "tulip": _LEAVES,
}
"""A flower's label -> colours of which, in a photograph of such flowers, something is not the flower, or not all of it."""

PLACES: dict[str, tuple[str, str, float, float]] = {
    "centre": ("in the centre", "中间", 0.5, 0.5),
    "left": ("on the left", "左边", 0.0, 0.5),
    "right": ("on the right", "右边", 1.0, 0.5),
    "top": ("at the top", "上方", 0.5, 0.0),
    "bottom": ("at the bottom", "下方", 0.5, 1.0),
    "top left": ("at the top left", "左上角", 0.0, 0.0),
    "top right": ("at the top right", "右上角", 1.0, 0.0),
    "bottom left": ("at the bottom left", "左下角", 0.0, 1.0),
    "bottom right": ("at the bottom right", "右下角", 1.0, 1.0),
}
"""Place in the frame: name -> (English, Chinese, horizontal position, vertical position), 0 flush left or top, 1 flush right or bottom."""

NINTHS = (("top left", "top", "top right"), ("left", "centre", "right"), ("bottom left", "bottom", "bottom right"))
"""Keys of `PLACES` by third of the frame from the top and from the left."""

SIDES: dict[str, str] = {
    "centre": "to the centre",
    "left": "to the left side",
    "right": "to the right side",
    "top": "to the top",
    "bottom": "to the bottom",
    "top left": "to the top left corner",
    "top right": "to the top right corner",
    "bottom left": "to the bottom left corner",
    "bottom right": "to the bottom right corner",
}
"""Place in the frame -> how English says where something moves."""

_CODEPOINTS: tuple[tuple[int, int, str], ...] = (
    (0x26F5, 0x26F5, "vehicle"),
    (0x2708, 0x2708, "vehicle"),
    (0x1F300, 0x1F32C, "object"),
    (0x1F32D, 0x1F330, "food"),
    (0x1F331, 0x1F335, "plant"),
    (0x1F336, 0x1F336, "food"),
    (0x1F337, 0x1F33C, "plant"),
    (0x1F33D, 0x1F33D, "food"),
    (0x1F33E, 0x1F344, "plant"),
    (0x1F37C, 0x1F37C, "object"),
    (0x1F374, 0x1F374, "object"),
    (0x1F345, 0x1F37F, "food"),
    (0x1F382, 0x1F382, "food"),
    (0x1F384, 0x1F384, "plant"),
    (0x1F3C2, 0x1F3C4, "person"),
    (0x1F3CA, 0x1F3CC, "person"),
    (0x1F3CD, 0x1F3CE, "vehicle"),
    (0x1F3E0, 0x1F3ED, "building"),
    (0x1F3EF, 0x1F3F0, "building"),
    (0x1F43E, 0x1F43E, "object"),
    (0x1F400, 0x1F43F, "animal"),
    (0x1F451, 0x1F462, "clothing"),
    (0x1F490, 0x1F490, "plant"),
    (0x1F5FB, 0x1F5FD, "building"),
    (0x1F689, 0x1F689, "building"),
    (0x1F68F, 0x1F68F, "object"),
    (0x1F680, 0x1F6A4, "vehicle"),
    (0x1F6E5, 0x1F6FF, "vehicle"),
    (0x1F962, 0x1F962, "object"),
    (0x1F950, 0x1F96F, "food"),
    (0x1F9A0, 0x1F9A0, "object"),
    (0x1F980, 0x1F9AE, "animal"),
    (0x1F9C0, 0x1F9CB, "food"),
    (0x1FA70, 0x1FA74, "clothing"),
    (0x1FAB0, 0x1FAB3, "animal"),
    (0x1FAB5, 0x1FAB6, "object"),
    (0x1FAB4, 0x1FAB8, "plant"),
    (0x1FABC, 0x1FABC, "animal"),
    (0x1FABF, 0x1FABF, "animal"),
    (0x1FAD9, 0x1FAD9, "object"),
    (0x1FAD0, 0x1FADC, "food"),
)
"""Kinds of emoji by Unicode code point: first, last, kind; the first row that fits counts, and everything else is an object."""

_NAMED: dict[str, tuple[str, str]] = {
    "donut": ("甜甜圈", "food"),
    "microwave": ("微波炉", "object"),
    "oven": ("烤箱", "object"),
    "sink": ("水槽", "object"),
    "toilet": ("马桶", "object"),
    "wine glass": ("酒杯", "object"),
}
"""Further subjects whose entry may give an English name alone, beside `labels.LABELS`: name -> (Chinese, kind)."""

_SAID: dict[str, tuple[str, str]] = {
    "aerial tramway": ("aerial tramway", "空中缆车"),
    "blossom": ("blossom", "花"),
    "bottle with popping cork": ("bottle with popping cork", "香槟"),
    "bowling": ("bowling ball", "保龄球"),
    "clinking beer mugs": ("clinking beer mugs", "碰在一起的啤酒杯"),
    "custard": ("custard", "布丁"),
    "glass of milk": ("glass of milk", "牛奶"),
    "hatching chick": ("hatching chick", "破壳的小鸡"),
    "honey pot": ("honey pot", "蜂蜜"),
    "llama": ("llama", "羊驼"),
    "monorail": ("monorail", "单轨列车"),
    "mountain railway": ("mountain railway", "山区火车"),
    "musical notes": ("musical notes", "音符"),
    "person lifting weights": ("weightlifter", "举重运动员"),
    "person surfing": ("surfer", "冲浪者"),
    "person swimming": ("swimmer", "游泳者"),
    "ping pong": ("ping pong paddle", "乒乓球拍"),
    "pot of food": ("pot of food", "炖菜"),
    "sauropod": ("sauropod", "蜥脚类恐龙"),
    "skis": ("pair of skis", "滑雪板"),
    "snowboarder": ("snowboarder", "单板滑雪者"),
    "suspension railway": ("suspension railway", "悬挂列车"),
    "tennis": ("tennis ball", "网球"),
    "x ray": ("x ray", "X光片"),
}
"""Names of drawings that are those of a game or of what somebody does, or do not go with a number: what is seen in them is called so."""

_VOWEL_SOUND = re.compile(r"(?!eu|ewe|one|uni|use)[aeiou]|hour|x.ray", re.IGNORECASE)

_UNNAMEABLE = """
airplane arrival, airplane departure, anger symbol, antenna bars, bullseye, closed mailbox with lowered flag,
closed mailbox with raised flag, cooking, cricket game, field hockey, fork and knife with plate, heavy dollar sign, horse racing,
ice hockey, leaf fluttering in wind, mobile phone off, mobile phone with arrow, mount fuji, no mobile phones,
open mailbox with lowered flag, open mailbox with raised flag, performing arts, pouring liquid, vibration mode
"""

UNNAMEABLE: frozenset[str] = frozenset(" ".join(_UNNAMEABLE.split()).split(", "))
"""Names of drawings that nobody would call a picture's subject by; they are left out."""


class Entry(BaseModel):
    """What a `names.json` says of a picture: its names, a key of `KINDS`, an emoji's code point. What else it says is for others."""

    model_config = ConfigDict(str_strip_whitespace=True)

    en: str = ""
    zh: str = ""
    kind: str = ""
    codepoint: str = Field(default="", pattern=r"^((U\+)?[0-9A-Fa-f]+([-_ ].*)?)?$")

    @field_validator("kind")
    @classmethod
    def _check_kind(cls, kind: str) -> str:
        if kind and kind not in KINDS:
            raise ValueError(f"a kind is one of {', '.join(KINDS)}")
        return kind


def describe_kind(stem: str, entry: Entry) -> tuple[str, str, str]:
    """Name a subject from its entry in `names.json`, or else from its file name; a name that is known is written small.

    Returns:
        English name, Chinese name, kind.
    """
    english = (entry.en or stem.replace("-", " ")).replace("’", "'")
    known = _NAMED.get(english.lower()) or LABELS.get(english.lower())
    if known:
        english = english.lower()
    chinese, kind = known or (english, "object")
    english, said = _SAID.get(english, (english, entry.zh))
    if entry.codepoint:
        point = int(re.split("[-_ ]", entry.codepoint.removeprefix("U+"))[0], 16)
        kind = next((kind for first, last, kind in _CODEPOINTS if first <= point <= last), "object")
    return english, said or chinese, entry.kind or kind


def count(kind: str, chinese: str, english: str) -> str:
    """What Chinese says for "a" and for the plural: ("animal", "马", "horse") -> "一匹", ("food", "樱桃", "cherries") -> "一些"."""
    one = count_one(kind, chinese)
    return "一些" if one in _SINGLE and _is_plural(english) else one


def count_one(kind: str, chinese: str) -> str:
    """Put "one" with the right measure word before a Chinese name: ("animal", "马") -> "一匹"."""
    fitting = [(len(word), measure) for measure, words in _MEASURES_BY_WORD.items() for word in words.split() if chinese.endswith(word)]
    if fitting:
        return max(fitting)[1]
    for other, endings, measure in _MEASURES_BY_ENDING:
        if kind == other and chinese[-1] in endings:
            return measure
    return _MEASURES[kind]


def choose_article(words: str) -> str:
    """Which article comes before English words, "a" or "an"."""
    return "an" if _VOWEL_SOUND.match(words) else "a"


def with_article(words: str) -> str:
    """Put "a" or "an" before an English name: "apple" -> "an apple"; plurals, and what is not counted, are left as they are."""
    return words if _is_plural(words) or is_uncountable(words) else f"{choose_article(words)} {words}"


def with_another(words: str) -> str:
    """Ask for one more of an English name: "another apple", "more grapes", "more bread"."""
    return f"more {words}" if _is_plural(words) or is_uncountable(words) else f"another {words}"


def is_uncountable(words: str) -> bool:
    """Whether neither an article nor a size goes before an English name: there is no "large salt"."""
    return words.split(" with ")[0].split(" of ")[0].rpartition(" ")[2] in _UNCOUNTABLE


def _is_plural(words: str) -> bool:
    noun = words.split(" with ")[0]
    return noun.endswith("s") and not noun.endswith(("ss", "us", "is", "ceros")) and not words.startswith("person ")
