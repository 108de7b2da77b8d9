"""A benchmark from requests: hostile rows, groups, balance, what is planted and must be gone, the review, and the cases that come out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bench_requests import PERSON, SECRETS, make_requests
from bench_services import Service
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from starlette.testclient import TestClient

from step1x_edit.bench.building.clearing import NotCleared, clean_text, clear_request
from step1x_edit.bench.building.collecting import collect
from step1x_edit.bench.building.export import write_accepted
from step1x_edit.bench.building.grouping import alike, balance, group_intents, guess_task, letter_groups
from step1x_edit.bench.building.lookalikes import LocalSearch
from step1x_edit.bench.building.requests import GAP, Request, Skipped, is_chinese, read_requests
from step1x_edit.bench.building.review import create_app
from step1x_edit.bench.building.store import DATABASE, Candidate, Store
from step1x_edit.bench.gedit import TASK_SIZES, read_cases
from step1x_edit.cli.main import run
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.errors import Step1XError, UsageError
from step1x_edit.locking import hold

TOOLS = Toolbox.offline()


def test_hostile_rows_are_skipped_with_a_reason(tmp_path: Path, scene: Image.Image) -> None:
    scene.save(tmp_path / "ok.png")
    (tmp_path / "sub").mkdir()
    rows: list[dict[str, object]] = [
        {"picture": "ok.png", "instruction": "make it night"},
        {"picture": "ok.png", "instruction": "变成夜晚"},
        {"picture": "ok.png"},
        {"picture": "../ok.png", "instruction": "x"},
        {"picture": "/etc/passwd", "instruction": "x"},
        {"picture": "missing.png", "instruction": "x"},
        {"picture": "ok.png", "instruction": "x" * 501},
        {"picture": "ok.png", "instruction": "x\u202ey"},
        {"picture": "a\0b", "instruction": "x"},
        {"picture": "\ud83d.png", "instruction": "x"},
        {"picture": "ok.png", "instruction": "\ud83d"},
        {"instruction": "x"},
        {"picture": ["ok.png"], "instruction": {"a": 1}},
    ]
    (tmp_path / "sub" / "requests.jsonl").write_text("\n".join(map(json.dumps, rows)))
    scene.save(tmp_path / "sub" / "ok.png")
    found = list(read_requests(tmp_path / "sub"))
    assert [type(each) for each in found[:2]] == [Request, Request] and (found[0].english, found[1].chinese) == (
        "make it night",
        "变成夜晚",
    )  # type: ignore[union-attr]
    reasons = [each.reason if isinstance(each, Skipped) else "" for each in found[2:]]
    assert all(reasons) and "outside the folder" in reasons[1] and "outside" in reasons[2] and "missing" in reasons[3]
    with pytest.raises(UsageError, match="no requests at"):
        list(read_requests(tmp_path / "nothing"))


def test_a_folder_of_pictures_with_texts(tmp_path: Path, scene: Image.Image) -> None:
    scene.save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("把帽子去掉\n")
    scene.save(tmp_path / "b.png")
    for name, data in (("c", "\ufeff把帽子去掉".encode()), ("d", "把帽子去掉".encode("gbk")), ("e", ("😀" * 501).encode())):
        scene.save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_bytes(data)
    first, *others, marked, foreign, long = read_requests(tmp_path)
    assert isinstance(first, Request) and first.chinese == "把帽子去掉"
    assert isinstance(marked, Request) and marked.chinese == "把帽子去掉"
    reasons = [each.reason for each in (*others, foreign, long) if isinstance(each, Skipped)]
    assert reasons == ["it has no instruction", "its instruction is not in UTF-8", "its instruction is longer than 500 characters"]


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        ("把“HELLO WORLD”改成“GOOD MORNING”", True),
        ("把STOP改成OPEN", True),
        ("把T-shirt变成red", True),
        ("“变成夜晚”", True),
        ('write "新年快乐恭喜发财" on it', False),
        ("turn 猫 into a dog", False),
        ("猫を犬に変えて", False),
        ("", False),
    ],
)
def test_what_is_quoted_does_not_decide_the_language(text: str, chinese: bool) -> None:
    assert is_chinese(text) == chinese


@pytest.mark.parametrize("column", ["作者", "昵称", "暱稱", "手机号", "電話", "用戶名", "郵箱", "微信"])
def test_columns_that_name_a_person_in_chinese_are_known(tmp_path: Path, scene: Image.Image, column: str) -> None:
    scene.save(tmp_path / "a.png")
    (tmp_path / "requests.csv").write_text(f"picture,instruction,{column},颜色\na.png,把帽子去掉,小明,红色\n", encoding="utf-8")
    (request,) = read_requests(tmp_path)
    assert isinstance(request, Request) and request.personal == ("小明",)


@pytest.mark.parametrize(
    ("english", "chinese", "task"),
    [
        ("Change the background to a beach", "", "background_change"),
        ("", "把背景换成海滩", "background_change"),
        ("Make the car red", "", "color_alter"),
        ("Remove the man on the left", "", "subject-remove"),
        ("", "去掉左边的人", "subject-remove"),
        ("Add a dog", "添加一只狗", "subject-add"),
        ("Replace the cat with a dog", "把猫换成狗", "subject-replace"),
        ("Turn it into a watercolor painting", "", "style_change"),
        ("Make it a snowy winter night", "", "tone_transfer"),
        ("Change the text 'OPEN' to 'CLOSED'", "", "text_change"),
        ("Make her smile", "", "motion_change"),
        ("Smooth the skin", "", "ps_human"),
        ("Make the table marble", "", "material_alter"),
        ("do something nice", "", ""),
    ],
)
def test_the_task_is_guessed_or_left_open(english: str, chinese: str, task: str) -> None:
    assert guess_task(english, chinese) == task


def test_intents_and_balance() -> None:
    numbers = group_intents(["change the background to a beach", "change the background to mountains", "remove the car", "Remove the car!"])
    assert numbers == [0, 0, 1, 1]
    chosen = balance([("a", 0, 1), ("a", 0, 2), ("a", 0, 3), ("a", 1, 4), ("b", 0, 5), ("unknown", 0, 6)], {"a": 3, "b": 4})
    assert chosen == {"a": [1, 4, 2], "b": [5]}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers()), max_size=60), st.integers(1, 8))
def test_balance_never_exceeds_its_target_and_takes_all_it_can(items: list[tuple[str, int, int]], target: int) -> None:
    chosen = balance(items, dict.fromkeys("abc", target))
    for task in "abc":
        there = [item for name, _, item in items if name == task]
        assert len(chosen.get(task, [])) == min(target, len(there))


@given(st.text(max_size=40), st.text(max_size=40))
def test_likeness_of_wordings(one: str, other: str) -> None:
    a, b = letter_groups(one), letter_groups(other)
    assert alike(a, a) == 1.0 and 0 <= alike(a, b) == alike(b, a) <= 1


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Remove Annika from the photo", f"Remove {GAP} from the photo"),
        ("从照片中移除Annika和狗", f"从照片中移除{GAP}和狗"),
        ("send it to annika.lindqvist@mail.example", "send it to name@example.com"),
        ("call +46 70 123 45 67 now", "call 555 0100 now"),
        ("a mail box on the lawn", "a mail box on the lawn"),
        ("ANNIKA LINDQVIST shall smile", f"{GAP} shall smile"),
        ("把车牌京A12345去掉", f"把车牌{GAP}去掉"),
        ("车牌粤B·D12345改成红色", f"车牌{GAP}改成红色"),
        ("新Balloons", "新Balloons"),
    ],
)
def test_instructions_are_cleaned(text: str, cleaned: str) -> None:
    assert clean_text(text, tuple(PERSON.values()))[0] == cleaned


@pytest.mark.parametrize(
    ("column", "text", "cleaned"),
    [
        ({"user": {"name": "Anna Schmidt"}}, "Make Anna smile", f"Make {GAP} smile"),
        ({"names": ["Bob", "Anna Schmidt"]}, "Make Anna smile", f"Make {GAP} smile"),
        ({"user_id": 48213}, "use 48213 as text", f"use {GAP} as text"),
        ({"name": "Li Wei"}, "Make Li taller than Wei, like Liège", f"Make {GAP} taller than {GAP}, like Liège"),
        ({"name": "An Li"}, "An and an apple", f"{GAP} and an apple"),
        ({"name": "王小明"}, "把小明的衣服变成红色", f"把{GAP}的衣服变成红色"),
        ({"name": "José"}, "Make Jose\u0301 and Jose smile", f"Make {GAP} and {GAP} smile"),
        ({"name": "Łukasz Nowak"}, "make lukasz younger", f"make {GAP} younger"),
        ({"name": "Søren Kjær"}, "let Soren and soeren smile at Kjaer", f"let {GAP} and {GAP} smile at {GAP}"),
        ({"name": "Đức Trần"}, "put duc on a horse", f"put {GAP} on a horse"),
        ({"name": "Jürgen Strauß"}, "make juergen strauss and Jurgen smile", f"make {GAP} and {GAP} smile"),
        ({"user": "@anna_s"}, "Give anna a hat, anna_s a dog", f"Give {GAP} a hat, {GAP} a dog"),
        ({"昵称": "小丸子"}, "给小丸子加帽子", f"给{GAP}加帽子"),
        ({"手机号": "12345", "微信": "wxid"}, "12345 wxid", f"{GAP} {GAP}"),
        ({"mobile": 12345, "handle": "bo", "tel": "678", "address": "Elm"}, "12345 bo 678 Elm", f"{GAP} {GAP} {GAP} {GAP}"),
        ({"hotel": "Elm"}, "Elm", "Elm"),
        ({"size": 48213, "kept": ["Anna"]}, "Make Anna 48213", "Make Anna 48213"),
    ],
)
def test_what_columns_say_of_a_person_is_taken_out(
    column: dict[str, object], text: str, cleaned: str, tmp_path: Path, scene: Image.Image
) -> None:
    scene.save(tmp_path / "a.png")
    (tmp_path / "requests.jsonl").write_text(json.dumps({"picture": "a.png", "instruction": text, **column}))
    (request,) = read_requests(tmp_path)
    assert isinstance(request, Request)
    assert clean_text(text, request.personal)[0] == cleaned


def test_a_look_alike_is_found_but_never_the_picture_itself(tmp_path: Path, draw_scene: Callable[..., Image.Image]) -> None:
    own = draw_scene(160, 120, seed=1)
    own.save(tmp_path / "same.png")
    own.transpose(Image.Transpose.FLIP_LEFT_RIGHT).point(lambda v: min(255, v + 12)).save(tmp_path / "near.png")
    Image.new("RGB", (160, 120), "purple").save(tmp_path / "far.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    found = LocalSearch(tmp_path, TOOLS.similarity).find(np.asarray(own))
    assert [each.picture.name for each in found][:1] == ["near.png"]
    assert all(each.picture.name != "same.png" for each in found)
    request = Request("0", tmp_path / "same.png", "add a hat", "", "", ())
    with pytest.raises(NotCleared, match="no public picture"):
        clear_request(request, LocalSearch(tmp_path, TOOLS.similarity), TOOLS, least=1.0)
    with pytest.raises(UsageError, match="holds no pictures"):
        (tmp_path / "empty").mkdir()
        LocalSearch(tmp_path / "empty", TOOLS.similarity)


def test_what_columns_say_of_a_person_is_hidden_in_the_picture_too(tmp_path: Path, scene: Image.Image) -> None:
    picture = scene.resize((600, 400))
    ImageDraw.Draw(picture).text((60, 300), "photo by Annika L.", fill="white", stroke_fill="black", stroke_width=3, font_size=44)
    picture.save(tmp_path / "a.png")

    def read(pixels: np.ndarray) -> str:
        return " ".join(line.text for line in TOOLS.reader.read(pixels))

    assert "Annika" in read(np.asarray(picture))
    for personal, survives in ((("Annika Lindqvist",), False), ((), True)):
        cleared = clear_request(Request("0", tmp_path / "a.png", "add a hat", "", "", personal), None, TOOLS)
        assert ("Annika" in read(np.asarray(cleared.picture))) == survives
        assert cleared.hidden.count("name") == (not survives)
        assert any("Is everything hidden" in question for question in cleared.questions) == (not survives)


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Candidates from planted requests: a portrait and a landscape, with a plate, a number and an address."""
    folder = tmp_path_factory.mktemp("planted")
    make_requests(folder / "requests", ("astronaut.jpg", "lake-sherburne.jpg"))
    assert run(["bench", "build", "collect", str(folder / "requests"), "--out", str(folder / "work"), "--own-pictures"]) == 0
    return folder / "work"


def test_nothing_planted_survives(collected: Path, tmp_path: Path, service: Service) -> None:
    store = Store(collected)
    candidates = [each for each in store.read() if each.name]
    assert len(candidates) == 8
    for each in candidates:
        picture = Image.open(collected / "pictures" / f"{each.name}.png")
        assert not picture.info and not picture.getexif()
        pixels = np.asarray(picture)
        assert not TOOLS.faces.find_faces(pixels) and not TOOLS.plates.find_plates(pixels)
        assert not any(secret in line.text for line in TOOLS.reader.read(pixels) for secret in SECRETS)
        store.accept(each.name, each.task or "ps_human", *(text.replace(GAP, "the woman") for text in (each.english, each.chinese)))
    write_accepted(store, tmp_path / "cases")
    store.close()
    for place in (collected, tmp_path / "cases"):
        for file in place.rglob("*"):
            data = file.read_bytes() if file.is_file() else b""
            assert not [s for s in SECRETS if s in file.name or s.encode() in data or s.encode("utf-16-le") in data], file
    log = json.loads((tmp_path / "cases" / "audit.json").read_text())
    assert log["requests"]["all"] == 8 and log["in_the_benchmark"] == 8
    assert sum(case["hidden"].get("face", 0) for case in log["cases"].values()) >= 4
    assert not {each.name for each in candidates} & set((tmp_path / "cases" / "audit.json").read_text().split('"'))
    assert len(read_cases(str(tmp_path / "cases"))) == 16
    out = tmp_path / "results"
    assert run(["bench", "run", "leave-as-is", "--cases", str(tmp_path / "cases"), "--out", str(out)]) == 0
    assert len(list((out / "leave-as-is" / "fullset").glob("*/*/*_SRCIMG.png"))) == 16
    judge = ["--judge", "endpoint:m", "--url", f"{service.url}/v1", "--cases", str(tmp_path / "cases")]
    assert run(["bench", "score", str(out), *judge, "--json"]) == 0
    assert service.calls and sorted((out / "leave-as-is" / "scores" / "m").glob("*_gpt_score.csv"))


def test_collecting_goes_on_and_knows_duplicates(tmp_path: Path, scene: Image.Image) -> None:
    scene.save(tmp_path / "a.png")
    scene.resize((150, 100)).save(tmp_path / "b.jpg")
    requests = [
        Request("0", tmp_path / "a.png", "add a red hat", "", "", ()),
        Request("1", tmp_path / "b.jpg", "Add a red hat!", "", "", ()),
        Request("2", tmp_path / "a.png", "make it night", "", "tone_transfer", ()),
        Skipped("3", "it names no picture"),
    ]
    store = Store(tmp_path / "work", create=True)
    collect(requests[:1], store, None, TOOLS)
    first = store.read()[0]
    state = collect(requests, store, None, TOOLS)
    assert store.read()[0] == first
    assert (state.candidates, state.skipped) == (2, 2)
    assert [each.state for each in store.read()] == ["open", "skipped", "open", "skipped"]
    assert "duplicate" in store.read()[1].reason
    assert (first.task, store.read()[2].task) == ("subject-add", "tone_transfer")
    assert any("Chinese instruction is missing" in question for question in first.questions)
    store.close()


def test_two_collections_at_once_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_requests(tmp_path / "requests", ("lake-sherburne.jpg",))
    collecting = ["bench", "build", "collect", str(tmp_path / "requests"), "--out", str(tmp_path / "work"), "--own-pictures"]
    with hold(tmp_path / "work" / ".lock", ""):
        assert run(collecting) == 2
    assert "Another collect is at work" in capsys.readouterr().err
    assert run(collecting) == 0


def test_collecting_knows_requests_by_what_they_ask(tmp_path: Path, draw_scene: Callable[..., Image.Image]) -> None:
    store = Store(tmp_path / "work", create=True)
    asked = tmp_path / "asked"
    asked.mkdir()
    for number, name in enumerate(("b", "a", "a2")):
        draw_scene(160, 120, seed=number).save(asked / f"{name}.png")
        (asked / f"{name}.txt").write_text(f"add hat number {number}")
        state = collect(read_requests(asked), store, None, TOOLS)
    (asked / "c.png").write_bytes((asked / "a.png").read_bytes())
    (asked / "c.txt").write_text("add hat number 1")
    for _ in range(2):
        state = collect(read_requests(asked), store, None, TOOLS)
    assert (state.candidates, state.skipped) == (3, 1)
    assert [each.english for each in store.read()] == ["add hat number 0", "add hat number 1", "add hat number 2", ""]
    store.close()


def test_what_nothing_was_like_is_tried_again(tmp_path: Path, draw_scene: Callable[..., Image.Image]) -> None:
    for place, seed in (("own", 1), ("public", 2)):
        (tmp_path / place).mkdir()
        draw_scene(160, 120, seed=seed).save(tmp_path / place / "a.png")
    (tmp_path / "own" / "a.txt").write_text("add a hat")
    store = Store(tmp_path / "work", create=True)
    search = LocalSearch(tmp_path / "public", TOOLS.similarity)
    counts = [collect(read_requests(tmp_path / "own"), store, search, TOOLS, least) for least in (1.0, 0.0, 1.0)]
    assert [(each.candidates, each.skipped) for each in counts] == [(0, 1), (1, 0), (1, 0)]
    assert len(store.read()) == 1
    store.close()


def test_a_review_from_before_there_were_checksums_goes_on(store: Store) -> None:
    store.close()
    with sqlite3.connect(store.folder / DATABASE) as database:
        database.execute("ALTER TABLE candidates DROP COLUMN request")
    assert len(Store(store.folder).read()) == 3


@pytest.fixture
def store(tmp_path: Path, scene: Image.Image) -> Store:
    store = Store(tmp_path / "work", create=True)
    for number in range(3):
        name = f"name{number}"
        scene.save(tmp_path / "work" / "pictures" / f"{name}.png")
        store.add(Candidate(number, name, "open", "", "subject-add", f"add <b>{number}</b>", "" if number else "加", hash="0"))
    return store


def test_the_review_decides_and_refuses(store: Store) -> None:
    client = TestClient(create_app(store))
    page = client.get("/")
    assert "add &lt;b&gt;0&lt;/b&gt;" in page.text and "content-security-policy" in page.headers
    token = page.text.partition('name="token" value="')[2].partition('"')[0]

    def send(name: str, **fields: str) -> int:
        return client.post(f"/candidate/{name}", data={"token": token, **fields}, follow_redirects=False).status_code

    words = {"task": "subject-add", "english": "add a hat", "chinese": "加一顶帽子"}
    assert send("name0", decision="accept", **words) == 303
    assert send("name1", decision="accept", **{**words, "chinese": ""}) == 422
    assert send("name1", decision="accept", **{**words, "task": "nonsense"}) == 422
    assert send("name1", decision="accept", **{**words, "english": f"add {GAP}"}) == 422
    assert send("name1", decision="reject") == 422
    assert send("name1", decision="reject", reason="unclear") == 303
    assert send("name2", decision="accept", token="wrong", **words) == 403
    assert send("nobody", decision="reject", reason="unclear") == 404
    assert client.post("/candidate/name2", data={"token": token}, headers={"origin": "http://evil.example"}).status_code == 403
    assert client.post("/candidate/name2", content=b"x" * 20_000).status_code == 413
    assert client.get("/picture/..%2freview.sqlite").status_code == 404
    assert client.get("/picture/name2").headers["content-type"] == "image/png"
    again = Store(store.folder)  # what was decided is on the disk
    assert [each.state for each in again.read()] == ["accepted", "rejected", "open"]
    again.close()
    page = client.get("/").text
    assert "/candidate/name0" in page and "/candidate/name1" in page  # whatever was decided can be taken back
    assert send("name0", decision="reopen") == 303
    assert store.read()[0].state == "open"


def test_of_two_reviewers_the_second_changes_nothing_unseen(store: Store) -> None:
    client = TestClient(create_app(store))
    token = client.get("/").text.partition('name="token" value="')[2].partition('"')[0]
    store.reject("name0", "still personal")
    words = {"task": "subject-add", "english": "add a hat", "chinese": "加一顶帽子"}
    answer = client.post("/candidate/name0", data={"token": token, "decision": "accept", **words})
    assert answer.status_code == 422 and "decided on this candidate meanwhile" in answer.text and "still personal" in answer.text
    assert (store.read()[0].state, store.read()[0].reason) == ("rejected", "still personal")


def test_cases_come_only_from_what_was_accepted(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Nothing is accepted yet"):
        write_accepted(store, tmp_path / "cases")
    store.accept("name0", "subject-add", "add a hat", "加一顶帽子")
    assert write_accepted(store, tmp_path / "cases", TASK_SIZES) == {"subject-add": 1}
    assert [case.instruction for case in read_cases(str(tmp_path / "cases"))] == ["加一顶帽子", "add a hat"]
    with pytest.raises(UsageError, match="is not empty"):
        write_accepted(store, tmp_path / "cases")


def test_wrong_places_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "build", "review", str(tmp_path)]) == 2
    assert "holds no review" in capsys.readouterr().err
    assert run(["bench", "build", "collect", str(tmp_path), "--out", str(tmp_path / "x")]) == 2
    assert "--public" in capsys.readouterr().err
    place = [str(tmp_path), "--out", str(tmp_path / "x"), "--own-pictures"]
    assert run(["bench", "build", "collect", *place, "--tool", "similarity=clap"]) == 2
    assert "There is no similarity 'clap'" in capsys.readouterr().err
    (tmp_path / DATABASE).write_text("no database, but a longer text than a header")
    with pytest.raises(Step1XError, match="cannot be used as a database"):
        Store(tmp_path)
