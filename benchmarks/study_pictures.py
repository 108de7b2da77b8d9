"""Draw the pictures of the study's pages in docs/pictures: four made-up systems edit the example photographs, a browser shows the pages.

    python benchmarks/study_pictures.py docs/pictures

Needs Debian's chromium and chromium-driver, and, for the Chinese page, a font such as fonts-noto-cjk.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps
from selenium import webdriver
from selenium.webdriver.common.by import By

PHOTOS = Path(__file__).parents[1] / "examples" / "photos"
CASES = {
    "lake-sherburne": ("tone_transfer", "Make it a warm evening, just before sunset", "把画面变成日落前的温暖傍晚"),
    "tea-gardens": ("tone_transfer", "Make it night", "改成夜晚"),
    "perched-osprey": ("style_change", "Turn it into a pencil drawing", "变成铅笔画"),
    "roman-colosseum": ("tone_transfer", "Make it look like an old photograph", "做成老照片的样子"),
    "astronaut": ("color_alter", "Make the suit blue", "把宇航服变成蓝色"),
    "blue-periwinkle": ("color_alter", "Make the flowers red", "把花变成红色"),
}
Edit = Callable[[Image.Image], Image.Image]


def tint(picture: Image.Image, colour: tuple[int, int, int], strength: float) -> Image.Image:
    """Pull all colours towards one, keeping light and dark."""
    return Image.blend(picture, ImageChops.soft_light(picture, Image.new("RGB", picture.size, colour)), strength)


SYSTEMS: dict[str, Edit] = {
    "north": lambda p: tint(ImageEnhance.Brightness(p).enhance(0.95), (255, 150, 40), 1.0),
    "east": lambda p: tint(ImageEnhance.Contrast(p).enhance(1.15), (250, 120, 90), 0.7),
    "south": lambda p: tint(p.filter(ImageFilter.GaussianBlur(2)), (255, 120, 0), 1.0),
    "west": lambda p: ImageEnhance.Color(ImageOps.mirror(p)).enhance(1.6),
}


def make_demo(folder: Path) -> list[Path]:
    """Result folders of the four systems, with instructions."""
    lines = []
    for key, (task, english, chinese) in CASES.items():
        source = Image.open(PHOTOS / f"{key}.jpg").convert("RGB")
        for language, words in (("en", english), ("cn", chinese)):
            lines.append({"task_type": task, "instruction_language": language, "key": key, "instruction": words})
            for name, edit in SYSTEMS.items():
                place = folder / name / "fullset" / task / language
                place.mkdir(parents=True, exist_ok=True)
                source.save(place / f"{key}_SRCIMG.png")
                edit(source).save(place / f"{key}.png")
    (folder / "cases.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return [folder / name for name in SYSTEMS]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The demo study, served; gives the address of its pages."""
    make_demo(folder)
    options = ["--cases-per-person", "4", "--checks", "1", "--repeats", "0", "--seed", "3", "--port", "0"]
    start = "import sys; from step1x_edit.cli.main import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", start, "study", "serve", str(folder), "--db", str(folder / "study.db"), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield next(line.split()[-1] for line in process.stdout if "http://" in line)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def browser(width: int, height: int, profile: Path, touch: bool = False) -> Iterator[webdriver.Chrome]:
    """A browser without a window."""
    options = webdriver.ChromeOptions()
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"):
        options.add_argument(flag)
    for flag in ("--disable-background-networking", "--disable-component-update", "--disable-sync", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    if touch:
        metrics = {"width": width, "height": height, "pixelRatio": 2.0, "touch": True}
        options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    options.binary_location = "/usr/bin/chromium"
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    try:
        if not touch:
            driver.set_window_size(width, height)
        yield driver
    finally:
        driver.quit()


def shoot(driver: webdriver.Chrome, target: Path) -> None:
    """Save what the browser shows, in 256 colours, so that the file stays small."""
    picture = Image.open(BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    picture.quantize(palette=picture.quantize(256, Image.Quantize.MAXCOVERAGE), dither=Image.Dither.FLOYDSTEINBERG).save(
        target, optimize=True
    )


def fill_in(driver: webdriver.Chrome, letters: str, levels: tuple[int, ...]) -> None:
    """Rate and rank as a person with the keyboard does."""
    body = driver.find_element(By.TAG_NAME, "body")
    for letter, level in zip(letters, levels, strict=True):
        body.send_keys(letter.lower())
        body.send_keys(str(level))
        body.send_keys(str(level + 5 if level < 5 else 0))
    for letter in sorted(letters, key=lambda each: -levels[letters.index(each)]):
        body.send_keys(letter.lower())
        body.send_keys("r")


def main(target: Path) -> None:
    """Draw all pictures."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with served(folder) as url:
            with browser(1440, 1000, folder / "wide") as driver:
                driver.get(url)
                shoot(driver, target / "study-consent.png")
                driver.find_element(By.NAME, "consent").click()
                driver.find_element(By.CSS_SELECTOR, "form .button").click()
                shoot(driver, target / "study-welcome.png")
                driver.find_element(By.CSS_SELECTOR, ".go .button").click()
                shoot(driver, target / "study-compare-empty.png")
                fill_in(driver, "ABCD", (4, 2, 5, 2))
                driver.find_element(By.CSS_SELECTOR, "#result-C [data-does=compare]").click()
                driver.execute_script("window.scrollTo(0, 0)")
                shoot(driver, target / "study-compare.png")
                driver.find_element(By.CSS_SELECTOR, "#result-A [data-does=zoom]").click()
                driver.execute_script(
                    "const r = document.querySelector('dialog .slide'); r.value = 45; r.dispatchEvent(new Event('input'))"
                )
                shoot(driver, target / "study-zoom.png")
                driver.find_element(By.CSS_SELECTOR, "[data-zoom=close]").click()
                driver.get(f"{url}/break")
                shoot(driver, target / "study-break.png")
            with browser(390, 844, folder / "phone", touch=True) as driver:
                driver.get(f"{url}/?language=cn")
                shoot(driver, target / "study-phone-consent.png")
                driver.find_element(By.NAME, "consent").click()
                driver.find_element(By.CSS_SELECTOR, "form .button").click()
                shoot(driver, target / "study-phone-welcome.png")
                driver.find_element(By.CSS_SELECTOR, ".go .button").click()
                shoot(driver, target / "study-phone.png")
                driver.find_element(By.CSS_SELECTOR, ".chip[data-letter=B]").click()
                driver.execute_script("document.getElementById('result-A').scrollIntoView()")
                shoot(driver, target / "study-phone-order.png")
                fill_in(driver, "ABCD", (4, 2, 5, 2))
                driver.execute_script("document.getElementById('result-B').scrollIntoView()")
                shoot(driver, target / "study-phone-rate.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
