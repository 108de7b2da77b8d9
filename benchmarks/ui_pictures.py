"""Draw the pictures of the page in docs/pictures: a browser opens `step1x ui`, drops an example photograph and edits it twice.

    python benchmarks/ui_pictures.py docs/pictures

Needs Debian's chromium and chromium-driver, and, for the Chinese instruction, a font such as fonts-noto-cjk.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from browsing import open_browser

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "examples" / "photos" / "lake-sherburne.jpg"
TURNS = ("make it look like a warm sunset", "把它变成黑白照片")
SIZES = {"ui-desktop": (1280, 1150), "ui-phone": (500, 1500)}


def edit(driver: webdriver.Chrome, url: str) -> None:
    """From the empty page to the second turn."""
    patience = WebDriverWait(driver, 120)
    driver.get(url)
    patience.until(lambda d: d.find_elements(By.CSS_SELECTOR, "#upload input[type=file]"))[0].send_keys(str(PHOTO))
    patience.until(lambda d: "Now say" in d.find_element(By.ID, "status").text)
    for words in TURNS:
        box = driver.find_element(By.CSS_SELECTOR, "#instruction textarea")
        box.clear()
        box.send_keys(words)
        patience.until(lambda d: d.find_element(By.ID, "go").is_enabled())
        driver.find_element(By.ID, "go").click()
        patience.until(lambda d, words=words: words in d.find_element(By.ID, "status").text)
    driver.execute_script("window.scrollTo(0, 0)")
    patience.until(lambda d: d.execute_script("return [...document.images].every((image) => image.complete)"))


def main() -> None:
    out = Path(sys.argv[1])
    command = [Path(sys.executable).with_name("step1x"), "ui", "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, tempfile.TemporaryDirectory() as folder:
        assert process.stdout is not None
        url = next(line.split()[4].rstrip(";") for line in process.stdout if line.startswith("The page is at"))
        for name, size in SIZES.items():
            with open_browser(Path(folder) / name, *size) as driver:
                edit(driver, url)
                picture = Image.open(BytesIO(driver.get_screenshot_as_png())).convert("RGB")
                picture.quantize(192, dither=Image.Dither.NONE).save(out / f"{name}.png", optimize=True)
                print(out / f"{name}.png")
        process.terminate()


if __name__ == "__main__":
    main()
