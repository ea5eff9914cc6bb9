"""The drawing page in a real browser: strokes, pictures, samples and corrections, and taking them back."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tasks.retraining.incoming import feedback
from tests.browser import SCHEMES, WIDTHS, browser, draw, show
from tests.flows.web.test_app import Served, png, served

__all__ = ["served"]
pytestmark = [pytest.mark.browser, pytest.mark.prefect]
SEVEN = [(0.25, 0.25), (0.5, 0.23), (0.75, 0.25), (0.6, 0.5), (0.45, 0.8)]
BOARD = "return board.toDataURL()"


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser(tmp_path_factory.mktemp("profile")) as window:
        yield window


@pytest.fixture
def page(window: Any, served: Served) -> Any:
    """The page as it opens, with its samples."""
    show(window, WIDTHS[0], "light")
    window.get(str(served.http.base_url))
    until(window, lambda: find(window, "#samples button"))
    return window


def until(page: Any, condition: Callable[[], object]) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(page, 60).until(lambda _: condition())


def find(page: Any, selector: str) -> list[Any]:
    from selenium.webdriver.common.by import By

    found: list[Any] = page.find_elements(By.CSS_SELECTOR, selector)
    return found


def click(page: Any, selector: str, place: int = 0) -> None:
    find(page, selector)[place].click()


def press(page: Any, *keys: str) -> None:
    find(page, "body")[0].send_keys(*keys)


def says(page: Any, name: str, text: str) -> None:
    """Wait until the element with that id says the text."""
    until(page, lambda: text in find(page, f"#{name}")[0].text.replace("\xa0", " "))


def test_strokes_are_undone(page: Any) -> None:
    """Undo and Ctrl-Z take the last stroke away, bring back what was cleared, and end at the empty board."""
    from selenium.webdriver.common.keys import Keys

    empty = page.execute_script(BOARD)
    assert "Draw here" in find(page, "#hint")[0].text
    draw(page, SEVEN)
    says(page, "status", "It reads 7.")
    assert not find(page, "#hint")[0].is_displayed()
    seven = page.execute_script(BOARD)
    draw(page, [(0.1, 0.9), (0.2, 0.9)])
    assert page.execute_script(BOARD) != seven
    click(page, "#undo")
    assert page.execute_script(BOARD) == seven
    press(page, Keys.ESCAPE)
    says(page, "status", "Nothing is drawn yet.")
    press(page, Keys.CONTROL, "z")
    assert page.execute_script(BOARD) == seven
    says(page, "status", "It reads 7.")
    press(page, Keys.CONTROL, "z")
    assert page.execute_script(BOARD) == empty and not find(page, "#undo")[0].is_enabled()


def test_corrections_are_undone(page: Any, served: Served) -> None:
    """A digit's key corrects, another digit takes its place, and Ctrl-Z takes it out of the database; so does the
    button, unless it is in a batch: then the page says so. What the model reads, and is sure of, is no correction."""
    from selenium.webdriver.common.keys import Keys

    def kept() -> int:
        return sum(entry.corrections for entry in feedback.waiting(served.home))

    draw(page, SEVEN)
    says(page, "status", "It reads 7.")
    press(page, "7")
    says(page, "kept", "It reads 7 already: nothing to correct.")
    assert kept() == 0
    press(page, "1")
    says(page, "kept", "kept as a 1. 1 correction waits")
    click(page, "#labels button", 4)
    says(page, "kept", "kept as a 4. 1 correction waits")
    assert [button.text for button in find(page, "#labels [aria-pressed=true]")] == ["4"] and kept() == 1
    press(page, Keys.CONTROL, "z")
    says(page, "kept", "Taken back.")
    assert kept() == 0 and not find(page, "#labels [aria-pressed=true]")
    press(page, "1")
    says(page, "kept", "kept as a 1")
    feedback.hand_in(served.home)
    click(page, "#back")
    says(page, "kept", "Not taken back: it was taken back before, or is in a batch already")


def test_says_what_it_cannot_know(page: Any) -> None:
    """Two shapes and an answer below the limit are said in words, and no probability is shown as certain."""
    draw(page, [(0.2, 0.3), (0.25, 0.7)])
    draw(page, [(0.7, 0.3), (0.75, 0.7)])
    says(page, "status", "Two shapes.")
    assert find(page, "#correct:disabled")
    click(page, "#clear")
    page.execute_script("unsureBelow = 1")
    draw(page, SEVEN)
    says(page, "status", "Unsure.\nPerhaps it is 7")
    assert find(page, "#digit")[0].text == "?"
    for share in (1, 0.99999, 0.9995, 0.9991, 0.9989):
        for name in ("percent", "short"):
            assert "100" not in page.execute_script(f"return {name}({share})"), share


TRANSFER = """
const bytes = Uint8Array.from(atob(arguments[1]), each => each.charCodeAt(0)), transfer = new DataTransfer();
if (arguments[1]) transfer.items.add(new File([bytes], "a.png", {type: "image/png"}));
document.body.dispatchEvent(arguments[0] === "paste"
  ? new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true})
  : new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
"""


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_pictures_are_pasted_and_dropped(way: str, page: Any, served: Served) -> None:
    """A picture that is pasted or dropped is read, what is none is refused in words, and one that is too large is not
    sent."""
    sample = served.http.get("/samples").json()[7]["image"]
    page.execute_script(TRANSFER, way, sample)
    says(page, "status", "It reads 7.")
    page.execute_script(TRANSFER, way, "")
    says(page, "status", "Not read:\nthat is no picture")
    page.execute_script(TRANSFER, way, base64.b64encode(b"no picture").decode())
    says(page, "status", "image")
    large = np.random.default_rng(0).integers(0, 256, (2600, 2600), np.uint8)
    page.execute_script(TRANSFER, way, png(large))
    says(page, "status", "the picture has 6.8 MB; give one of at most 6.3 MB")


def test_samples_take_no_correction(page: Any, served: Served) -> None:
    """A sample is read with the keyboard alone; as it is a test image, it takes no correction and does not count."""
    from selenium.webdriver.common.keys import Keys

    sample = find(page, "#samples button")[7]
    assert sample.accessible_name == "Test image of 7"
    sample.send_keys(Keys.ENTER)
    says(page, "status", "It reads 7.")
    says(page, "kept", "This test image shows 7.")
    press(page, "1")
    assert find(page, "#correct:disabled") and not feedback.waiting(served.home)


def test_drawn_with_a_finger(page: Any) -> None:
    """Touch draws as a mouse does."""
    box = find(page, "#board")[0].rect
    points = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for x, y in SEVEN]
    for kind, at in (("touchStart", points[:1]), *(("touchMove", [point]) for point in points[1:]), ("touchEnd", [])):
        page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
    says(page, "status", "It reads 7.")


def test_says_which_model_it_is(page: Any, served: Served) -> None:
    """The page says which version reads, how good it is, and leads to its report and to the page for programs."""
    accuracy = served.http.get("/health").json()["accuracy"]
    says(page, "model", f"of mnist-sample, recipe tutorial, reads {accuracy:.1%}")
    for selector, title in (("#card", "mnist-sample: "), ("footer a", "For programs")):
        click(page, selector)
        until(page, lambda title=title: page.title.startswith(title))  # type: ignore[misc]
        page.back()


def test_axe_finds_nothing(page: Any, served: Served) -> None:
    """Empty, corrected, with two shapes and with a sample, wide and narrow, light and dark, axe finds no broken rule,
    and nothing is wider than the window; nor on the page for programs."""
    from axe_core_python.selenium import Axe

    def look(state: str) -> None:
        broken = Axe().run(page)["violations"]
        assert not broken, (state, [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in broken])
        assert page.execute_script("return document.documentElement.scrollWidth") == width

    for width in WIDTHS:
        for scheme in SCHEMES:
            show(page, width, scheme)
            page.get(str(served.http.base_url))
            until(page, lambda: find(page, "#samples button"))
            look("empty")
            draw(page, SEVEN)
            says(page, "status", "It reads 7.")
            press(page, "1")
            says(page, "kept", "kept as a 1")
            look("corrected")
            click(page, "#back")
            says(page, "kept", "Taken back.")
            click(page, "#clear")
            draw(page, [(0.2, 0.3), (0.25, 0.7)])
            draw(page, [(0.7, 0.3), (0.75, 0.7)])
            says(page, "status", "Two shapes.")
            look("two shapes")
            click(page, "#samples button", 2)
            says(page, "kept", "This test image shows 2.")
            look("sample")
            page.get(f"{served.http.base_url}/docs")
            look("for programs")
