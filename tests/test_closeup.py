"""Edits that the model sees from close by, and masks with a soft edge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from step1x_edit import Editor, EditRequest
from step1x_edit.closeup import find_closeup, soften, surround
from step1x_edit.errors import UsageError
from step1x_edit.types import WIDEST_FEATHER

Boxed = tuple[int, int, int, int]
SPOT = (300, 120, 340, 220)
"""What is edited of a picture of 600 x 400."""
AROUND = (255, 75, 385, 265)
"""What a model of 64 pixels is shown for it: 45 % of its longer side more on each."""


@pytest.fixture(scope="module")
def editor(random_mini: Path) -> Editor:
    return Editor.open("mini", device="cpu", dtype="float32", folder=random_mini)


@pytest.fixture(scope="module")
def photo(draw_scene: Callable[..., Image.Image]) -> Image.Image:
    return draw_scene(600, 400)


def marked(size: tuple[int, int], box: Boxed) -> Image.Image:
    mask = Image.new("L", size, 0)
    mask.paste(255, box)
    return mask


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def closer(photo: Image.Image, **options: object) -> EditRequest:
    return EditRequest(photo, "make it night", size=64, mask=marked(photo.size, SPOT), zoom=True, **options)  # type: ignore[arg-type]


def test_the_surroundings_of_the_mask_are_edited_as_a_picture_of_their_own(editor: Editor, photo: Image.Image) -> None:
    request = closer(photo)
    assert find_closeup(request, 64) == AROUND
    assert request.mask is not None
    alone = replace(request, image=photo.crop(AROUND), mask=request.mask.crop(AROUND), zoom=False)
    expected = photo.copy()
    expected.paste(next(editor.edit_seeds(alone, [3])).image, AROUND[:2])
    result = next(editor.edit_seeds(request, [3]))
    assert result.image.tobytes() == expected.tobytes() != photo.tobytes()
    assert editor.edit(photo, "make it night", seed=3, size=64, mask=request.mask, zoom=True).image.tobytes() == expected.tobytes()
    assert result.raw.size == (48, 72) and result.request.zoom


def test_transparency_and_what_lies_outside_stay(editor: Editor, photo: Image.Image) -> None:
    glass = photo.convert("RGBA")
    glass.putalpha(100)
    before, after = pixels(glass), pixels(next(editor.edit_seeds(closer(glass), [0])).image)
    inside = np.asarray(marked(photo.size, SPOT)) == 255
    assert np.array_equal(after[~inside], before[~inside]) and (after[inside] != before[inside]).any()
    assert (after[..., 3] == 100).all()


def test_steps_are_shown_in_their_place(editor: Editor, photo: Image.Image) -> None:
    shown: list[Image.Image] = []
    next(editor.edit_seeds(closer(photo, steps=2), [0], preview=lambda done, total, draw: shown.append(draw())))
    assert len(shown) == 2 and all(abs(each.width / each.height - 1.5) < 0.05 for each in shown)
    scale = shown[0].width / photo.width
    corner = (0, 0, round(AROUND[0] * scale) - 2, round(AROUND[1] * scale) - 2)
    plain = photo.resize(shown[0].size, Image.Resampling.LANCZOS)
    assert np.abs(pixels(shown[0].crop(corner)) - pixels(plain.crop(corner))).mean() < 2
    assert shown[0].tobytes() != plain.tobytes()


def test_a_batch_may_hold_close_looks_of_one_form(editor: Editor, photo: Image.Image) -> None:
    requests = [closer(photo), replace(closer(photo), mask=marked(photo.size, (0, 0, 300, 300)))]
    for together, request in zip(editor.edit_batch(requests), requests, strict=True):
        alone = next(editor.edit_seeds(request, [request.seed]))
        assert np.abs(pixels(together.image) - pixels(alone.image)).max() <= 2


def test_a_second_pass_comes_only_where_it_draws_larger_still(editor: Editor, photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("step1x_edit.refinement.SAME", -1.0)
    near = next(editor.edit_seeds(replace(closer(photo), refine=0.5), [0]))
    assert near.notes and "no change that it could draw larger" in near.notes[0]
    far = next(editor.edit_seeds(replace(closer(photo), zoom=False, refine=0.5), [0]))
    assert far.notes == ()


@pytest.mark.parametrize("options", [{"zoom": True}, {"feather": 3}])
def test_without_a_mask_there_is_nothing_to_look_at(photo: Image.Image, options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="There is no mask"):
        EditRequest(photo, "make it night", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [-1, WIDEST_FEATHER + 1])
def test_an_edge_of_no_such_width(photo: Image.Image, width: int) -> None:
    with pytest.raises(UsageError, match="soft edge must be 0 to 1000 pixels"):
        EditRequest(photo, "make it night", mask=photo.convert("L"), feather=width)


BOXES = st.tuples(st.integers(0, 59), st.integers(0, 39), st.integers(1, 60), st.integers(1, 40)).map(
    lambda box: (box[0], box[1], min(60, box[0] + box[2]), min(40, box[1] + box[3]))
)


@given(box=BOXES, size=st.sampled_from([8, 16, 64]))
def test_surroundings_lie_in_the_picture_and_hold_the_box(box: Boxed, size: int) -> None:
    left, top, right, bottom = surround(box, (60, 40), size, 0.3)
    assert 0 <= left <= box[0] < box[2] <= right <= 60 and 0 <= top <= box[1] < box[3] <= bottom <= 40
    assert right - left >= min(60, size) and bottom - top >= min(40, size)


@given(box=BOXES, width=st.integers(0, 100))
def test_a_soft_edge_lies_inside_the_mask(box: Boxed, width: int) -> None:
    hard = marked((60, 40), box)
    soft = soften(hard, width)
    assert (pixels(soft) <= pixels(hard)).all()
    if width < 16:  # exact: each pixel is a stair, or each other one
        assert (pixels(soft)[pixels(hard) == 255] > 0).all()
    if width == 0 or box == (0, 0, 60, 40):
        assert soft.tobytes() == hard.tobytes()


def test_a_soft_edge_fades_evenly_and_reaches_full_strength() -> None:
    row = pixels(soften(marked((200, 200), (40, 40, 160, 160)), 7))[100]
    assert row[:40].max() == 0 and (row[47:153] == 255).all()
    assert np.allclose(row[40:47], [255 * (depth + 1) / 8 for depth in range(7)], atol=1.5)
    wide = pixels(soften(marked((800, 800), (100, 100, 800, 700)), 100))[400]
    assert wide[:100].max() == 0 and (wide[215:] == 255).all() and (np.diff(wide[100:200]) >= 0).all()


@pytest.mark.parametrize("width", [8, 64, 200])
def test_narrow_black_has_a_soft_edge_too(width: int) -> None:
    mask = Image.new("L", (900, 900), 255)
    mask.paste(0, (450, 0, 452, 900))  # a thin thing that is to stay
    mask.paste(0, (0, 0, 1, 900))
    row = pixels(soften(mask, width))[450]
    step = max(1, width // 8)
    assert (row[450:452] == 0).all() and row[0] == 0
    assert (row[452 : 452 + step] <= 2 * 255 / 8).all() and (row[1 : 1 + step] <= 2 * 255 / 8).all()
    assert row[452 : 452 + 2 * width].max() > 200


def test_the_edge_of_an_edit_is_soft(editor: Editor, photo: Image.Image) -> None:
    request = EditRequest(photo, "make it night", size=64, mask=marked(photo.size, SPOT))
    hard, soft = (next(editor.edit_seeds(replace(request, feather=width), [0])).image for width in (0, 12))
    before, mask = pixels(photo), pixels(soften(marked(photo.size, SPOT), 12))
    change = np.abs(pixels(hard) - before), np.abs(pixels(soft) - before)
    assert np.array_equal(change[0][mask == 255], change[1][mask == 255])
    assert (change[1][mask == 0] == 0).all() and change[1][mask < 60].sum() < 0.3 * change[0][mask < 60].sum()


@pytest.mark.parametrize(("kind", "most"), [(np.uint16, 65535), (np.float32, 1.0), (np.uint8, 255)])
def test_a_mask_means_the_same_at_any_depth(kind: type[np.generic], most: float) -> None:
    """A quarter of white is a quarter; cut off at 255, it would be all of it of 16 bits, and nothing of floats."""
    mask = Image.fromarray((np.repeat([[0.0, 0.25, 1.0]], 4, axis=0) * most).astype(kind))
    assert np.abs(np.asarray(soften(mask, 0)).astype(int) - [0, 64, 255]).max() <= 1
    request = EditRequest(Image.new("RGB", mask.size), "make it night", mask=mask, zoom=True)
    assert find_closeup(request, 1) is not None
