"""The page as people use it, in a real browser: from a picture dropped to the file taken home."""

from __future__ import annotations

import base64
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageColor
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

sys.path.insert(0, str(Path(__file__).parents[1]))

from browsing import CHROMIUM, DRIVER, open_browser, wait_for
from step1x_edit.serve.page_style import THEME
from step1x_edit.settings import read_settings

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromium-driver are not installed")

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")  # the canvas for masks draws with it


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes on its error stream."""
    return tmp_path_factory.mktemp("ui") / "stderr"


@contextmanager
def open_page(said: Path) -> Iterator[str]:
    """The address of a page of its own, which ends as with Ctrl-C."""
    command = [Path(sys.executable).with_name("step1x"), "ui", "--port", "0", "--no-browser", "--allow-host", "photos.example"]
    with said.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "Loading mini\n"
        line = process.stdout.readline()
        assert line.startswith("The page is at http://127.0.0.1:"), line
        yield line.split()[4].rstrip(";")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=200)


@pytest.fixture(scope="module")
def url(said: Path) -> Iterator[str]:
    with open_page(said) as address:
        yield address


@pytest.fixture
def driver(url: str, tmp_path: Path) -> Iterator[webdriver.Chrome]:
    with open_browser(tmp_path / "profile", 1280, 1500, WEBGL) as made:
        made.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path / "home")})
        made.get(url)
        for part in ("#upload input[type=file]", "#go", "#advanced button"):
            wait_for(made, lambda d, part=part: d.find_elements(By.CSS_SELECTOR, part))
        yield made


def drop(driver: webdriver.Chrome, path: Path) -> None:
    driver.find_element(By.CSS_SELECTOR, "#upload input[type=file]").send_keys(str(path))
    says(driver, "Now say what to change.")


def says(driver: webdriver.Chrome, words: str) -> None:
    wait_for(driver, lambda d: words in d.find_element(By.ID, "status").text)


def warns(driver: webdriver.Chrome, words: str) -> None:
    wait_for(driver, lambda d: any(words in each.text for each in d.find_elements(By.CSS_SELECTOR, ".toast-body")))


def ask(driver: webdriver.Chrome, words: str) -> None:
    box = driver.find_element(By.CSS_SELECTOR, "#instruction textarea")
    box.clear()
    box.send_keys(words)
    wait_for(driver, lambda d: d.find_element(By.ID, "go").is_enabled())
    driver.find_element(By.ID, "go").click()
    says(driver, f"“{words}”, ")


def choose(driver: webdriver.Chrome, name: str, value: int) -> None:
    box = wait_for(driver, lambda d: d.find_element(By.CSS_SELECTOR, f"#{name} input[type=number]"))
    box.clear()
    box.send_keys(f"{value}\t")


def begin_a_long_edit(driver: webdriver.Chrome) -> None:
    """Of a quarter of a minute, so that there is time to stop it."""
    driver.find_element(By.CSS_SELECTOR, "#advanced button").click()
    choose(driver, "steps", 60)
    choose(driver, "size", 256)
    driver.find_element(By.CSS_SELECTOR, "#instruction textarea").send_keys("make it night")
    driver.find_element(By.ID, "go").click()
    says(driver, " of 60, ")


def paint(driver: webdriver.Chrome) -> None:
    driver.find_element(By.CSS_SELECTOR, "#mask-fold button").click()
    canvas = wait_for(driver, lambda d: d.find_element(By.CSS_SELECTOR, "#canvas canvas"))
    wait_for(driver, lambda d: canvas.size["height"] > 100)
    time.sleep(2)  # the canvas says nowhere that it is ready
    stroke = ActionChains(driver).move_to_element_with_offset(canvas, -100, -40).click_and_hold()
    for _ in range(10):
        stroke.move_by_offset(14, 6)
    stroke.release().perform()


def take_home(driver: webdriver.Chrome, folder: Path) -> Path:
    driver.find_element(By.ID, "download").click()
    return wait_for(driver, lambda d: next((folder / "home").glob("*.png"), None))


def turns(driver: webdriver.Chrome) -> int:
    return len(driver.find_elements(By.CSS_SELECTOR, "#turns .grid-container img"))


def test_from_a_picture_to_the_file_taken_home(driver: webdriver.Chrome, url: str, tmp_path: Path) -> None:
    photo = PHOTOS / "roman-colosseum.jpg"
    drop(driver, photo)

    paint(driver)
    driver.find_element(By.CSS_SELECTOR, "#zoom input").click()
    choose(driver, "feather", 6)
    ask(driver, "make it black and white")
    assert len(driver.find_elements(By.CSS_SELECTOR, "#compare img")) == 2
    wait_for(driver, lambda d: turns(d) == 2)

    file = take_home(driver, tmp_path)
    settings = read_settings(file)
    assert settings.options["instruction"] == "make it black and white" and settings.model == "mini" and settings.mask
    assert settings.options["zoom"] and settings.options["feather"] == 6
    with Image.open(file) as edited, Image.open(photo) as original:
        assert edited.size == original.size
        changed = np.abs(np.asarray(edited.convert("RGB"), np.int16) - np.asarray(original.convert("RGB"))).max(axis=2) > 0
    assert 0.005 < changed.mean() < 0.4, "only what was painted over has changed"

    ask(driver, "make it night")  # goes on from the result
    wait_for(driver, lambda d: turns(d) == 3)
    driver.find_element(By.ID, "undo").click()
    says(driver, "“make it black and white”, ")
    driver.find_elements(By.CSS_SELECTOR, "#turns .thumbnail-item")[2].click()  # it was not lost
    says(driver, "“make it night”, ")
    driver.find_element(By.ID, "over").click()
    says(driver, "Now say what to change; the pictures made before stay until then.")
    ask(driver, "make it look like winter")
    wait_for(driver, lambda d: turns(d) == 2)

    sent = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = {m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"}
    assert [each for each in asked if each.startswith(("http", "ws")) and not each.startswith(url)] == []


def test_words_are_shown_as_they_are_and_the_enter_key_edits(driver: webdriver.Chrome, scene: Image.Image, tmp_path: Path) -> None:
    name = "![](//h.x/a)".encode("utf-16-be")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    own = "sRGB built-in".encode("utf-16-be")
    assert own in profile
    profile = (
        profile.replace(own, name.ljust(len(own), b"\0")).replace(b"rXYZ", b"?XYZ").replace(b"gXYZ", b"rXYZ").replace(b"?XYZ", b"gXYZ")
    )
    scene.save(tmp_path / "profile.jpg", icc_profile=profile)
    driver.find_element(By.CSS_SELECTOR, "#upload input[type=file]").send_keys(str(tmp_path / "profile.jpg"))
    says(driver, "Its colours were converted from ![](//h.x/a) to sRGB.")

    driver.find_element(By.CSS_SELECTOR, "#instruction textarea").send_keys("make *it* <b>night</b>", Keys.ENTER)
    says(driver, "“make *it* <b>night</b>”, ")
    assert not driver.find_elements(By.CSS_SELECTOR, "#status img, #status b")

    driver.find_element(By.CSS_SELECTOR, "#instruction textarea").send_keys("make it night, and " * 60 + "warm", Keys.ENTER)
    says(driver, "longer than mini reads, and its end was left out")


def test_the_words_on_buttons_can_be_read() -> None:
    def light(channel: int) -> float:
        value = channel / 255
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    def luminance(name: str, dark: bool) -> float:
        while hasattr(THEME, name):
            name = ((dark and getattr(THEME, f"{name}_dark", None)) or getattr(THEME, name)).removeprefix("*")
        red, green, blue = (light(channel) for channel in ImageColor.getrgb(name)[:3])
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    pairs = [("button_primary_text_color", f"button_primary_background_fill{kind}") for kind in ("", "_hover")]
    pairs += [(f"block_{part}_text_color", f"block_{part}_background_fill") for part in ("label", "title")]
    pairs += [(text, "body_background_fill") for text in ("body_text_color_subdued", "block_info_text_color")]
    for (text, ground), dark in itertools.product(pairs, (False, True)):
        darker, lighter = sorted((luminance(text, dark), luminance(ground, dark)))
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, f"WCAG's ratio of contrast, level AA: {text} on {ground}"


def test_steps_are_shown_and_can_be_stopped(driver: webdriver.Chrome) -> None:
    drop(driver, PHOTOS / "coffee.jpg")
    begin_a_long_edit(driver)
    driver.find_element(By.ID, "stop").click()
    says(driver, "Stopped.")
    assert turns(driver) == 0
    wait_for(driver, lambda d: d.find_element(By.ID, "go").is_enabled())


def test_what_was_painted_outlasts_another_comparison_and_an_edit_that_is_stopped(driver: webdriver.Chrome, tmp_path: Path) -> None:
    drop(driver, PHOTOS / "coffee.jpg")
    paint(driver)
    before = driver.find_element(By.CSS_SELECTOR, "#compare img").get_attribute("src")
    driver.find_element(By.CSS_SELECTOR, "#first input").click()
    begin_a_long_edit(driver)
    assert not driver.find_element(By.CSS_SELECTOR, "#first input").is_enabled()
    driver.find_element(By.ID, "stop").click()
    says(driver, "Stopped.")
    wait_for(driver, lambda d: {each.get_attribute("src") for each in d.find_elements(By.CSS_SELECTOR, "#compare img")} == {before})
    choose(driver, "steps", 1)
    ask(driver, "make it black and white")
    wait_for(driver, lambda d: turns(d) == 2)
    assert read_settings(take_home(driver, tmp_path)).mask


def test_who_waits_for_another_is_told_so_and_can_give_up(driver: webdriver.Chrome, url: str) -> None:
    drop(driver, PHOTOS / "coffee.jpg")
    begin_a_long_edit(driver)
    first = driver.current_window_handle
    driver.switch_to.new_window("tab")
    driver.get(url)
    wait_for(driver, lambda d: d.find_elements(By.CSS_SELECTOR, "#upload input[type=file]"))
    drop(driver, PHOTOS / "chelsea.jpg")
    driver.find_element(By.CSS_SELECTOR, "#instruction textarea").send_keys("make it night")
    driver.find_element(By.ID, "go").click()
    says(driver, "Waiting for an edit that was asked for before")
    driver.find_element(By.ID, "stop").click()
    says(driver, "Stopped.")
    driver.switch_to.window(first)
    driver.find_element(By.ID, "stop").click()
    says(driver, "Stopped.")


def test_another_picture_takes_the_place_of_the_edit_in_progress(driver: webdriver.Chrome) -> None:
    drop(driver, PHOTOS / "coffee.jpg")
    begin_a_long_edit(driver)
    driver.find_element(By.CSS_SELECTOR, "#photos button.gallery-item").click()
    says(driver, "Now say what to change.")
    wait_for(driver, lambda d: d.find_element(By.ID, "go").is_enabled())
    says(driver, "Now say what to change.")
    choose(driver, "steps", 1)
    ask(driver, "make it black and white")
    wait_for(driver, lambda d: turns(d) == 2)


def test_the_command_ends_without_a_word_while_pages_are_open(tmp_path: Path) -> None:
    with open_browser(tmp_path / "profile") as driver, open_page(tmp_path / "stderr") as url:
        driver.get(url)
        wait_for(driver, lambda d: d.find_elements(By.CSS_SELECTOR, "#upload input[type=file]"))
        drop(driver, PHOTOS / "coffee.jpg")
    lines = (tmp_path / "stderr").read_text().splitlines()
    assert lines == ["step1x: Interrupted."]


def test_what_is_wrong_is_one_sentence(driver: webdriver.Chrome, said: Path, tmp_path: Path) -> None:
    driver.find_element(By.ID, "go").click()
    wait_for(driver, lambda d: "There is no picture yet" in d.find_element(By.CSS_SELECTOR, ".toast-body").text)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    driver.find_element(By.CSS_SELECTOR, "#upload input[type=file]").send_keys(str(broken))
    warns(driver, "The file is not a whole picture")
    drop(driver, PHOTOS / "coffee.jpg")
    driver.find_element(By.CSS_SELECTOR, "#advanced button").click()
    choose(driver, "seed", -1)
    driver.find_element(By.CSS_SELECTOR, "#instruction textarea").send_keys("make it night", Keys.ENTER)
    warns(driver, "The seed must lie between 0 and")
    assert "Traceback" not in said.read_text()


DROP_OVER = """
const [path, done] = arguments, box = document.querySelector("#upload img");
fetch(path).then((answer) => answer.blob()).then((blob) => {
  const carried = new DataTransfer();
  carried.items.add(new File([blob], "notes.png", { type: "image/png" }));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    box.dispatchEvent(new DragEvent(kind, { dataTransfer: carried, bubbles: true, cancelable: true }));
  }
  done();
});
"""


def test_a_file_that_is_no_picture_leaves_the_picture_and_its_turns(driver: webdriver.Chrome) -> None:
    drop(driver, PHOTOS / "coffee.jpg")
    ask(driver, "make it night")
    before = driver.find_element(By.CSS_SELECTOR, "#upload img").get_attribute("src")
    driver.execute_async_script(DROP_OVER, "data:text/plain,no%20picture")
    warns(driver, "The file is not a whole picture")
    wait_for(driver, lambda d: d.find_element(By.CSS_SELECTOR, "#upload img").get_property("naturalWidth") == 600)
    assert driver.find_element(By.CSS_SELECTOR, "#upload img").get_attribute("src") == before
    assert turns(driver) == 2
    ask(driver, "make it black and white")
    wait_for(driver, lambda d: turns(d) == 3)


def test_a_picture_of_a_kind_that_browsers_do_not_show_is_shown(driver: webdriver.Chrome, tmp_path: Path) -> None:
    with Image.open(PHOTOS / "coffee.jpg") as photo:
        photo.save(tmp_path / "coffee.tiff", exif=photo.getexif())
        width = photo.width
    drop(driver, tmp_path / "coffee.tiff")
    wait_for(driver, lambda d: d.find_element(By.CSS_SELECTOR, "#upload img").get_property("naturalWidth") == width)
    ask(driver, "make it night")
    wait_for(driver, lambda d: turns(d) == 2)
    with Image.open(take_home(driver, tmp_path)) as edited:
        assert edited.width == width


def test_a_file_of_a_kind_that_the_browser_does_not_know_is_for_the_server_to_judge(driver: webdriver.Chrome, tmp_path: Path) -> None:
    for name, picture in (("IMG_1.STRANGE", "coffee.jpg"), ("IMG_2.STRANGE", "chelsea.jpg")):
        (tmp_path / name).write_bytes((PHOTOS / picture).read_bytes())
    drop(driver, tmp_path / "IMG_1.STRANGE")
    ask(driver, "make it night")
    wait_for(driver, lambda d: turns(d) == 2)
    over = DROP_OVER.replace('"notes.png", { type: "image/png" }', '"IMG_2.STRANGE"')
    encoded = base64.b64encode((tmp_path / "IMG_2.STRANGE").read_bytes()).decode()
    driver.execute_async_script(over, f"data:application/octet-stream;base64,{encoded}")
    says(driver, "Now say what to change.")
    wait_for(driver, lambda d: turns(d) == 0)
    (tmp_path / "IMG_3.STRANGE").write_bytes(b"no picture")
    driver.find_element(By.CSS_SELECTOR, "#upload button[aria-label='Remove Image']").click()
    wait_for(driver, lambda d: not d.find_elements(By.CSS_SELECTOR, "#upload img"))
    driver.find_element(By.CSS_SELECTOR, "#upload input[type=file]").send_keys(str(tmp_path / "IMG_3.STRANGE"))
    warns(driver, "The file is not a whole picture")


def test_a_page_that_is_loaded_again_goes_on(driver: webdriver.Chrome, url: str) -> None:
    drop(driver, PHOTOS / "coffee.jpg")
    ask(driver, "make it night")
    time.sleep(4)  # nothing says that it is put on the shelf
    driver.refresh()
    says(driver, "“make it night”, ")
    assert turns(driver) == 2
    assert driver.find_element(By.CSS_SELECTOR, "#upload img").get_property("naturalWidth") == 600
    ask(driver, "make it black and white")
    wait_for(driver, lambda d: turns(d) == 3)
    driver.switch_to.new_window("tab")
    driver.get(url)
    wait_for(driver, lambda d: d.find_elements(By.CSS_SELECTOR, "#upload input[type=file]"))
    drop(driver, PHOTOS / "chelsea.jpg")
    assert turns(driver) == 0  # another tab has its own


def test_who_does_not_see_the_page_is_told_and_keys_move_the_seam(driver: webdriver.Chrome) -> None:
    examples = driver.find_elements(By.CSS_SELECTOR, "#photos button")
    wait_for(driver, lambda d: all(button.accessible_name for button in examples))
    assert "chelsea" in [button.accessible_name for button in examples]
    drop(driver, PHOTOS / "coffee.jpg")
    ask(driver, "把它变成黑白照片")
    assert driver.find_element(By.ID, "status").aria_role == "status"
    wait_for(driver, lambda d: turns(d) == 2)
    turn = driver.find_elements(By.CSS_SELECTOR, "#turns .thumbnail-item")[1]
    assert turn.accessible_name == "把它变成黑白照片, 2 of 2" and turn.get_attribute("lang") == "zh"
    assert turn.get_attribute("aria-current") == "true"
    assert [each.accessible_name for each in driver.find_elements(By.CSS_SELECTOR, "#compare img")] == ["Before", "After"]

    seam = driver.find_element(By.CSS_SELECTOR, "#compare [role=slider]")
    assert (seam.accessible_name, seam.get_attribute("aria-valuenow")) == ("Before and after", "50")
    seam.send_keys(Keys.ARROW_LEFT)
    wait_for(driver, lambda d: seam.get_attribute("aria-valuenow") == "45")
    assert "45%" in driver.find_elements(By.CSS_SELECTOR, "#compare img")[1].get_attribute("style")


def test_on_a_phone_nothing_is_cut_off(url: str, tmp_path: Path) -> None:
    with open_browser(tmp_path / "profile", 500, 900) as driver:  # the narrowest window that this browser has without a screen
        driver.get(url)
        wait_for(driver, lambda d: d.find_elements(By.CSS_SELECTOR, "#upload input[type=file]"))
        drop(driver, PHOTOS / "coffee.jpg")
        ask(driver, "make it night")
        assert driver.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_on_a_phone_the_result_comes_into_view_after_the_enter_key(driver: webdriver.Chrome) -> None:
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 380, "height": 500, "deviceScaleFactor": 2, "mobile": True})
    drop(driver, PHOTOS / "coffee.jpg")
    wait_for(driver, lambda d: d.find_element(By.ID, "compare").size["height"] > 100)
    driver.execute_script("scrollTo(0, 0)")
    driver.find_element(By.CSS_SELECTOR, "#instruction textarea").send_keys("make it night", Keys.ENTER)
    wait_for(driver, lambda d: d.execute_script("return document.querySelector('#compare').getBoundingClientRect().bottom <= innerHeight"))


def call(url: str, function: int, values: list[object], visitor: str = "stranger") -> dict[str, object]:
    """What an event of the page answers to whoever speaks to it without a browser."""
    with httpx.Client(base_url=url, timeout=60) as http:
        asked = {"data": values, "fn_index": function, "session_hash": visitor}
        assert http.post("/gradio_api/queue/join", json=asked).status_code == 200
        with http.stream("GET", "/gradio_api/queue/data", params={"session_hash": visitor}) as answer:
            for line in answer.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    return dict(message)
    raise AssertionError("the event was not answered")


def test_only_what_was_uploaded_is_read(url: str, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "private.png")
    names = [each["targets"] for each in httpx.get(f"{url}/config").json()["dependencies"]]
    (begin,) = (number for number, targets in enumerate(names) if [event for _, event in targets] == ["change"])
    for path in (tmp_path / "private.png", PHOTOS / "chelsea.jpg", Path("/etc/hostname")):
        for said in ({}, {"meta": {"_type": "gradio.FileData"}}, {"meta": {"_type": "gradio.FileData"}, "url": "/x"}):
            told = call(url, begin, [{"path": str(path), **said}, None, False])
            assert told["success"] is False and "not uploaded" in str(told["output"])
    roundabout = f"/tmp/gradio/../..{tmp_path}/private.png"
    assert call(url, begin, [{"path": roundabout}, None, False])["success"] is False
    assert "Nothing is fetched" in str(call(url, begin, [{"path": "http://127.0.0.1:1/a.png", **said}, None, False])["output"])
    for odd in ("a\0b", "x" * 5000, ""):
        assert "not uploaded" in str(call(url, begin, [{"path": odd}, None, False])["output"])
    assert call(url, begin, [{"path": None}, None, False])["success"] is True  # the picture is taken away
    with (tmp_path / "private.png").open("rb") as file:
        (uploaded,) = httpx.post(f"{url}/gradio_api/upload", files={"files": file}).json()
    assert call(url, begin, [{"path": uploaded, "meta": {"_type": "gradio.FileData"}}, None, False])["success"] is True


@pytest.mark.parametrize("way", ["file=http://example.com/x.png", "file=HTTPS:/example.com/x.png", "file%3Dhttp://example.com/x.png"])
def test_nothing_is_fetched_from_elsewhere(url: str, way: str) -> None:
    assert httpx.get(f"{url}/gradio_api/{way}").status_code == 403


def test_what_is_sent_is_bounded(url: str) -> None:
    asked = {"data": ["", False], "fn_index": 0, "session_hash": "x" * 70_000}
    assert httpx.post(f"{url}/gradio_api/queue/join", json=asked).status_code == 413
    assert httpx.post(f"{url}/gradio_api/queue/join", content=iter([b"{}"])).status_code == 413  # which does not say how long it is
    (canvas,) = (each["id"] for each in httpx.get(f"{url}/config").json()["components"] if each["type"] == "imageeditor")

    def paint(index: str, name: str = "one") -> int:
        form = {
            "fn_name": "accept_blobs",
            "component_id": str(canvas),
            "session_hash": "painter",
            "type": "layer",
            "index": index,
            "id": name,
        }
        return httpx.post(f"{url}/gradio_api/component_server", data=form, files={"file": b"painted"}).status_code

    assert [paint("0"), paint("99999999"), paint("0", "x" * 100)] == [200, 500, 500]


def test_visitors_without_a_key_do_not_share_a_shelf(url: str) -> None:
    """As those whose browser keeps nothing, or who come without one."""
    functions = {each["api_name"]: number for number, each in enumerate(httpx.get(f"{url}/config").json()["dependencies"])}
    begin, put, recall = (functions[name] for name in ("_begin", "put", "_recall"))
    with (PHOTOS / "chelsea.jpg").open("rb") as file:
        (mine,) = httpx.post(f"{url}/gradio_api/upload", files={"files": file}).json()
    call(url, begin, [{"path": mine}, None, False], "first")
    call(url, put, ["", None], "first")
    assert "chelsea" not in str(call(url, recall, ["", False], "second")["output"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example:7860"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"host": "PHOTOS.example", "origin": "https://photos.example"}, 200),
    ],
)
def test_pages_of_other_sites_are_kept_out(url: str, headers: dict[str, str], status: int) -> None:
    asked = {"data": ["key", False], "fn_index": 0, "session_hash": "elsewhere"}
    assert httpx.post(f"{url}/gradio_api/queue/join", json=asked, headers=headers).status_code == status
    assert httpx.get(url, headers={"sec-fetch-site": "cross-site"}).status_code == 200  # a link
