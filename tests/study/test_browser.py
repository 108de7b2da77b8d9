"""The pages in a real browser: zoom and slider, what was filled in after a reload, a phone's width, and nobody else's server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from study_material import make_results
from study_server import Server

from browsing import CHROMIUM, DRIVER, open_browser, wait_for

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromium-driver are not installed")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A browser before its first comparison, in Chinese."""
    folder = tmp_path_factory.mktemp("browser")
    make_results(folder, ["one", "two", "three"], cases_per_task=1, languages=("en", "cn"))
    server = Server(folder, "--cases-per-person", "3", "--checks", "1", "--repeats", "0")
    with open_browser(folder / "profile") as driver:
        driver.get(f"{server.url}/?language=cn")
        driver.find_element(By.NAME, "consent").click()
        driver.find_element(By.CSS_SELECTOR, "form .button").click()
        wait_for(driver, lambda driver: driver.current_url.endswith("/welcome"))
        driver.get(f"{server.url}/compare")
        wait_for(driver, lambda driver: driver.find_elements(By.ID, "ballot"))
        yield driver
    server.stop()


def press(driver: webdriver.Chrome, *keys: str) -> None:
    ActionChains(driver, duration=0).send_keys(*keys).perform()


def ask(driver: webdriver.Chrome, question: str) -> object:
    return driver.execute_script(f"return {question}")


def test_keys_open_slider_and_zoom(driver: webdriver.Chrome) -> None:
    press(driver, "b", "x")
    assert ask(driver, "document.querySelector('#result-B .frame').classList.contains('sliding')")
    assert ask(driver, "getComputedStyle(document.querySelector('#result-B .before-layer')).clipPath") == "inset(0px 50% 0px 0px)"
    press(driver, "x")
    assert ask(driver, "document.querySelector('#result-B .slide').hidden")
    press(driver, "z")
    assert ask(driver, "document.getElementById('zoom').open && document.getElementById('zoom-letter').textContent") == "B"
    press(driver, Keys.ARROW_RIGHT, "+")
    assert ask(driver, "document.getElementById('zoom-letter').textContent") == "C"
    assert "scale(1.5)" in str(ask(driver, "document.querySelector('.zoom-stage .after').style.transform"))
    press(driver, Keys.ESCAPE)
    assert not ask(driver, "document.getElementById('zoom').open")


def test_the_page_says_what_is_missing_and_sends_nothing_yet(driver: webdriver.Chrome) -> None:
    press(driver, "a", "5", "0", "r")
    ActionChains(driver, duration=0).key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()
    assert ask(driver, "document.getElementById('ballot').dataset.position") == "1"
    status = str(ask(driver, "document.getElementById('status').textContent"))
    assert "B C" in status and "A" not in status.replace("A B", "")
    assert ask(driver, "document.querySelectorAll('.lacking').length") == 4
    assert ask(driver, "document.activeElement.name") == "overall_B"
    press(driver, "1", "6", "c", "1", "6")
    driver.find_element(By.ID, "next").send_keys(Keys.ENTER)
    assert ask(driver, "document.activeElement.dataset.letter") == "B" and ask(driver, "document.activeElement.className") == "chip"


FILLED = """
const rated = [...document.querySelectorAll("#ballot input:checked")].map((each) => each.name + each.value);
return [location.pathname, ...rated, ...[...document.querySelectorAll("#ballot select")].map((each) => each.value)];
"""


def test_what_was_filled_in_outlasts_a_reload_another_page_and_another_language(driver: webdriver.Chrome) -> None:
    def leave(go: Callable[[], None]) -> None:
        page = driver.find_element(By.TAG_NAME, "html")
        go()
        wait_for(driver, lambda driver: driver.find_element(By.TAG_NAME, "html") != page)
        wait_for(driver, lambda driver: ask(driver, "document.readyState") == "complete")

    driver.get(_base(driver) + "/welcome")
    driver.get(_base(driver) + "/compare")
    press(driver, "a", "5", "0", "r", "b", "2", "r", "=")
    filled = driver.execute_script(FILLED)
    assert filled == ["/compare", "overall_A10", "identity_A10", "overall_B4", "1", "1", ""]
    leave(driver.refresh)
    assert driver.execute_script(FILLED) == filled
    for _ in range(2):
        before = ask(driver, "document.documentElement.lang")
        leave(driver.find_element(By.CSS_SELECTOR, "form[action='/language'] button").click)
        assert ask(driver, "document.documentElement.lang") != before
        assert driver.execute_script(FILLED) == filled
    leave(driver.refresh)
    assert driver.execute_script(FILLED) == filled
    leave(driver.find_element(By.CSS_SELECTOR, "a[href='/break']").click)
    leave(driver.back)
    assert driver.execute_script(FILLED) == filled


def test_a_phone_shows_the_page_without_sideways_scrolling(driver: webdriver.Chrome) -> None:
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        for path in ("/compare", "/welcome", "/break", "/privacy", "/delete"):
            driver.get(_base(driver) + path)
            assert ask(driver, "document.documentElement.scrollWidth <= 360"), path
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_colours_are_judged_before_the_same_ground_by_everyone(driver: webdriver.Chrome) -> None:
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    driver.execute_cdp_cmd("Emulation.setAutoDarkModeOverride", {"enabled": True})  # as of a telephone that darkens every page
    try:
        driver.get(_base(driver) + "/compare")
        with Image.open(BytesIO(driver.get_screenshot_as_png())) as screen:
            assert screen.convert("RGB").getpixel((4, 200)) == (0xEE, 0xEE, 0xEC)
    finally:
        driver.execute_cdp_cmd("Emulation.setAutoDarkModeOverride", {})
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_what_is_chosen_is_seen_where_the_colours_are_the_systems_own(driver: webdriver.Chrome) -> None:
    driver.get(_base(driver) + "/compare")
    press(driver, "a", "5", "0")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "forced-colors", "value": "active"}]})
    try:
        levels = driver.find_elements(By.CSS_SELECTOR, "#result-A [data-scale=overall] span")
        grounds = [level.value_of_css_property("background-color") for level in levels]
        assert len(set(grounds[:4])) == 1 and grounds[4] != grounds[0] and grounds[4] != "rgba(255, 255, 255, 1)"
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


BELOW = """
const deck = document.querySelector(".deck"), has = document.activeElement, at = has.getBoundingClientRect();
const there = document.elementFromPoint(at.left + at.width / 2, Math.min(innerHeight, at.bottom) - 3);
return !deck.contains(has) && deck.contains(there);
"""


@pytest.mark.parametrize(("width", "height"), [(640, 400), (640, 600)], ids=["enlarged", "a small window"])
def test_what_has_the_focus_is_not_below_the_order(driver: webdriver.Chrome, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        driver.get(_base(driver) + "/compare")
        wait_for(driver, lambda driver: driver.find_elements(By.CSS_SELECTOR, ".chip"))
        for _ in range(20):
            press(driver, Keys.TAB)
            assert not driver.execute_script(BELOW)
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_six_results_in_order_fit_on_a_phone_and_on_a_tablet(tmp_path: Path) -> None:
    make_results(tmp_path, ["one", "two", "three", "four", "five", "six"], cases_per_task=1)
    server = Server(tmp_path, "--cases-per-person", "1", "--checks", "0", "--repeats", "0", "--systems", "6")
    with open_browser(tmp_path / "profile") as driver:
        driver.get(f"{server.url}/?language=en")
        driver.find_element(By.NAME, "consent").click()
        driver.find_element(By.CSS_SELECTOR, "form .button").click()
        wait_for(driver, lambda driver: driver.current_url.endswith("/welcome"))
        for width in (320, 380, 820):
            metrics = {"width": width, "height": 760, "deviceScaleFactor": 1, "mobile": True}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            driver.get(f"{server.url}/welcome")
            driver.get(f"{server.url}/compare")
            for letter in "abcdef":
                assert ask(driver, "document.documentElement.scrollWidth") == width, letter
                press(driver, letter, "r")
            assert ask(driver, "document.documentElement.scrollWidth") == width
            chips = [chip.rect for chip in driver.find_elements(By.CSS_SELECTOR, ".rail > .chip")]
            assert len(chips) == 6 and all(chip["width"] >= 24 and chip["x"] + chip["width"] <= width for chip in chips)
    server.stop()


def test_nothing_comes_from_another_server(driver: webdriver.Chrome) -> None:
    driver.get(_base(driver) + "/compare")
    assert ask(driver, "performance.getEntriesByType('resource').length") >= 8
    assert ask(driver, "performance.getEntriesByType('resource').every((each) => new URL(each.name).origin === location.origin)")
    cookies = driver.get_cookies()
    assert [(cookie["name"][:6], cookie["httpOnly"]) for cookie in cookies] == [("study-", True)]
    assert ask(driver, "localStorage.length + sessionStorage.length") == 0 and ask(driver, "document.cookie") == ""


def test_the_browser_complained_of_nothing(driver: webdriver.Chrome) -> None:
    assert [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def _base(driver: webdriver.Chrome) -> str:
    return str(ask(driver, "location.origin"))
