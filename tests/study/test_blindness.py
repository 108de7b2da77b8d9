"""Nothing that reaches a browser tells whose result it is: not pages, headers, names, sizes or metadata."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import select
from study_hall import DESIGN, SYSTEMS, Hall, Visitor
from study_material import TASKS, UNRELATED, draw, look
from study_people import read_page

from step1x_edit.errors import UsageError
from step1x_edit.study.assignment import DECOY, Kind
from step1x_edit.study.pictures import BUCKET, SOURCE, CasePictures, Gallery, choose_decoy, place_on_canvas
from step1x_edit.study.store import SCREEN

NAMES = [*SYSTEMS, *TASKS, "fullset", "SRCIMG", "case0", "decoy"]
KINDS = ["repeat", "attention"]
"""What would tell a check or a repeat from a case that counts."""


@pytest.fixture
def person(hall: Hall) -> Visitor:
    visitor = hall.enter()
    visitor.join()
    return visitor


def walk(person: Visitor) -> Iterator[tuple[object, list]]:
    """Every comparison of a session: the page, and its pictures, the source first."""
    while 'action="/vote"' in (answer := person.get("/compare")).text:
        yield answer, [person.get(f"/picture/{token}") for token in read_page(answer.text).pictures]
        assert person.vote().status_code == 303


def said(answer) -> str:
    """Everything that an answer says, pictures aside."""
    headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
    return headers if answer.headers["content-type"].startswith("image/jpeg") else headers + "\n" + answer.text


def test_no_page_header_or_address_holds_a_name(person: Visitor, hall: Hall) -> None:
    answers = [person.get(path) for path in ("/privacy", "/welcome", "/break", "/delete", "/robots.txt", "/nothing", "/picture/x")]
    for page, pictures in walk(person):
        answers += [page, *pictures]
    answers += [person.get("/compare")]
    assets = [person.get(f"/static/{name}") for name in hall.service.pages.assets]
    for answer in answers + assets:
        everything = f"{answer.url} {said(answer)}".lower()
        telling = NAMES if answer in assets else NAMES + KINDS
        assert [name for name in telling if name.lower() in everything] == [], answer.url


def test_pictures_of_a_comparison_differ_in_nothing_but_their_pixels(person: Visitor) -> None:
    comparisons = 0
    for _, pictures in walk(person):
        comparisons += 1
        assert len({len(answer.content) for answer in pictures}) == 1
        assert len(pictures[0].content) % BUCKET == 0
        assert len({tuple(answer.headers.items()) for answer in pictures}) == 1, "not even a date or a tag"
        opened = [Image.open(BytesIO(answer.content)) for answer in pictures]
        assert len({(p.size, p.mode, p.format, str(p.quantization), str(p.info), len(p.getexif())) for p in opened}) == 1
        assert set(opened[0].info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert comparisons == DESIGN.screens


def test_what_is_shown_is_what_the_assignment_says(person: Visitor, hall: Hall) -> None:
    seen = [[look(picture.content) & 7 for picture in pictures] for _, pictures in walk(person)]
    with hall.engine.connect() as connection:
        rows = connection.execute(select(SCREEN).order_by(SCREEN.c.position)).all()
    assert seen == [[UNRELATED, *row.slots] for row in rows]
    assert {row.kind for row in rows} == set(Kind)
    assert any(DECOY in row.slots for row in rows)


def test_addresses_are_new_for_every_comparison(person: Visitor) -> None:
    tokens = [token for page, _ in walk(person) for token in read_page(page.text).pictures]
    assert len(set(tokens)) == len(tokens) == 4 * DESIGN.screens
    assert all(re.fullmatch(r"[\w-]{32}", token) for token in tokens)


def test_checks_and_repeats_look_like_all_others(person: Visitor) -> None:
    pages = []
    for page, _ in walk(person):
        html = re.sub(r'(/picture/|value=")[\w-]{32,}', r"\1", page.text)
        html = re.sub(r"\d+ of \d+|\d+-\d+|position\D+\d+|<progress[^>]+>|<p class=\"notice calm\">.*?</p>", "", html)
        pages.append(re.sub(r"\s+", " ", html))
    assert len(set(pages)) == 1, "the same page, but for numbers and the instruction"


def test_a_picture_is_shown_to_one_person_while_it_is_before_them(person: Visitor, hall: Hall) -> None:
    other = hall.enter()
    other.join()
    token = read_page(person.get("/compare").text).pictures[1]
    assert person.get(f"/picture/{token}").status_code == 200
    assert other.get(f"/picture/{token}").status_code == 404
    assert hall.enter().get(f"/picture/{token}").status_code == 404
    person.vote()
    assert person.get(f"/picture/{token}").status_code == 404
    for path in ("/picture/1", "/picture/source", "/picture/..%2f1.jpg", "/picture/"):
        assert person.get(path).status_code == 404, path


def test_everything_comes_from_this_server(person: Visitor, hall: Hall) -> None:
    pages = [person.get(path) for path in ("/", "/privacy", "/welcome", "/compare", "/break", "/delete", "/nothing")]
    assets = [person.get(f"/static/{name}") for name in hall.service.pages.assets]
    for answer in pages + assets:
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; img-src 'self'")
        assert answer.headers["referrer-policy"] == "same-origin" and answer.headers["x-frame-options"] == "DENY"
        addresses = re.findall(r"""(?:src|href|action)=["']([^"']*)|url\(([^)]*)\)|@import""", answer.text)
        assert all(address.startswith(("/", "?")) for pair in addresses for address in pair if address), answer.url
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg|testserver/continue/)", answer.text), answer.url
        assert "<style" not in answer.text and "style=" not in answer.text and not re.search(r"<script(?! src=)|\son\w+=", answer.text)


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    """One case whose systems answered in four shapes, one of them with metadata, one nearly transparent, one tiny."""
    sizes = {SOURCE: (90, 60), DECOY: (40, 80), 1: (96, 64), 2: (60, 60), 3: (30, 20), 4: (91, 60)}
    files = {}
    for number, size in sizes.items():
        files[number] = tmp_path / f"{number}.png"
        picture = draw(max(number, 0), seed=number + 5, size=size)
        if number == 3:
            picture.putalpha(20)
        exif = Image.Exif()
        exif[0x0131] = "made by aurora"  # the tag of the software
        picture.save(files[number], exif=exif)
    gallery = Gallery(tmp_path / "cache", {1: CasePictures(files, "digest")})
    gallery.render()
    return gallery


def test_results_of_any_shape_come_out_alike(gallery: Gallery) -> None:
    data = {number: gallery.read(1, number) for number in (SOURCE, DECOY, 1, 2, 3, 4)}
    assert len({len(each) for each in data.values()}) == 1 and not any(b"aurora" in each for each in data.values())
    assert {Image.open(BytesIO(each)).size for each in data.values()} == {(90, 60)} == {gallery.size(1)}
    for number in (1, 4):
        assert look(data[number]) == number, "nearly the same shape is stretched"


def test_pictures_are_drawn_once(gallery: Gallery, tmp_path: Path) -> None:
    written = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("*.jpg")}
    for file in tmp_path.glob("*.png"):
        file.unlink()
    gallery.render()
    assert written == {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("*.jpg")} and len(written) == 6


def test_two_cases_of_the_same_pictures_share_them(tmp_path: Path) -> None:
    files = {number: tmp_path / f"{number}.png" for number in (SOURCE, DECOY, 1, 2)}
    for number, file in files.items():
        draw(max(number, 0), seed=number + 5).save(file)
    drawn = []
    gallery = Gallery(tmp_path / "cache", dict.fromkeys(range(40), CasePictures(files, "digest")))
    gallery.render(lambda: drawn.append(1), workers=4)
    assert drawn == [1] and gallery.read(3, 1) == gallery.read(39, 1)


def test_an_interrupted_drawing_is_begun_again(tmp_path: Path) -> None:
    files = {number: tmp_path / f"{number}.png" for number in (SOURCE, DECOY, 1)}
    for number, file in files.items():
        draw(max(number, 0), seed=number + 5).save(file)
    (tmp_path / "cache" / ".digest.part").mkdir(parents=True)
    (tmp_path / "cache" / ".digest.part" / "1.jpg").write_bytes(b"half")
    gallery = Gallery(tmp_path / "cache", {1: CasePictures(files, "digest")})
    gallery.render()
    assert look(gallery.read(1, 1)) == 1 and not list((tmp_path / "cache").glob(".*"))


def test_canvases_keep_proportions() -> None:
    tall = place_on_canvas(Image.new("RGB", (10, 40), "red"), (40, 40))
    assert tall.size == (40, 40) and tall.getpixel((20, 20)) == (255, 0, 0) and tall.getpixel((2, 20)) != (255, 0, 0)


def test_a_decoy_is_another_picture() -> None:
    rng = random.Random(0)
    digests = [bytes([rng.randrange(3)]) for _ in range(20)]
    for index in range(20):
        assert digests[choose_decoy(digests, index)] != digests[index]
    with pytest.raises(UsageError, match="one and the same picture"):
        choose_decoy([b"same"] * 4, 1)
