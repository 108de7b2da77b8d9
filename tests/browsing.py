"""A real browser without a window, for every test that looks at a page."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
T = TypeVar("T")
PATIENCE = 200.0
"""Seconds that a page may take for anything."""


@contextmanager
def open_browser(profile: Path, width: int = 1280, height: int = 900, flags: Sequence[str] = ()) -> Iterator[webdriver.Chrome]:
    """A browser without a window, with nothing in it."""
    options = webdriver.ChromeOptions()
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    for flag in ("--disable-background-networking", "--disable-component-update", "--disable-sync", f"--user-data-dir={profile}", *flags):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.binary_location = CHROMIUM or ""
    service = webdriver.ChromeService(DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.set_window_size(width, height)
        driver.set_script_timeout(PATIENCE)
        yield driver
    finally:
        driver.quit()


def wait_for(driver: webdriver.Chrome, found: Callable[[webdriver.Chrome], T]) -> T:
    """What `found` returns once it is true; a click returns before the page that it leads to is there."""
    return WebDriverWait(driver, PATIENCE, poll_frequency=0.05, ignored_exceptions=[StaleElementReferenceException]).until(found)


def wait_for_text(driver: webdriver.Chrome, text: str) -> None:
    """Until the page says it."""
    wait_for(driver, lambda driver: text in driver.page_source)
