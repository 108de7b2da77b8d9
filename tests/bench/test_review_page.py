"""The review page in a real browser: reword, accept, reject, and go on after the server was stopped."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from browsing import CHROMIUM, DRIVER, open_browser, wait_for, wait_for_text
from step1x_edit.bench.building.store import Candidate, Store

START = "import sys; from step1x_edit.cli.main import main; main(sys.argv[1:])"
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromium-driver are not installed")


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-c", START, "bench", "build", "review", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(found[0] for line in process.stdout if (found := re.search(r"http://\S+", line)))
        finally:
            process.kill()


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    with open_browser(tmp_path / "profile") as driver:
        yield driver


def test_a_review_from_the_first_to_the_last(driver: webdriver.Chrome, tmp_path: Path, scene: Image.Image) -> None:
    folder = tmp_path / "work"
    store = Store(folder, create=True)
    for number in range(2):
        scene.save(folder / "pictures" / f"name{number}.png")
        questions = ("Does the instruction fit the new picture?",)
        store.add(Candidate(number, f"name{number}", "open", "", "", "add […]", "加帽子", number, True, 0.8, ("face",), questions, "0"))
    with serve(folder) as url:
        driver.get(url)
        assert driver.execute_script("return document.querySelector('main img').naturalWidth") == 300
        assert "2 to look at" in driver.page_source and "fit the new picture" in driver.page_source
        driver.find_element(By.CSS_SELECTOR, "[value=accept]").click()
        assert wait_for(driver, lambda driver: driver.find_element(By.CSS_SELECTOR, "[role=alert]").text) == "Choose a task first."
        Select(driver.find_element(By.ID, "task")).select_by_value("subject-add")
        english = driver.find_element(By.ID, "english")
        english.clear()
        english.send_keys("add a hat")
        driver.find_element(By.CSS_SELECTOR, "[value=accept]").click()
        wait_for_text(driver, "1 to look at, 1 accepted")
    with serve(folder) as url:  # after a kill
        driver.get(url)
        assert "1 to look at, 1 accepted" in driver.page_source
        Select(driver.find_element(By.ID, "reason")).select_by_visible_text("unclear")
        driver.find_element(By.CSS_SELECTOR, "[value=reject]").click()
        wait_for_text(driver, "Nothing is left to look at")
    found = [(each.state, each.reason, each.english) for each in store.read()]
    assert found == [("accepted", "", "add a hat"), ("rejected", "unclear", "add […]")]
    assert [
        entry
        for entry in driver.get_log("browser")
        if entry["level"] == "SEVERE" and "422" not in entry["message"] and "favicon" not in entry["message"]
    ] == []
