"""A real browser for the tests of pages and for screenshots: Debian's chromium, without a window."""

import base64
import shutil
from pathlib import Path
from typing import Any

WIDTHS = (1200, 390)
"""Of a window on a desk and of a telephone, in CSS pixels."""
SCHEMES = ("light", "dark")


def browser(profile: Path) -> Any:
    """A new browser, which ends with its context. It keeps what pages log."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (
        *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"),
        *("disable-component-update", "disable-sync", "hide-scrollbars", f"user-data-dir={profile}"),
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))


def show(page: Any, width: int, scheme: str, height: int = 900) -> None:
    """Make the window so wide, in CSS pixels, and let the reader prefer the scheme "light" or "dark"."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    preference = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": preference})


def photograph(page: Any, height: int | None = None) -> bytes:
    """The page from its top as PNG: all of it, or so many CSS pixels."""
    size = page.execute_cdp_cmd("Page.getLayoutMetrics", {})
    clip = {"x": 0, "y": 0, "scale": 1, "width": size["cssLayoutViewport"]["clientWidth"]}
    clip["height"] = height or size["cssContentSize"]["height"]
    request = {"captureBeyondViewport": True, "clip": clip}
    return base64.b64decode(page.execute_cdp_cmd("Page.captureScreenshot", request)["data"])


def draw(page: Any, points: list[tuple[float, float]]) -> None:
    """Move the pressed mouse through points of the web app's board, in shares of its side."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    board = page.find_element(By.ID, "board")
    hand = ActionChains(page, duration=20)
    for i, point in enumerate(points):
        hand.move_to_element_with_offset(board, *(int((share - 0.5) * board.size["width"]) for share in point))
        if i == 0:
            hand.click_and_hold()
    hand.release().perform()
