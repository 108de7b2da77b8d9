"""Faces and plates cannot be recognised afterwards, personal text is refused, and nothing else of a photograph changes."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from step1x_edit.data.deidentification import Finding, Switches, blur_findings, deidentify, strip_metadata
from step1x_edit.data.tools.protocols import Box
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Pixels

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"


@pytest.fixture(scope="module")
def tools() -> Toolbox:
    return Toolbox.offline()


@pytest.fixture(scope="module")
def astronaut() -> Pixels:
    return np.asarray(Image.open(PHOTOS / "astronaut.jpg").convert("RGB"))


def write(text: str, *, size: int = 30, plate: bool = False) -> Pixels:
    """A lake with a line of text on it."""
    image = Image.open(PHOTOS / "lake-sherburne.jpg").convert("RGB").resize((480, 320))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size)
    box = draw.textbbox((90, 200), text, font=font)
    if plate:
        draw.rectangle((box[0] - 8, box[1] - 6, box[2] + 8, box[3] + 6), fill=(250, 250, 250), outline=(0, 0, 0), width=2)
    draw.text((90, 200), text, font=font, fill=(10, 10, 10) if plate else (255, 255, 255), stroke_width=0 if plate else 1)
    return np.asarray(image)


def test_a_face_is_blurred_and_found_no_more(astronaut: Pixels, tools: Toolbox) -> None:
    done = deidentify(astronaut, tools, Switches(plates=False, text="keep"))
    (face,) = done.findings
    assert face.kind == "face"
    assert np.abs(np.array(face.box) - (179, 57, 271, 176)).max() < 10
    assert tools.faces.find_faces(done.pixels) == ()
    changed = (done.pixels != astronaut).any(2)
    assert changed[face.box.top + 30 : face.box.bottom - 30, face.box.left + 25 : face.box.right - 25].mean() > 0.95
    changed[30:200, 155:295] = False
    assert not changed.any(), "the rest of the photograph must stay to the last bit"
    assert done.refusal is None


def test_a_plate_is_blurred_and_read_no_more(tools: Toolbox) -> None:
    picture = write("AB12 CDE", plate=True)
    done = deidentify(picture, tools)
    assert [finding.kind for finding in done.findings] == ["number plate"]
    assert "CDE" not in "".join(line.text for line in tools.reader.read(done.pixels))
    alone = deidentify(picture, tools, Switches(text="keep"))
    assert np.array_equal(alone.pixels, done.pixels)


def test_text_like_personal_data_is_refused_blurred_or_kept(tools: Toolbox) -> None:
    picture = write("ada@example.org")
    refused = deidentify(picture, tools)
    assert refused.refusal == "text in it looks like personal data: e-mail address"
    assert np.array_equal(refused.pixels, picture)
    blurred = deidentify(picture, tools, Switches(text="blur"))
    assert blurred.refusal is None
    assert "example" not in "".join(line.text for line in tools.reader.read(blurred.pixels))
    kept = deidentify(picture, tools, Switches(text="keep"))
    assert kept.findings == ()
    assert np.array_equal(kept.pixels, picture)


def test_the_record_does_not_repeat_what_it_hides(tools: Toolbox) -> None:
    done = deidentify(write("ada@example.org"), tools)
    record = json.dumps(done.parameters)
    assert "e-mail address" in record
    assert "rapidocr" in record
    assert "example" not in record


def test_a_harmless_photograph_passes_unchanged(tools: Toolbox) -> None:
    picture = write("OPEN 9-5")
    done = deidentify(picture, tools)
    assert (done.findings, done.refusal) == ((), None)
    assert np.array_equal(done.pixels, picture)


def test_what_is_blurred_cannot_be_told_apart() -> None:
    """Two different noises in one place look nearly alike afterwards, and so would two people."""
    generator = np.random.default_rng(0)
    one, two = (generator.integers(0, 256, (80, 80, 3)).astype(np.uint8) for _ in range(2))
    for kind in ("face", "number plate", "name"):
        finding = Finding(kind, Box(0, 0, 80, 80), 1.0)
        middle = [blur_findings(noise, [finding])[25:55, 25:55].astype(int) for noise in (one, two)]
        assert np.abs(middle[0] - middle[1]).mean() < 0.15 * np.abs(one.astype(int) - two)[25:55, 25:55].mean()


@pytest.mark.parametrize("box", [Box(0, 0, 1, 1), Box(38, 0, 40, 30), Box(0, 0, 40, 30), Box(5, 5, 5, 9)])
def test_boxes_at_the_border(box: Box) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    for kind in ("face", "name"):
        assert blur_findings(picture, [Finding(kind, box, 1.0)]).shape == picture.shape


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_metadata_do_not_survive(mode: str) -> None:
    image = Image.fromarray(cv2.applyColorMap(np.arange(64, dtype=np.uint8).reshape(8, 8), cv2.COLORMAP_JET)).convert(mode)
    exif = Image.Exif()
    exif[0x010F], exif[0x9C9B] = "SecretCamera", b"SecretTitle"
    exif.get_ifd(0x8825)[1] = "SecretNorth"
    comment = PngImagePlugin.PngInfo()
    comment.add_text("Comment", "SecretComment")
    file = BytesIO()
    image.save(file, "PNG", exif=exif, pnginfo=comment, icc_profile=b"SecretProfile")
    opened = Image.open(BytesIO(file.getvalue()))
    bare = strip_metadata(opened)
    assert list(bare.convert("RGBA").get_flattened_data()) == list(opened.convert("RGBA").get_flattened_data())
    for form in ("PNG", "WEBP", "TIFF"):
        saved = BytesIO()
        bare.save(saved, form)
        assert b"Secret" not in saved.getvalue()
    assert b"SecretCamera" in file.getvalue(), "or this would test nothing"
