"""The second pass over what an edit changed: where it acts, and that it acts nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from measuring import peak_memory
from step1x_edit import Editor, EditRequest, EditResult
from step1x_edit.closeup import soften
from step1x_edit.errors import UsageError
from step1x_edit.refinement import ANOTHER, NOWHERE, find_region

Boxed = tuple[int, int, int, int]


@pytest.fixture(scope="module")
def editor(random_mini: Path) -> Editor:
    return Editor.open("mini", device="cpu", dtype="float32", folder=random_mini)


@pytest.fixture(scope="module")
def photo(draw_scene: Callable[..., Image.Image]) -> Image.Image:
    return draw_scene(600, 400)


def painted(photo: Image.Image, *boxes: Boxed, size: int = 64, mask: Image.Image | None = None) -> EditResult:
    """A result whose first box is white, and whose others are a level off."""
    image = photo.copy()
    for box in boxes[1:]:
        image.paste(photo.crop(box).point(lambda level: min(255, level + 1)), box[:2])
    image.paste((255, 255, 255), boxes[0])
    return EditResult(image, image, EditRequest(photo, "paint it white", size=size, mask=mask), "mini")


@pytest.mark.parametrize("box", [(300, 200, 340, 220), (0, 0, 40, 40), (560, 390, 600, 400), (100, 0, 120, 160)])
def test_the_region_holds_the_change_and_its_surroundings(photo: Image.Image, box: Boxed) -> None:
    region = find_region(painted(photo, box))
    assert region is not None
    left, top, right, bottom = region.box
    assert 0 <= left <= box[0] and 0 <= top <= box[1] and box[2] <= right <= 600 and box[3] <= bottom <= 400
    assert (right - left) * (bottom - top) >= 64 * 64 and max(right - left, bottom - top) <= 2 * min(right - left, bottom - top)
    inside = np.asarray(region.mask.crop((box[0] - left, box[1] - top, box[2] - left, box[3] - top)))
    assert region.mask.size == (right - left, bottom - top) and (inside == 255).all() and np.asarray(region.mask).min() == 0


def test_specks_do_not_widen_the_box(photo: Image.Image) -> None:
    box = (300, 200, 340, 220)
    assert find_region(painted(photo, box, (5, 5, 7, 7))).box == find_region(painted(photo, box)).box  # type: ignore[union-attr]


def test_where_nothing_or_nearly_all_changed_there_is_none(photo: Image.Image) -> None:
    same = painted(photo, (0, 0, 0, 0))
    assert find_region(same) is None
    assert find_region(painted(photo, (20, 20, 580, 380))) is None
    assert find_region(painted(photo, (300, 200, 340, 220), size=600)) is None  # drawn as large already


def test_the_band_around_a_large_change_is_as_wide_as_its_box_asks(draw_scene: Callable[..., Image.Image]) -> None:
    result = painted(draw_scene(3000, 2000), (700, 400, 1900, 1600), size=512)
    region = find_region(result)
    assert region is not None and region.box[2] - region.box[0] > 1800
    reach = round(0.02 * max(region.mask.size)) + round(0.02 * max(region.mask.size)) // 2
    edge = 700 - region.box[0]  # where the change begins, seen from the box
    row = np.asarray(region.mask)[region.mask.height // 2]
    assert row[edge] == 255 and row[edge - reach + 2] > 0 and row[edge - reach - 2] == 0


def test_a_large_photograph_takes_a_few_times_its_own_memory(draw_scene: Callable[..., Image.Image]) -> None:
    result = painted(draw_scene(3000, 2000), (700, 400, 1000, 600), size=512)
    assert peak_memory(lambda: find_region(result)) < 4 * 3 * 3000 * 2000


def test_a_soft_edge_of_the_mask_stays_as_soft_where_the_box_cuts_it(photo: Image.Image) -> None:
    mask = Image.new("L", photo.size, 0)
    mask.paste(255, (100, 50, 500, 350))
    first = painted(photo, (120, 180, 160, 220), mask=mask)
    first = replace(first, request=replace(first.request, feather=60))
    region = find_region(first)
    assert region is not None and region.box[0] > 100  # the mask's edge is not in the box, but within sixty pixels of it
    closer = region.cut(first.request, first, 0.5)
    assert closer.mask is not None
    assert soften(closer.mask, closer.feather).tobytes() == soften(mask, 60).crop(region.box).tobytes()


def test_a_note_says_that_there_was_nothing_to_draw_larger(editor: Editor, photo: Image.Image) -> None:
    small = photo.resize((64, 64))
    assert next(editor.edit_seeds(EditRequest(small, "make it night", size=64, refine=0.5), [0])).notes == (NOWHERE,)


def test_what_is_outside_stays(editor: Editor, photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("step1x_edit.refinement.SAME", -1.0)  # weights from chance make another edit of what is cut out
    mask = Image.new("L", photo.size, 0)
    mask.paste(255, (200, 100, 280, 180))
    request = EditRequest(photo, "make it night", size=64, mask=mask)
    first, both = (next(editor.edit_seeds(replace(request, refine=refine), [3])) for refine in (None, 1.0))
    before, one, two = (np.asarray(picture).astype(int) for picture in (photo, first.image, both.image))
    inside = np.asarray(mask) == 255
    assert np.array_equal(two[~inside], before[~inside]) and (two[inside] != one[inside]).any()
    assert both.request.refine == 1.0 and both.image.size == photo.size
    assert first.notes == both.notes == ()
    (together,) = editor.edit_batch([replace(request, seed=3, refine=1.0)])
    assert together.image.tobytes() == both.image.tobytes()


@pytest.mark.parametrize(
    ("colour", "moved", "taken"),
    [((255, 255, 255), 0, True), ((250, 255, 245), 3, True), ((255, 255, 255), 45, False), ((0, 0, 0), 0, False)],
)
def test_another_edit_is_not_put_in_the_place_of_the_first(
    colour: tuple[int, int, int], moved: int, taken: bool, photo: Image.Image
) -> None:
    first = painted(photo, (300, 200, 340, 220))
    region = find_region(first)
    assert region is not None
    request = region.cut(first.request, first, 0.5)
    assert request.image is not None
    left, top, _, _ = region.box
    image = request.image.copy()
    image.paste(colour, (300 - left + moved, 200 - top, 340 - left + moved, 220 - top))
    second = EditResult(image, image, request, "mini", {"draw": 2.0})
    both = region.put_back(replace(first, seconds={"draw": 1.0}), second)
    assert both.seconds == {"draw": 3.0}
    assert both.notes == (() if taken else (ANOTHER,))
    assert np.array_equal(np.asarray(both.image.crop(region.box)), np.asarray(image if taken else first.image.crop(region.box)))


def test_a_second_pass_that_leaves_all_as_it_was_is_not_taken(photo: Image.Image) -> None:
    first = painted(photo, (300, 200, 340, 220))
    region = find_region(first)
    assert region is not None
    request = region.cut(first.request, first, 0.5)
    assert request.image is not None
    assert region.put_back(first, EditResult(request.image, request.image, request, "mini")).image.tobytes() == first.image.tobytes()


def test_a_start_is_begun_from(editor: Editor, photo: Image.Image) -> None:
    """At less than full strength alone; the picture itself is the start where none is given."""
    other = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    drawn = {
        (strength, start is other): next(
            editor.edit_seeds(EditRequest(photo, "make it night", steps=2, strength=strength, start=start), [0])
        ).raw.tobytes()
        for strength in (0.5, 1.0)
        for start in (photo, other)
    }
    bare = next(editor.edit_seeds(EditRequest(photo, "make it night", steps=2, strength=0.5), [0])).raw.tobytes()
    assert drawn[0.5, False] == bare != drawn[0.5, True]
    assert drawn[1.0, False] == drawn[1.0, True]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"refine": 0.0}, "strength of refining must be above 0"),
        ({"refine": 1.5}, "strength of refining must be above 0"),
        ({"start": Image.new("RGB", (3, 3))}, "make the start of the picture's size"),
        ({"image": None, "refine": 0.5}, "no use for refining"),
    ],
)
def test_requests_that_make_no_sense(changes: dict[str, object], sentence: str, photo: Image.Image) -> None:
    with pytest.raises(UsageError, match=sentence):
        EditRequest(**{"image": photo, "instruction": "night", **changes})  # type: ignore[arg-type]
