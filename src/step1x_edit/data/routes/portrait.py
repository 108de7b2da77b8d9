"""Portrait editing and beautification: what retouchers do to a face that was found, or around it."""

from __future__ import annotations

import random

import cv2
import numpy as np

from step1x_edit.data.colours import to_lab
from step1x_edit.data.materials import Materials, Photograph
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.routes.subjects import SUREST_FACE, take_frame
from step1x_edit.data.tools.protocols import Face
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Floats, Pixels, Request, Shape

SMALLEST_FACE = 0.1
"""Width of a face, as a share of the picture's shorter side, from which on it can be edited."""

_SINGLE = 0.14
"""Width of a single face, as a share of the picture's shorter side, from which on what is around the person can be worked on."""

_CAPTIONS = {
    "smooth": "with smooth skin",
    "brighten": "with a bright face",
    "tan": "with tanned skin",
    "blush": "with rosy cheeks",
    "blur around": "with everything around blurred",
    "darken around": "with everything around in the dark",
    "glow": "in a soft glow",
}


def make(rng: random.Random, photograph: Photograph, tools: Toolbox, materials: Materials, shape: Shape) -> Draft | Unsuited:
    """Retouch the largest face of a photograph, or what is around it. Source: paper, face detection before retouching."""
    frame = take_frame(rng, photograph, shape)
    faces = find_portraits(frame.pixels, tools, SMALLEST_FACE)
    if not faces:
        return Unsuited("no face that is large enough was found")
    face = faces[0]
    # a group has no single outline to work around, and of a small face the body is hard to guess
    single = len(faces) == 1 and face.box.width >= _SINGLE * min(shape)
    way = rng.choice([way for way in _CAPTIONS if single or not way.endswith(" around")])
    picture = frame.pixels
    weight, changed = _retouch(way, picture, face)
    target = np.where(weight > 0, (np.clip(picture + weight * (changed - picture), 0, 255) + 0.5).astype(np.uint8), picture)
    return Draft(
        source=picture,
        target=target,
        touched=None if way == "glow" else weight[..., 0] > 0,
        request=Request(f"portrait {way}"),
        source_caption="a photo of a person",
        target_caption=f"a photo of a person, {_CAPTIONS[way]}",
        edit=f"portrait {way}",
        parameters={**frame.facts, "face": list(face.box), "score": face.score, "tools": tools.describe("faces")},
    )


def find_portraits(picture: Pixels, tools: Toolbox, smallest: float) -> list[Face]:
    """Faces that are surely some, and at least `smallest` wide as a share of the picture's shorter side; the largest first."""
    least = smallest * min(picture.shape[:2])
    found = tools.faces.find_faces(picture, smallest)
    return [face for face in found if face.score >= SUREST_FACE and face.box.width >= least]


def _retouch(way: str, picture: Pixels, face: Face) -> tuple[Floats, Floats]:
    """Where and what: weight float32 [H, W, 1] and the changed picture float32 [H, W, 3], 0..255."""
    height, width = picture.shape[:2]
    shape, side = (width, height), min(height, width)
    floats = picture.astype(np.float32)
    near = _oval(shape, face, 1.0)
    if way == "glow":
        soft = cv2.GaussianBlur(picture, (0, 0), side * 0.03).astype(np.float32)
        return np.ones((height, width, 1), np.float32), 255 - (255 - floats) * (255 - 0.4 * soft) / 255
    if way in ("blur around", "darken around"):
        around = 1 - np.maximum(_oval(shape, face, 1.6), _shoulders(shape, face))
        soft = cv2.GaussianBlur(picture, (0, 0), side * 0.03).astype(np.float32)
        return around, soft if way == "blur around" else floats * 0.25
    skin = near * _find_skin(picture, face)[..., None]
    if way == "smooth":
        reach = max(5, round(face.box.width / 8))
        calm = cv2.bilateralFilter(picture, 0, 38, reach / 3).astype(np.float32)
        return skin * _avoid_features(shape, face), cv2.bilateralFilter(calm.astype(np.uint8), 0, 30, reach / 2).astype(np.float32)
    if way == "brighten":
        return near, 255 * (floats / 255) ** 0.68
    if way == "tan":
        return skin, floats * np.array([0.95, 0.82, 0.67], np.float32)
    return skin * _find_cheeks(shape, face), floats * np.array([1.0, 0.74, 0.78], np.float32) + np.array([14, 0, 4], np.float32)


def _oval(shape: Shape, face: Face, scale: float) -> Floats:
    """Soft oval over a face: float32 [H, W, 1], 1 inside and 0 outside."""
    box = face.box
    y, x = np.mgrid[0 : shape[1], 0 : shape[0]].astype(np.float32) + 0.5
    across, along = box.width / 2 * scale * 1.05, box.height / 2 * scale * 1.05
    distance = np.hypot((x - (box.left + box.right) / 2) / across, (y - (box.top + box.bottom) / 2) / along)
    return np.clip((1.12 - distance) / 0.25, 0, 1)[..., None].astype(np.float32)


def _shoulders(shape: Shape, face: Face) -> Floats:
    """Soft bell from the chin down to the frame's border, where the person's body is: float32 [H, W, 1], 1 inside and 0 outside."""
    box = face.box
    y, x = np.mgrid[0 : shape[1], 0 : shape[0]].astype(np.float32) + 0.5
    down = np.clip((y - box.bottom + 0.1 * box.height) / box.height, 0, None)
    half = box.width * (0.45 + 1.15 * (1 - np.exp(-2.2 * down)))
    inside = np.clip((half - np.abs(x - (box.left + box.right) / 2)) / (0.3 * box.width), 0, 1)
    return (inside * np.clip(down * 6, 0, 1))[..., None].astype(np.float32)


def _find_skin(picture: Pixels, face: Face) -> Floats:
    """How much each pixel has the colour of the middle of the face: float32 [H, W]."""
    box = face.box
    lab = to_lab(picture)
    rows = slice(box.top + box.height // 3, box.bottom - box.height // 5)
    columns = slice(box.left + box.width // 4, box.right - box.width // 4)
    middle = np.median(lab[rows, columns].reshape(-1, 3), axis=0)
    distance = np.linalg.norm((lab - middle) * np.array([0.35, 1, 1], np.float32), axis=2)
    return cv2.GaussianBlur(np.clip((22 - distance) / 10, 0, 1), (0, 0), 1.2).astype(np.float32)


def _spots(shape: Shape, face: Face, points: list[tuple[float, float]], reach: float) -> Floats:
    """Soft discs around points, `reach` as a share of the face's width: float32 [H, W, 1], 1 in their middles."""
    y, x = np.mgrid[0 : shape[1], 0 : shape[0]].astype(np.float32)
    total = np.zeros(shape[::-1], np.float32)
    for across, along in points:
        total = np.maximum(total, np.exp(-((x - across) ** 2 + (y - along) ** 2) / (2 * (reach * face.box.width) ** 2)))
    return total[..., None]


def _avoid_features(shape: Shape, face: Face) -> Floats:
    """Small at eyes and mouth, which a retoucher leaves sharp."""
    marks = [face.landmarks[i] for i in (0, 1, 3, 4)] if len(face.landmarks) == 5 else []
    return 1 - np.clip(1.5 * _spots(shape, face, marks, 0.09), 0, 1)


def _find_cheeks(shape: Shape, face: Face) -> Floats:
    """Beside the nose, between eyes and mouth; the lower middle of the box where there are no landmarks."""
    if len(face.landmarks) == 5:
        right, left, _, mouth_right, mouth_left = face.landmarks
        points = [(0.55 * e[0] + 0.45 * m[0] + o, 0.4 * e[1] + 0.6 * m[1]) for e, m, o in ((right, mouth_right, -2), (left, mouth_left, 2))]
    else:
        points = [(face.box.left + face.box.width * s, face.box.top + face.box.height * 0.62) for s in (0.27, 0.73)]
    return np.where((spots := np.clip(1.2 * _spots(shape, face, points, 0.15), 0, 1)) > 0.03, spots, 0)
