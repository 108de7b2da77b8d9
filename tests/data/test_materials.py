"""Pictures are decoded, named and described as their files say."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from step1x_edit.data.labels import label_topic
from step1x_edit.data.licences import Credits
from step1x_edit.data.materials import PHOTOGRAPH_SIDE, list_cutouts, name_topic, read_materials, read_names, read_subjects
from step1x_edit.data.split import Split
from step1x_edit.data.stream import TripletStream
from step1x_edit.data.vocabulary import KINDS, Entry, count, count_one, describe_kind, with_another, with_article
from step1x_edit.errors import ImageError, UsageError
from step1x_edit.tables import read_csv

ROOT = Path(__file__).parents[2]


def save_cutout(folder: Path, name: str = "red-box") -> None:
    pixels = np.zeros((30, 40, 4), np.uint8)
    pixels[5:25, 10:30] = (220, 20, 20, 255)
    Image.fromarray(pixels).save(folder / f"{name}.png")


def test_cutouts_are_cropped_named_and_coloured(tmp_path: Path) -> None:
    save_cutout(tmp_path)
    (tmp_path / "names.json").write_text(json.dumps({"red-box": {"en": "box", "zh": "盒子"}}))
    Image.new("RGB", (1000, 800), "navy").save(tmp_path / "daisy-1.jpg")
    materials = read_materials([tmp_path], [tmp_path], Split(photographs=frozenset({"red-box"})), "train")
    (subject,) = materials.subjects
    assert (subject.name, subject.en, subject.zh, subject.kind, subject.colour) == ("red-box", "box", "盒子", "object", "red")
    assert subject.pixels.shape == (20, 20, 4)
    (photograph,) = materials.photographs
    assert photograph.caption == "a photo of daisies"
    assert min(photograph.pixels.shape[:2]) == PHOTOGRAPH_SIDE
    crop, origin = materials.crop(random.Random(0), 50)
    assert crop.shape == (50, 50, 3)
    assert origin is photograph


@pytest.mark.parametrize(("name", "colour"), [("green box", "green"), ("orange", "red"), ("boxwood", "red")])
def test_a_colour_in_a_cutouts_name_is_its_colour(tmp_path: Path, name: str, colour: str) -> None:
    save_cutout(tmp_path)
    (tmp_path / "names.json").write_text(json.dumps({"red-box": {"en": name}}))
    (subject,), _ = read_subjects([tmp_path], Split(), "train")
    assert subject.colour == colour


def save_marked(folder: Path, name: str = "car-1") -> None:
    """A grey photograph of 60 x 40 pixels with a red box in the right half, and the mask that marks it."""
    pixels = np.full((40, 60, 3), 128, np.uint8)
    pixels[10:30, 30:50] = (220, 20, 20)
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 30:50] = 255
    Image.fromarray(pixels).save(folder / f"{name}.png")
    Image.fromarray(mask).save(folder / f"{name}.mask.png")


def test_what_a_mask_beside_a_photograph_marks_has_a_name(tmp_path: Path) -> None:
    save_marked(tmp_path)
    Image.new("RGB", (60, 40), "navy").save(tmp_path / "sky.png")
    (tmp_path / "cutouts").mkdir()
    save_cutout(tmp_path / "cutouts")
    names = {"car-1.mask": {"en": "car", "zh": "汽车", "kind": "vehicle"}}
    (tmp_path / "names.json").write_text(json.dumps(names))
    materials = read_materials([tmp_path], [tmp_path / "cutouts"], Split(photographs=frozenset({"red-box"})), "train")
    assert [photograph.name for photograph in materials.photographs] == ["car-1", "sky"]
    (marked,) = materials.marked
    assert marked.content is not None
    assert (marked.name, marked.content.en, marked.content.zh, marked.content.kind) == ("car-1", "car", "汽车", "vehicle")
    assert np.array_equal(marked.content.alpha > 0, (marked.pixels == (220, 20, 20)).all(2))


def test_a_square_with_what_is_marked_holds_nearly_all_of_it(tmp_path: Path) -> None:
    save_marked(tmp_path)
    (tmp_path / "cutouts").mkdir()
    save_cutout(tmp_path / "cutouts")
    (tmp_path / "names.json").write_text(json.dumps({"car-1.mask": {"en": "car"}}))
    materials = read_materials([tmp_path], [tmp_path / "cutouts"], Split(photographs=frozenset({"red-box"})), "train")
    found = [found for seed in range(40) if (found := materials.frame_content(random.Random(seed), 64, 0.7))]
    assert len(found) > 10
    for photograph, square in found:
        assert photograph.name == "car-1" and photograph.content
        pixels, alpha = square.squeeze(photograph.pixels, 64), square.squeeze(photograph.content.alpha, 64)
        assert 0.03 <= float((alpha > 128).mean()) <= 0.72
        red = (pixels.astype(int) - (220, 20, 20)).__abs__().sum(2) < 60
        assert float((red == (alpha > 128)).mean()) > 0.95


def test_a_photograph_without_what_it_shows_is_filled_from_the_rest(tmp_path: Path) -> None:
    save_marked(tmp_path)
    (tmp_path / "names.json").write_text(json.dumps({"car-1.mask": {"en": "car"}}))
    (photograph,) = read_materials([tmp_path], [ROOT / "examples/cutouts"], Split(), "train").marked
    assert (photograph.pixels == (220, 20, 20)).all(2).any()
    assert np.abs(photograph.emptied.astype(int) - 128).max() <= 2


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (Image.new("L", (30, 20), 255), r"mask of .*car-1\.png has not its size; save it with 60 x 40 pixels"),
        (Image.new("L", (60, 40), 8), r"car-1\.mask\.png is black: it marks nothing"),
    ],
)
def test_a_mask_of_another_size_or_that_marks_nothing_is_explained(tmp_path: Path, mask: Image.Image, reason: str) -> None:
    save_marked(tmp_path)
    (tmp_path / "names.json").write_text(json.dumps({"car-1.mask": {"en": "car"}}))
    mask.save(tmp_path / "car-1.mask.png")
    with pytest.raises(UsageError, match=reason):
        read_materials([tmp_path], [ROOT / "examples/cutouts"], Split(), "train")


def test_a_mask_without_a_name_is_explained(tmp_path: Path) -> None:
    save_marked(tmp_path)
    with pytest.raises(UsageError, match=r'car-1\.mask\.png has no name; put "car-1\.mask": \{"en"'):
        read_materials([tmp_path], [tmp_path], Split(), "train")


def test_cutouts_of_16_bits_have_the_colours_of_those_of_8(tmp_path: Path) -> None:
    save_cutout(tmp_path)
    before = read_subjects([tmp_path], Split(), "train")[0][0]
    pixels = cv2.imread(str(tmp_path / "red-box.png"), cv2.IMREAD_UNCHANGED).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "red-box.png"), np.where(pixels > 128, pixels * 257 - 100, pixels * 257 + 100).astype(np.uint16))
    assert np.array_equal(read_subjects([tmp_path], Split(), "train")[0][0].pixels, before.pixels)


def test_a_cutout_without_alpha_is_explained(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "flat.png")
    with pytest.raises(ImageError, match="no alpha"):
        read_materials([tmp_path], [tmp_path], Split(), "train")


def test_a_transparent_cutout_is_explained(tmp_path: Path) -> None:
    Image.new("RGBA", (9, 9)).save(tmp_path / "empty.png")
    with pytest.raises(ImageError, match="transparent"):
        read_materials([tmp_path], [tmp_path], Split(), "train")


def test_files_of_one_name_are_all_taken_or_refused(tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        Image.new("RGB", (40, 40), "navy").save(tmp_path / place / "1.jpg")
    save_cutout(tmp_path / "a")
    folders = [tmp_path / "a", tmp_path / "b", tmp_path]  # found twice, taken once
    photographs = read_materials(folders, folders, Split(), "train").photographs
    assert [photograph.name for photograph in photographs] == ["1", "1", "red-box"]
    save_cutout(tmp_path / "b")
    with pytest.raises(UsageError, match=r"a/red-box\.png and .*b/red-box\.png have the same name"):
        read_materials(folders, folders, Split(), "train")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not valid JSON"),
        ('["red-box"]', "does not name pictures"),
        ('{"red-box": "a box"}', "entry 'red-box' in .*names.json is wrong: "),
        ('{"red-box": {"en": 1}}', "entry 'red-box' in .*names.json is wrong at en: "),
        ('{"red-box": {"en": "box", "kind": "toy"}}', "entry 'red-box' in .*names.json is wrong at kind: a kind is one of animal, "),
        ('{"red-box": {"codepoint": "box"}}', "entry 'red-box' in .*names.json is wrong at codepoint: "),
    ],
)
def test_damaged_names_are_explained(tmp_path: Path, text: str, reason: str) -> None:
    save_cutout(tmp_path)
    (tmp_path / "names.json").write_text(text)
    with pytest.raises(UsageError, match=reason):
        read_materials([tmp_path], [tmp_path], Split(), "train")


def test_example_subjects_have_two_names_and_a_kind(stream: TripletStream) -> None:
    for subject in (*stream.materials.subjects, *stream.materials.known):
        assert subject.en
        assert any("\u4e00" <= letter <= "\u9fff" for letter in subject.zh)
        assert subject.kind in KINDS


def test_names_without_an_entry_come_from_the_file() -> None:
    assert describe_kind("garden-gnome", Entry()) == ("garden gnome", "garden gnome", "object")
    for english, *wanted in (("horse", "马", "animal"), ("cat", "猫", "animal"), ("wine glass", "酒杯", "object")):
        assert describe_kind("x", Entry(en=english)) == (english, *wanted)
    for point in ("1f993", "U+1F993", "1f993-fe0f"):
        assert describe_kind("x", Entry(en="zebra", zh="斑马", codepoint=point)) == ("zebra", "斑马", "animal")


def test_names_are_known_in_capitals_and_between_blanks(tmp_path: Path) -> None:
    for entry in (Entry(en=" Dog ", zh=" "), Entry(en="DOG"), Entry(en="dog")):
        assert describe_kind("x", entry) == ("dog", "狗", "animal")
    assert describe_kind("Wine-Glass", Entry()) == ("wine glass", "酒杯", "object")
    assert describe_kind("pen", Entry(en=" ", zh=" 笔 ")) == ("pen", "笔", "object")
    assert describe_kind("x", Entry(en="Mona Lisa")) == ("Mona Lisa", "Mona Lisa", "object")
    assert [label_topic(topic) for topic in ("Roses", "Dog", "Mona Lisa", None)] == ["rose", "dog", "", ""]
    assert [name_topic(tmp_path / "x.jpg", Entry(en=en)) for en in ("Roses", " Dog", "Mona Lisa", " ")] == [
        "roses",
        "dog",
        "Mona Lisa",
        None,
    ]


def test_names_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    save_cutout(tmp_path)
    (tmp_path / "names.json").write_text('{"red-box": {"zh": "盒子", "licence": "CC0"}}', encoding="utf-8-sig")
    assert read_names([tmp_path / "red-box.png"])[tmp_path / "red-box.png"].zh == "盒子"
    assert Credits([tmp_path]).find(tmp_path / "red-box.png").licence == "CC0"


def test_a_mask_that_is_named_by_blanks_has_no_name(tmp_path: Path) -> None:
    save_marked(tmp_path)
    (tmp_path / "names.json").write_text('{"car-1.mask": {"en": " "}}')
    with pytest.raises(UsageError, match=r"car-1\.mask\.png has no name"):
        read_materials([tmp_path], [tmp_path], Split(), "train")


def test_a_cutout_whose_name_is_not_utf_8_is_explained(tmp_path: Path) -> None:
    save_cutout(tmp_path)
    (tmp_path / "red-box.png").rename(tmp_path / os.fsdecode(b"caf\xe9.png"))
    with pytest.raises(UsageError, match=r"cut-out '.*/caf\\udce9\.png' has a name that is not UTF-8; rename it") as caught:
        list_cutouts([tmp_path])
    assert str(caught.value).encode()


def test_articles() -> None:
    expected = ("an apple", "a bus", "glasses", "a unicorn", "a zebra", "a ewe", "an x ray", "a nest with eggs", "a rhinoceros")
    assert tuple(with_article(words.removeprefix("an ").removeprefix("a ")) for words in expected) == expected
    assert [with_another(words) for words in ("apple", "grapes", "cactus")] == ["another apple", "more grapes", "another cactus"]
    for uncounted in ("bread", "cooked rice", "baguette bread", "money with wings"):
        assert with_article(uncounted) == uncounted
        assert with_another(uncounted) == f"more {uncounted}"
    for counted in ("a pot of food", "a sheaf of rice", "a soft ice cream", "a flatbread", "a kiwi fruit"):
        assert with_article(counted[2:]) == counted


def test_measure_words() -> None:
    counted = {
        "animal": "一匹马 一头奶牛 一只蜗牛 一条鱼 一只章鱼 一匹斑马 一只海马 一条海豚 一只水豚",
        "vehicle": "一艘帆船 一辆巴士 一架飞机 一辆拖拉机 一只四轮滑冰鞋 一个热气球 一个轮子 一门大炮 一列高速列车",
        "clothing": "一件T恤 一副眼镜 一只跑鞋 一顶皇冠 一条牛仔裤",
        "plant": "一朵向日葵 一棵松树 一片落叶 一块木头 一朵郁金香 一盆盆栽植物 一个松果",
        "object": "一盏台灯 一个背包 一本书 一本合上的书本 一把椅子 一把小提琴 一台相机 一台笔记本电脑 一轮满月 一颗闪亮的星星 "
        "一把钥匙 一把剪刀 一把扳手 一支马克笔 一块冲浪板 一个球门 一扇车门 一枚硬币 一张信用卡 一部手机 一双筷子 一把牙刷 一架梯子 "
        "一块岩石 一个卫星天线 一团毛线 一把水枪 一副刀叉",
        "food": "一颗蓝莓 一根棒棒糖 一个土豆 一杯牛奶 一个面包 一桶爆米花 一根胡萝卜 一串葡萄 一块姜 一头大蒜 一碗米饭 一杯啤酒",
    }
    for kind, names in counted.items():
        assert " ".join(count_one(kind, name[2:]) + name[2:] for name in names.split()) == names


def test_chinese_asks_for_several_where_english_does() -> None:
    several = {"cherries": ("food", "樱桃"), "books": ("object", "书"), "flowers": ("plant", "花")}
    assert {count(kind, chinese, english) for english, (kind, chinese) in several.items()} == {"一些"}
    assert count("plant", "花", "flower") == "一朵"
    bundles = {"grapes": ("food", "葡萄"), "jeans": ("clothing", "牛仔裤"), "glasses": ("clothing", "眼镜"), "scissors": ("object", "剪刀")}
    assert [count(kind, chinese, english) for english, (kind, chinese) in bundles.items()] == ["一串", "一条", "一副", "一把"]
    assert count("food", "面包", "bread") == "一个"


def test_drawings_are_called_by_what_is_seen_in_them() -> None:
    rows = {"tennis": ("tennis ball", "网球"), "person lifting weights": ("weightlifter", "举重运动员"), "skis": ("pair of skis", "滑雪板")}
    assert {en: describe_kind("x", Entry(en=en, zh="滑雪"))[:2] for en in rows} == rows
    assert with_article("pair of skis") == "a pair of skis"
    english, chinese, kind = describe_kind("x", Entry(en="glass of milk", zh="一杯奶", codepoint="1f95b"))
    assert (english, count_one(kind, chinese) + chinese) == ("glass of milk", "一杯牛奶")


def test_traces_tools_and_stops_are_not_of_the_kind_of_their_neighbours_in_unicode() -> None:
    named = {"footprints": "1f463", "paw prints": "1f43e", "microbe": "1f9a0", "fork and knife": "1f374", "bus stop": "1f68f"}
    named |= {"empty nest": "1fab9", "wood": "1fab5"}
    assert {describe_kind("x", Entry(en=en, zh="物", codepoint=point))[2] for en, point in named.items()} == {"object"}
    assert describe_kind("x", Entry(en="station", zh="车站", codepoint="1f689"))[2] == "building"
    rows = list(read_csv(ROOT / "recipes/stamps.csv"))
    assert {row["kind"] for row in rows if row["en"] == "wheel"} == {"object"}


@pytest.mark.parametrize(("stem", "counted"), [("airplane", "一架飞机"), ("sailboat", "一艘帆船"), ("glasses", "一副眼镜")])
def test_vehicles_among_the_cutouts_are_known_as_such(stem: str, counted: str) -> None:
    path = ROOT / "examples" / "cutouts" / f"{stem}.png"
    _, chinese, kind = describe_kind(stem, read_names([path])[path])
    assert kind == ("clothing" if stem == "glasses" else "vehicle")
    assert count_one(kind, chinese) + chinese == counted
