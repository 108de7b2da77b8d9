"""Simulated people in a real browser: they look at the pictures on the screen, and answer with the keyboard or with the mouse."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import count

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from study_people import LETTERS, Opinion, quantise

from browsing import PATIENCE

LOOK = """
const done = arguments[0];
const pictures = [...document.querySelectorAll(".result .view img")];
const read = (picture) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(picture, 0, 0);
  let value = 0;
  for (let bit = 0; bit < 8; bit++) {
    const [r, g, b] = pen.getImageData(Math.floor(((bit + 0.5) * canvas.width) / 8), Math.floor(canvas.height / 16), 1, 1).data;
    if (r + g + b > 381) value += 1 << bit;
  }
  return value;
};
Promise.all(pictures.map((picture) => picture.decode())).then(() => done(pictures.map(read)), () => done(null));
"""
"""What the blocks of every result on the page say; see `study_material.look`."""


def rank(feelings: Sequence[float]) -> list[list[str]]:
    """Letters from best to worst; those felt nearly the same share a place. As in `study_people.fill_in`."""
    levels = [round(feeling / 0.7) for feeling in feelings]
    return [[LETTERS[i] for i, each in enumerate(levels) if each == level] for level in sorted(set(levels), reverse=True)]


def press_keys(driver: webdriver.Chrome, feelings: Sequence[float]) -> None:
    """Answer as somebody without a mouse does."""
    keys = []
    for letter, feeling in zip(LETTERS, feelings, strict=False):
        keys += [letter.lower(), str(quantise(feeling) // 2), str((5 + quantise(feeling + 1) // 2) % 10)]
    for group in rank(feelings):
        for place, letter in enumerate(group):
            keys += [letter.lower(), "r", *(["="] if place else [])]
    chain = ActionChains(driver, duration=0).send_keys("".join(keys))
    chain.key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()


def click(driver: webdriver.Chrome, feelings: Sequence[float]) -> None:
    """Answer with the mouse: ratings, then chips from best to worst, the first of them dragged, then the button."""

    def press(selector: str) -> None:
        element = driver.find_element(By.CSS_SELECTOR, selector)
        driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        ActionChains(driver, duration=0).click(element).perform()

    for letter, feeling in zip(LETTERS, feelings, strict=False):
        for scale, rating in (("overall", quantise(feeling)), ("identity", quantise(feeling + 1))):
            press(f"label:has(> [name={scale}_{letter}][value='{rating}'])")
    groups = rank(feelings)
    first = groups[0][0]
    chip = driver.find_element(By.CSS_SELECTOR, f".chip[data-letter={first}]")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", chip)
    hole = driver.find_element(By.CSS_SELECTOR, ".rail .hole")
    ActionChains(driver, duration=20).drag_and_drop(chip, hole).perform()
    for group in groups:
        for place, letter in enumerate(group):
            if letter != first:
                press(f".chip[data-letter={letter}]")
            if place:
                press(f".relation:has(+ .chip[data-letter={letter}])")
    press("#next")


def take_part(driver: webdriver.Chrome, url: str, opinion: Opinion, with_keys: bool = True) -> int:
    """Consent, and answer every comparison from the first to the last; returns how many there were."""
    wait = WebDriverWait(driver, PATIENCE, poll_frequency=0.05)
    driver.get(url)
    driver.find_element(By.NAME, "consent").click()
    driver.find_element(By.CSS_SELECTOR, "form .button").click()
    wait.until(lambda d: d.current_url.endswith("/welcome"))
    driver.find_element(By.CSS_SELECTOR, ".go .button").click()
    for answered in count():
        wait.until(partial(_is_ready, answered=answered))
        if not driver.find_elements(By.ID, "ballot"):
            return answered
        values = driver.execute_async_script(LOOK)
        assert values, "a picture did not load"
        (press_keys if with_keys else click)(driver, [opinion.feel(value) for value in values])
    raise AssertionError("the study never ends")


def _is_ready(driver: webdriver.Chrome, answered: int) -> bool:
    """Whether the next comparison, or the end, is on the screen."""
    return driver.execute_script(READY, str(answered + 1))


READY = """
const ballot = document.getElementById("ballot");
const arrived = ballot ? ballot.dataset.position === arguments[0] : document.querySelector(".mark") !== null;
return document.readyState === "complete" && arrived;
"""
