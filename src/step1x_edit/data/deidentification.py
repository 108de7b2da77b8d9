"""De-identification: metadata go, faces and number plates are blurred, photographs with text like personal data are told apart.

The detectors come with a toolbox, so that better ones take their place without a change here. Nothing can promise that every face or
plate is found: what is found is listed, so that people can check it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from PIL import Image

from step1x_edit.data.personal_text import find_personal_text
from step1x_edit.data.tools.filtering import pad
from step1x_edit.data.tools.plates import select_plates
from step1x_edit.data.tools.protocols import Box, TextLine
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Pixels

FACE_MARGIN, PLATE_MARGIN, TEXT_MARGIN = 0.15, 0.08, 0.05
"""How far a blur reaches beyond what was found, as a share of its longer side: hair and chin, the plate's rim."""


@dataclass(frozen=True)
class Finding:
    """Something that may identify a person.

    Attributes:
        kind: "face", "number plate", or a kind of `personal_text`.
        box: where.
        score: 0..1, of the tool that found it.
    """

    kind: str
    box: Box
    score: float

    @property
    def facts(self) -> dict[str, Any]:
        """JSON-able, and without the text itself: a record of what was found must not publish it."""
        return {"kind": self.kind, "box": list(self.box), "score": self.score}


@dataclass(frozen=True)
class Switches:
    """What is looked for.

    Attributes:
        faces: blur them.
        plates: blur number plates of vehicles.
        text: what happens where text looks like personal data: "refuse" the photograph, "blur" the lines, or "keep" them.
    """

    faces: bool = True
    plates: bool = True
    text: Literal["refuse", "blur", "keep"] = "refuse"


@dataclass(frozen=True)
class Deidentified:
    """What came of a photograph.

    Attributes:
        pixels: uint8 [H, W, 3] with everything blurred that is to be.
        findings: everything that was found.
        refusal: why the photograph should not be used, or None.
        parameters: JSON-able switches and tools.
    """

    pixels: Pixels
    findings: tuple[Finding, ...]
    refusal: str | None
    parameters: dict[str, Any]


def deidentify(picture: Pixels, tools: Toolbox, switches: Switches | None = None) -> Deidentified:
    """Look for faces, plates and personal text, and blur or refuse as the switches say.

    Args:
        picture: uint8 [H, W, 3].
        tools: plays "faces", "plates" and "reader".
        switches: None for all on.
    """
    chosen = Switches() if switches is None else switches
    findings: list[Finding] = []
    roles = []
    if chosen.faces:
        roles.append("faces")
        findings += [Finding("face", face.box, face.score) for face in tools.faces.find_faces(picture)]
    lines: tuple[TextLine, ...] = ()
    if chosen.text != "keep":
        roles.append("reader")
        lines = tools.reader.read(picture)
    if chosen.plates:
        roles.append("plates")
        same = tools.card("plates").parameters.get("reader") == tools.card("reader").name and chosen.text != "keep"
        plates = select_plates(lines) if same else tools.plates.find_plates(picture)  # one reading of the picture serves both
        findings += [Finding("number plate", plate.box, plate.score) for plate in plates]
    personal = find_in_lines(lines)
    hidden = [*findings, *(personal if chosen.text == "blur" else ())]
    kinds = sorted({finding.kind for finding in personal})
    refused = chosen.text == "refuse" and kinds
    return Deidentified(
        pixels=blur_findings(picture, hidden),
        findings=(*findings, *personal),
        refusal=f"text in it looks like personal data: {', '.join(kinds)}" if refused else None,
        parameters={
            "faces": chosen.faces,
            "plates": chosen.plates,
            "text": chosen.text,
            "found": [finding.facts for finding in (*findings, *personal)],
            "tools": tools.describe(*roles),
        },
    )


def find_in_lines(lines: Sequence[TextLine]) -> tuple[Finding, ...]:
    """Lines of text that look like personal data, alone or together with the line below them."""
    found = []
    for index, line in enumerate(lines):
        below = lines[index + 1].text if index + 1 < len(lines) else ""
        for item in find_personal_text(f"{line.text}\n{below}" if below else line.text):
            if item.start < len(line.text):
                found.append(Finding(item.kind, line.box, line.confidence))
                if item.stop > len(line.text):
                    found.append(Finding(item.kind, lines[index + 1].box, lines[index + 1].confidence))
    return tuple(found)


def blur_findings(picture: Pixels, findings: Sequence[Finding]) -> Pixels:
    """Blur each finding beyond recognition: faces in an oval, the rest in their boxes; everything else stays to the last bit.

    Each place is first reduced to a few averages, so that no filter can bring it back, and then smoothed for the eye.
    """
    result = picture.copy()
    for finding in findings:
        margin = {"face": FACE_MARGIN, "number plate": PLATE_MARGIN}.get(finding.kind, TEXT_MARGIN)
        box = pad(finding.box, margin, picture.shape)
        if box.area == 0:
            continue
        place = np.ascontiguousarray(result[box.within])
        cells = 6 / max(place.shape[:2])
        shape = (max(1, round(box.width * cells)), max(1, round(box.height * cells)))
        coarse = cv2.resize(place, shape, interpolation=cv2.INTER_AREA)
        smooth = cv2.resize(coarse, (box.width, box.height), interpolation=cv2.INTER_CUBIC)
        weight = np.ones((box.height, box.width, 1), np.float32)
        if finding.kind == "face":
            y, x = np.mgrid[0 : box.height, 0 : box.width].astype(np.float32)
            distance = np.hypot((2 * x + 1) / box.width - 1, (2 * y + 1) / box.height - 1)
            weight = np.clip((1.12 - distance) / 0.12, 0, 1)[..., None]
        mixed = place + weight * (smooth.astype(np.float32) - place)
        result[box.within] = (mixed + 0.5).astype(np.uint8)
    return result


def strip_metadata(image: Image.Image) -> Image.Image:
    """A copy of a picture that holds its pixels and nothing else: no EXIF, XMP, position, thumbnail, profile or comment.

    Turn it upright and bring it to sRGB first, as `image_io.read_image` does: the tags that say how to go with them.
    """
    bare = Image.new(image.mode, image.size)
    bare.paste(image)
    if image.mode == "P":
        bare.putpalette(image.getpalette() or [])
    return bare
