"""Each filter rejects what it is there for, says why, and lets the rest pass."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from step1x_edit.data.agreement import View
from step1x_edit.data.categories.material import give_material
from step1x_edit.data.colours import COLOURS
from step1x_edit.data.compositing import Sprite, paste
from step1x_edit.data.filters import FILTERS, Verdict
from step1x_edit.data.materials import Materials, Photograph
from step1x_edit.data.recipe import Limits
from step1x_edit.data.routes.portrait import make as make_portrait
from step1x_edit.data.stream import TripletStream, find_region, word_draft
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Triplet
from step1x_edit.types import EditCategory

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def removal(stream: TripletStream) -> Triplet:
    return stream.variant(size=128, mixture={EditCategory.SUBJECT_REMOVAL: 1}, difficulty=0.3).sample(4)


def ask(name: str, triplet: Triplet, route: str = "composed", **limits: Any) -> Verdict:
    return FILTERS[name](View(triplet, route), Limits(**limits))


@pytest.mark.parametrize("category", list(EditCategory))
def test_most_composed_triplets_pass(stream: TripletStream, category: EditCategory) -> None:
    one = stream.variant(size=128, mixture={category: 1}, difficulty=0.5)
    passed = 0
    left_out = ("text", "faces")  # which have tests of their own
    for index in range(20):
        view = View(one.sample(index))
        passed += not any(FILTERS[name](view, Limits()).reason for name in FILTERS if name not in left_out)
    assert passed >= 14


def test_a_change_outside_is_found(removal: Triplet) -> None:
    assert ask("outside", removal).reason == ""
    target = np.where(removal.region[..., None], removal.target, removal.target // 2).astype(np.uint8)
    assert ask("outside", dataclasses.replace(removal, target=target)).reason == "what should stay has changed"


def test_a_change_that_cannot_be_seen_is_found(removal: Triplet) -> None:
    same = dataclasses.replace(removal, target=removal.source)
    assert ask("change", same).reason == "the change can hardly be seen"
    nowhere = np.zeros_like(removal.region)
    nowhere[0, 0] = True
    assert ask("change", dataclasses.replace(removal, region=nowhere)).reason == "the region is too small"
    everywhere = dataclasses.replace(removal, region=np.ones_like(removal.region))
    assert ask("change", everywhere, change=0, changed=0.9).reason == "too little of the region changes"


@pytest.mark.parametrize(("way", "dim"), [("smooth", 1), ("blush", 2)])
def test_retouched_skin_is_seen(way: str, dim: int) -> None:
    photograph = Photograph("astronaut", np.asarray(Image.open(EXAMPLES / "photos" / "astronaut.jpg").convert("RGB")) // dim)
    tools, nothing = Toolbox.offline(), Materials((photograph,), (), ())
    drafts = (make_portrait(random.Random(seed), photograph, tools, nothing, (384, 384)) for seed in range(60))
    draft = next(draft for draft in drafts if isinstance(draft, Draft) and draft.edit == f"portrait {way}")
    triplet = word_draft(draft, find_region(draft), EditCategory.PORTRAIT_EDITING, random.Random(0), "train", {})
    assert ask("change", triplet, "photograph").reason == ""
    assert ask("change", dataclasses.replace(triplet, target=triplet.source)).reason == "the change can hardly be seen"


def test_blur_and_bad_exposure_are_found_unless_the_edit_repairs_them(removal: Triplet) -> None:
    soft, dark = (np.ascontiguousarray(cv2.GaussianBlur(removal.source, (0, 0), 12)), np.zeros_like(removal.source))
    assert ask("sharpness", dataclasses.replace(removal, source=soft, target=soft)).reason == "the pictures are not sharp"
    assert ask("sharpness", dataclasses.replace(removal, source=soft)).reason == ""
    assert ask("exposure", dataclasses.replace(removal, source=dark, target=dark)).reason == "too dark, too bright or clipped"
    assert ask("exposure", dataclasses.replace(removal, source=dark)).reason == ""


def test_a_seam_around_what_was_filled_is_found(removal: Triplet) -> None:
    assert ask("seams", removal).reason == ""
    smooth = cv2.GaussianBlur(removal.target, (0, 0), 3).astype(np.uint8)
    bright = np.where(removal.region[..., None], np.clip(smooth.astype(int) + 90, 0, 255), smooth).astype(np.uint8)
    assert ask("seams", dataclasses.replace(removal, target=bright)).reason == "a seam shows where it was filled"


def test_words_are_read_again(stream: TripletStream) -> None:
    one = stream.variant(size=256, mixture={EditCategory.TEXT_MODIFICATION: 1}, difficulty=0.0)
    triplet = next(t for t in (one.sample(i) for i in range(50)) if len(t.parameters["text_before"]) > 2 < len(t.parameters["text_after"]))
    verdict = ask("text", triplet)
    assert verdict.reason == ""
    assert verdict.numbers["after"].upper() == triplet.parameters["text_after"]
    other = dataclasses.replace(triplet, parameters={**triplet.parameters, "text_after": "WRONG"})
    assert ask("text", other).reason == "the text is not read as it should be"


@pytest.mark.parametrize(("colour", "reason"), [("blue", ""), ("red", "too little of it becomes red")])
def test_the_colour_asked_for_is_looked_for(colour: str, reason: str) -> None:
    source = np.full((64, 64, 3), COLOURS["yellow"].rgb, np.uint8)
    target, region = source.copy(), np.zeros((64, 64), bool)
    region[10:50, 10:50] = True
    target[region] = COLOURS["blue"].rgb
    triplet = Triplet(source, target, region, EditCategory.COLOR_ALTERATION, "x", "画", "", "", f"recolour thing to {colour}")
    verdict = ask("agreement", triplet)
    assert verdict.reason == reason
    assert verdict.numbers["after"] == (1.0 if colour == "blue" else 0.0)


@pytest.mark.parametrize(
    ("edit", "factor", "passes"), [("tone brighter", 1.5, True), ("tone brighter", 0.7, False), ("tone darker", 0.7, True)]
)
def test_tones_move_the_way_they_say(removal: Triplet, edit: str, factor: float, passes: bool) -> None:
    target = np.clip(removal.source * factor, 0, 255).astype(np.uint8)
    triplet = dataclasses.replace(removal, target=target, region=np.ones_like(removal.region), edit=edit)
    assert (ask("agreement", triplet).reason == "") is passes


@pytest.mark.parametrize(("place", "passes"), [("top left", True), ("left", False), ("bottom right", False), ("right", False)])
def test_what_is_added_stands_where_it_was_asked_for(place: str, passes: bool) -> None:
    source = np.full((90, 90, 3), 120, np.uint8)
    target, region = source.copy(), np.zeros((90, 90), bool)
    region[5:30, 5:30] = True
    target[region] = (200, 30, 30)
    triplet = Triplet(source, target, region, EditCategory.SUBJECT_ADDITION, "x", "画", "", "", f"add cat {place}")
    assert (ask("agreement", triplet).reason == "") is passes


def test_a_portrait_needs_a_face_and_keeps_it() -> None:
    picture = np.asarray(Image.open(EXAMPLES / "photos" / "astronaut.jpg").convert("RGB"))
    face = Toolbox.offline().faces.find_faces(picture)[0].box
    region = np.zeros(picture.shape[:2], bool)
    region[face.top : face.bottom, face.left : face.right] = True
    bright = np.where(region[..., None], np.clip(picture * 1.2, 0, 255), picture).astype(np.uint8)
    gone = np.where(region[..., None], 90, picture).astype(np.uint8)
    portrait = Triplet(picture, bright, region, EditCategory.PORTRAIT_EDITING, "x", "画", "", "", "portrait brighten")
    assert ask("faces", portrait).reason == ""
    assert ask("faces", dataclasses.replace(portrait, target=gone)).reason == "a face is lost"
    assert ask("faces", dataclasses.replace(portrait, region=~region)).reason == "the face is not where the edit puts it"
    none = dataclasses.replace(portrait, source=picture[-200:, :200], target=bright[-200:, :200], region=region[-200:, :200])
    assert ask("faces", none).reason == "there is no face to be edited"
    assert ask("faces", dataclasses.replace(none, edit="portrait wear crown cat")).reason == ""


@pytest.mark.parametrize(("light", "material", "passes"), [(60, "red plastic", True), (180, "red plastic", False), (180, "glass", True)])
def test_what_becomes_red_plastic_is_red_and_not_pink(light: int, material: str, passes: bool) -> None:
    """What is bright comes out as the shine on plastic, which is pale."""
    source = np.full((90, 90, 3), 120, np.uint8)
    region = np.zeros((90, 90), bool)
    region[10:70, 10:70] = True
    source[region] = light
    sprite = give_material(Sprite((source[10:70, 10:70] / 255).astype(np.float32), np.ones((60, 60, 1), np.float32)), material, 10, 10, 90)
    target = source.copy()
    paste(target, sprite, 10, 10)
    triplet = Triplet(source, target, region, EditCategory.MATERIAL_MODIFICATION, "x", "画", "", "", f"material orange {material}")
    assert ask("agreement", triplet).reason == ("" if passes else "too little of it becomes red")


@pytest.mark.parametrize(("size", "edit", "passes"), [(400, "brighten", False), (100, "brighten", True), (100, "darken around", False)])
def test_a_portrait_of_one_shows_no_other_face_that_could_be_meant(size: int, edit: str, passes: bool) -> None:
    """Beside the face that is edited stands the same one, smaller perhaps."""
    with Image.open(EXAMPLES / "photos" / "astronaut.jpg") as photograph:
        person = photograph.convert("RGB").crop((120, 0, 320, 200)).resize((400, 400))
    scene = Image.new("RGB", (800, 400), "white")
    scene.paste(person, (0, 0))
    scene.paste(person.resize((size, size)), (400, 0))
    picture = np.asarray(scene)
    face = Toolbox.offline().faces.find_faces(picture[:, :400])[0].box
    region = np.zeros((400, 800), bool)
    region[face.top : face.bottom, face.left : face.right] = True
    region = ~region if edit.endswith("around") else region
    changed = np.where(region[..., None], np.clip(picture * 0.8, 0, 255), picture).astype(np.uint8)
    triplet = Triplet(picture, changed, region, EditCategory.PORTRAIT_EDITING, "x", "画", "", "", f"portrait {edit}")
    assert ask("faces", triplet, face=0.03).reason == ("" if passes else "another face could be meant")
    assert ask("faces", triplet, face=0.03).numbers["before"] == 2
    everywhere = dataclasses.replace(triplet, region=np.ones_like(region), edit="portrait glow")
    assert ask("faces", everywhere, face=0.03).reason == ""
