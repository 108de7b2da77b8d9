"""Requests with personal data planted in them: EXIF, faces, number plates, names, addresses and numbers in picture and instruction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
PEOPLE = ("astronaut.jpg", "friends-by-aitzol-berasategi.jpg", "seeding-by-clements-engelhardt.jpg", "extreme-desert-hike.jpg")

PERSON = {"user_name": "Annika Lindqvist", "email": "annika.lindqvist@mail.example", "phone": "+46 70 123 45 67"}
PLATE, NUMBER, ADDRESS = "KL 19 XYZ", "+46 70 123 45 67", "annika@mail.example"
CAMERA = "Annika's phone"

SECRETS = ("Annika", "Lindqvist", "annika", "123 45 67", "KL 19 XYZ", "KL19XYZ", "IMG_Annika", "59.32", CAMERA)
"""What must not be found anywhere in what is written."""

ASKED: tuple[tuple[str, str], ...] = (
    ("Remove Annika from the photo", "从照片中移除Annika"),
    ("Add a red hat, and send it to annika.lindqvist@mail.example", "添加一顶红帽子"),
    ("Change the background to a beach, call me at +46 70 123 45 67", "把背景换成海滩"),
    ("Make it a watercolor painting, my name is Annika", "变成水彩画，我叫Annika"),
)


def plant(name: str, text: str, target: Path) -> None:
    """A photograph with a line of text on a plate in it, and with a position and an owner in its metadata."""
    picture = Image.open(PHOTOS / name).convert("RGB")
    picture.thumbnail((900, 900))
    if text:
        font = ImageFont.load_default(44)
        draw = ImageDraw.Draw(picture)
        left, top, right, bottom = draw.textbbox((30, picture.height - 90), text, font=font)
        draw.rectangle((left - 14, top - 12, right + 14, bottom + 12), fill="white", outline="black", width=3)
        draw.text((30, picture.height - 90), text, fill="black", font=font)
    exif = picture.getexif()
    exif[0x010F], exif[0x013B], exif[0x9C9D] = CAMERA, PERSON["user_name"], PERSON["user_name"].encode("utf-16-le")
    exif.get_ifd(0x8825).update({1: "N", 2: (59.0, 19.0, 45.5), 3: "E", 4: (18.0, 4.0, 7.0)})
    picture.save(target, "JPEG", quality=92, exif=exif, comment=PERSON["email"].encode())


def make_requests(folder: Path, photos: Sequence[str] = PEOPLE, texts: Sequence[str] = ("", PLATE, NUMBER, ADDRESS)) -> int:
    """Write requests.jsonl and its pictures; every photograph with every text. Returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, photo in enumerate(photos):
        for j, text in enumerate(texts):
            name = f"IMG_Annika_{i}{j}.jpg"
            plant(photo, text, folder / name)
            english, chinese = ASKED[(i + j) % len(ASKED)]
            rows.append({"picture": name, "instruction_en": english, "instruction_cn": chinese, **PERSON})
    (folder / "requests.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return len(rows)
