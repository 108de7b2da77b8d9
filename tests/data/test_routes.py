"""Every category has a route, and what routes make of real photographs holds what they promise, whatever was made before."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from step1x_edit.data.instructions import CLAUSES, phrase
from step1x_edit.data.makers import MAKERS
from step1x_edit.data.materials import Content, Materials, Photograph
from step1x_edit.data.routes import colour, material
from step1x_edit.data.routes.looks import _caption_look
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.routes.subjects import Found, Frame, find_subject, guess_label, is_thing, measure_solidity, take_frame
from step1x_edit.data.routes.text import find_lines
from step1x_edit.data.shapes import draw_shape
from step1x_edit.data.tools.protocols import Box, Look, TextLine
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Pixels, Shape
from step1x_edit.types import EditCategory

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
SIZE = 192
SQUARE, WIDE, HIGH = (SIZE, SIZE), (236, 156), (166, 222)


def read(name: str) -> Pixels:
    pixels = cv2.cvtColor(cv2.imread(str(PHOTOS / f"{name}.jpg")), cv2.COLOR_BGR2RGB)
    factor = 320 / min(pixels.shape[:2])
    return cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA).astype(np.uint8)


def make_ball() -> Pixels:
    """A red ball over a lake: something that stands out, whole, with room around it."""
    picture = read("lake-sherburne")[:320, :320].copy()
    cv2.circle(picture, (150, 170), 42, (205, 30, 40), -1, lineType=cv2.LINE_AA)
    cv2.circle(picture, (138, 156), 12, (235, 110, 110), -1, lineType=cv2.LINE_AA)
    return picture


def make_sign() -> Pixels:
    image = Image.fromarray(read("lake-sherburne")[:320, :320])
    draw = ImageDraw.Draw(image)
    draw.rectangle((50, 120, 270, 200), fill=(240, 240, 230))
    draw.text((66, 130), "HARBOUR", font=ImageFont.load_default(42), fill=(20, 30, 90))
    return np.asarray(image)


LOCAL = Photograph("ball", make_ball(), "roses")
PICTURES = {
    **dict.fromkeys(EditCategory, LOCAL),
    EditCategory.TEXT_MODIFICATION: Photograph("sign", make_sign()),
    EditCategory.PORTRAIT_EDITING: Photograph("astronaut", read("astronaut")),
}
CUBE = draw_shape("square", "blue")
MATERIALS = Materials((LOCAL,), (CUBE,), (CUBE,))


@pytest.fixture(scope="module")
def tools() -> Toolbox:
    return Toolbox.offline()


def draw(
    category: EditCategory, tools: Toolbox, seed: int, photograph: Photograph | None = None, shape: Shape = SQUARE
) -> Draft | Unsuited:
    return MAKERS[category].edit(random.Random(seed), photograph or PICTURES[category], tools, MATERIALS, shape)


@pytest.mark.parametrize("shape", [SQUARE, WIDE, HIGH])
@pytest.mark.parametrize("category", list(EditCategory))
def test_drafts_hold_what_they_promise_and_can_be_made_again(category: EditCategory, shape: Shape, tools: Toolbox) -> None:
    made = 0
    for seed in range(4 if shape == SQUARE else 6):
        draft = draw(category, tools, seed, shape=shape)
        if isinstance(draft, Unsuited):
            assert draft.reason
            json.dumps(draft.numbers)
            continue
        made += 1
        assert draft.source.shape == draft.target.shape == (*shape[::-1], 3)
        assert draft.source.dtype == draft.target.dtype == np.uint8
        assert (draft.source != draft.target).any()
        if draft.touched is not None:
            assert np.array_equal(draft.source[~draft.touched], draft.target[~draft.touched])
        english, chinese = phrase(random.Random(0), CLAUSES[draft.request.clauses], draft.request.en, draft.request.zh, "train")
        assert re.search("[a-zA-Z]{2}", english)
        assert re.search("[\u4e00-\u9fff]", chinese)
        json.dumps(draft.parameters)
        assert draft.parameters["photograph"] == PICTURES[category].name
        assert all({"name", "version"} <= set(card) for card in draft.parameters["tools"].values())
        if made == 1:
            again = draw(category, Toolbox.offline(), seed, shape=shape)
            assert isinstance(again, Draft)
            assert np.array_equal(again.target, draft.target)
            assert again.parameters == draft.parameters
    assert made >= (2 if shape == SQUARE else 1)


def test_the_removed_ball_is_gone(tools: Toolbox) -> None:
    draft = draw(EditCategory.SUBJECT_REMOVAL, tools, 1)
    assert isinstance(draft, Draft)

    def red(pixels: Pixels) -> float:
        return float(((pixels[..., 0] > 150) & (pixels[..., 1] < 80)).mean())

    assert red(draft.source) > 0.02
    assert red(draft.target) < 0.002


def test_the_sign_says_something_else(tools: Toolbox) -> None:
    said = set()
    for seed in range(4):
        draft = draw(EditCategory.TEXT_MODIFICATION, tools, seed)
        if isinstance(draft, Draft) and draft.request.clauses == "text replace":
            read_back = " ".join(line.text for line in tools.reader.read(draft.target))
            said.add(draft.request.en["other"].lower() in read_back.lower())
            assert "HARBOUR" not in read_back
    assert said == {True}


@pytest.mark.parametrize(
    ("category", "reason"),
    [
        (EditCategory.SUBJECT_REMOVAL, "nothing stands out"),
        (EditCategory.BACKGROUND_CHANGE, "no foreground of a fitting size"),
        (EditCategory.TEXT_MODIFICATION, "no text was found"),
        (EditCategory.PORTRAIT_EDITING, "no face that is large enough was found"),
    ],
)
def test_a_plain_wall_says_why_it_allows_nothing(category: EditCategory, reason: str, tools: Toolbox) -> None:
    wall = Photograph("wall", np.full((240, 300, 3), 140, np.uint8))
    refused = draw(category, tools, 0, wall)
    assert isinstance(refused, Unsuited)
    assert refused.reason == reason


def test_what_has_no_name_is_not_added(tools: Toolbox) -> None:
    refused = draw(EditCategory.SUBJECT_ADDITION, tools, 1, Photograph("ball", LOCAL.pixels))
    assert isinstance(refused, Unsuited)
    assert refused.reason == "what stands out has no name to ask for it by"


@pytest.mark.parametrize(("across", "down", "single"), [(250, 160, True), (80, 262, False)])
def test_a_thing_is_edited_where_nothing_else_stands_at_its_place(across: int, down: int, single: bool, tools: Toolbox) -> None:
    picture = read("lake-sherburne")[:320, :320].copy()
    for middle in ((80, 160), (across, down)):
        cv2.circle(picture, middle, 30, (205, 30, 40), -1, lineType=cv2.LINE_AA)
    frame = Frame(picture, Photograph("balls", picture, "roses"))
    seeds = range(4)
    anywhere = {thing.place for seed in seeds if isinstance(thing := find_subject(random.Random(seed), frame, tools, single=False), Found)}
    clear = {thing.place for seed in seeds if isinstance(thing := find_subject(random.Random(seed), frame, tools), Found)}
    assert "left" in anywhere
    assert clear == (anywhere if single else {"bottom left"})


def mark(left: int, top: int, right: int, bottom: int) -> Photograph:
    """A lake without anything that stands out, in which a part is marked."""
    pixels = read("lake-sherburne")[:320, :320]
    alpha = np.zeros((320, 320), np.uint8)
    alpha[top:bottom, left:right] = 255
    return Photograph("lake", pixels, None, Content(alpha, "robin", "知更鸟", "animal"))


def test_what_a_photograph_marks_is_found_and_called_by_its_name(tools: Toolbox) -> None:
    for seed in range(6):
        frame = take_frame(random.Random(seed), mark(90, 100, 200, 200), SQUARE)
        found = find_subject(random.Random(seed), frame, tools)
        assert isinstance(found, Found)
        left, top, side = frame.facts["crop"]
        box = [round((edge - start) * SIZE / side) for edge, start in zip((90, 100, 200, 200), (left, top, left, top), strict=True)]
        if frame.facts["mirrored"]:
            box[0], box[2] = SIZE - box[2], SIZE - box[0]
        assert np.abs(np.subtract(found.box, box)).max() <= 1
        assert found.mask.mean() >= 0.99 * found.box.area / SIZE**2
        assert (found.label, found.chinese, found.kind, found.alone) == ("robin", "知更鸟", "animal", True)
        assert found.facts["marked"] is True
        assert re.fullmatch("一只.*知更鸟", found.new[1])


def test_the_background_changes_in_the_holes_of_what_is_marked_too(tools: Toolbox) -> None:
    pixels, (y, x) = read("lake-sherburne")[:320, :320].copy(), np.mgrid[:320, :320]
    distance = np.hypot(x - 160, y - 160)
    pixels[distance < 80], pixels[distance < 12] = (205, 30, 40), (20, 200, 30)
    alpha = np.where((distance < 80) & (distance >= 12), np.uint8(255), np.uint8(0))
    ring = Photograph("ring", pixels, None, Content(alpha, "ring", "戒指", "object"))
    made = draw(EditCategory.BACKGROUND_CHANGE, tools, 4, ring)
    assert isinstance(made, Draft) and made.touched is not None
    assert made.edit == "background green"
    hole = (made.source == (20, 200, 30)).all(2)
    assert hole.sum() > 100
    assert made.touched[hole].all()
    assert (made.target != made.source).any(2)[hole].all()


@pytest.mark.parametrize("box", [(0, 110, 90, 190), (10, 10, 310, 310), (150, 150, 154, 154)])
def test_what_is_marked_but_does_not_fit_is_looked_for_otherwise(box: tuple[int, int, int, int], tools: Toolbox) -> None:
    for seed in range(4):
        found = find_subject(random.Random(seed), take_frame(random.Random(seed), mark(*box), SQUARE), tools, whole=True)
        assert isinstance(found, Unsuited) or found.content is None


@pytest.mark.parametrize(
    "category",
    [
        EditCategory.SUBJECT_REMOVAL,
        EditCategory.SUBJECT_ADDITION,
        EditCategory.SUBJECT_REPLACEMENT,
        EditCategory.MOTION_CHANGE,
    ],
)
def test_a_mark_lets_what_no_detector_sees_be_edited(category: EditCategory, tools: Toolbox) -> None:
    drafts = [draw(category, tools, seed, mark(110, 120, 180, 180)) for seed in range(3)]
    made = [draft for draft in drafts if isinstance(draft, Draft)]
    assert len(made) >= 2
    for draft in made:
        assert draft.parameters["found"]["label"] == "robin"
        english, chinese = phrase(random.Random(0), CLAUSES[draft.request.clauses], draft.request.en, draft.request.zh, "train")
        assert "robin" in english
        assert "知更鸟" in chinese


@pytest.mark.parametrize("category", [EditCategory.COLOR_ALTERATION, EditCategory.MATERIAL_MODIFICATION])
def test_what_is_marked_gets_another_look_without_being_looked_for(category: EditCategory, tools: Toolbox) -> None:
    draft = draw(category, tools, 1, mark(90, 100, 200, 200))
    assert isinstance(draft, Draft)
    assert draft.parameters["found"]["marked"] is True
    assert not {"detector", "segmenter"} & set(draft.parameters["tools"])
    assert draft.touched is not None
    assert abs(draft.touched.mean() - draft.parameters["found"]["covers"]) < 0.03


def test_the_background_behind_what_is_marked_changes_and_nothing_else(tools: Toolbox) -> None:
    draft = draw(EditCategory.BACKGROUND_CHANGE, tools, 2, mark(80, 90, 240, 240))
    assert isinstance(draft, Draft)
    assert draft.touched is not None
    *_, side = draft.parameters["crop"]
    share = 160 * 150 / side**2
    assert abs((~draft.touched).mean() - share) < 0.02
    assert set(draft.parameters["tools"]) == {"captioner"}
    assert draft.request.en["subject"] == "the robin"


def test_a_random_part_of_a_meadow_is_no_thing() -> None:
    meadow = cv2.resize(read("tea-gardens"), (SIZE, SIZE), interpolation=cv2.INTER_AREA).astype(np.uint8)
    part = np.zeros((SIZE, SIZE), np.bool_)
    part[120:170, 60:130] = True
    assert not is_thing(meadow, part)


def test_a_branching_part_is_no_whole_thing() -> None:
    whole, branch = np.zeros((2, SIZE, SIZE), np.bool_)
    whole[60:120, 60:120] = True
    branch[60:120, 60:72] = branch[60:72, 60:120] = branch[108:120, 60:120] = True
    assert measure_solidity(whole) > 0.95
    assert measure_solidity(branch) < 0.72
    assert measure_solidity(np.zeros((SIZE, SIZE), np.bool_)) == 0.0


def test_part_of_a_flower_is_not_called_the_flower() -> None:
    pixels = np.full((SIZE, SIZE, 3), (60, 110, 50), np.uint8)
    cv2.circle(pixels, (96, 96), 60, (245, 245, 240), -1)
    cv2.circle(pixels, (96, 96), 20, (235, 200, 30), -1)
    frame = Frame(pixels, Photograph("daisy-1.jpg", pixels, "daisies"))
    y, x = np.mgrid[:SIZE, :SIZE]
    distance = np.hypot(x - 96, y - 96)
    assert guess_label(frame, distance < 60, None) == "daisy"
    assert guess_label(frame, distance < 20, "yellow") == ""


def test_a_signature_a_cut_word_and_one_with_quotation_marks_are_left_alone() -> None:
    def line(text: str, left: int, top: int, right: int, bottom: int) -> TextLine:
        return TextLine(Box(left, top, right, bottom), text, 0.99)

    reads = {
        "signature": line("MONET", 300, 480, 400, 505),
        "cut": line("CAFE", 430, 200, 511, 240),
        "quoted": line('THE "NEW" INN', 150, 60, 330, 100),
        "quoted in Chinese": line("今日“特价”", 150, 120, 330, 160),
        "sign": line("HARBOUR", 150, 200, 330, 240),
    }

    class Reader:
        def read(self, picture: Pixels) -> tuple[TextLine, ...]:
            return tuple(reads.values())

    tools = Toolbox()
    tools.__dict__["reader"] = Reader()
    usable, count = find_lines(np.zeros((512, 512, 3), np.uint8), tools)
    assert count == 5
    assert usable == [reads["sign"]]


def test_a_word_that_stands_there_twice_is_left_alone(tools: Toolbox) -> None:
    image = Image.new("RGB", (512, 512), (240, 240, 230))
    for top, text in ((60, "Open Garden"), (220, "GARDEN"), (380, "HARBOUR")):
        ImageDraw.Draw(image).text((80, top), text, font=ImageFont.load_default(48), fill=(20, 30, 90))
    usable, count = find_lines(np.asarray(image), tools)
    assert count == 3
    assert [line.text for line in usable] == ["Open Garden", "HARBOUR"]


def test_captions_of_looks_have_their_article() -> None:
    found = Found(np.ones((8, 8), bool), Box(0, 0, 8, 8), "elephant", None, "centre", 0.9)
    looks = [Look("colour", "orange", ""), Look("colour", "red", ""), Look("material", "stone", "")]
    captions = [_caption_look(found, look) for look in looks]
    assert captions == ["an orange elephant", "a red elephant", "an elephant made of stone"]


def test_what_a_generator_is_asked_to_draw_has_its_article() -> None:
    found = Found(np.ones((8, 8), bool), Box(0, 0, 8, 8), "elephant", None, "centre", 0.9)
    prompts = {choose(random.Random(seed), found)[0].prompt for choose in (colour._choose, material._choose) for seed in range(60)}
    assert "an orange elephant, photograph, same shape and light" in prompts
    assert "an elephant made of gold, photograph" in prompts
    assert not any(re.match(r"a [aeio]", prompt) for prompt in prompts)
