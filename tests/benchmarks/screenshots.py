"""Pictures of the pages that people see: a report, an experiment, the drawing page in each of its states, and the page
for programs, wide and narrow, light and dark.

    python -m tests.benchmarks.screenshots            # into screenshots/, which git ignores
    python -m tests.benchmarks.screenshots --readme   # also the README's picture, docs/report.png

It trains on the sample, in a home that it keeps there, so that the second time the cache answers. It needs chromium and
its driver, as Debian installs them.
"""

import argparse
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from tests.browser import SCHEMES, WIDTHS, browser, draw, photograph, show
from tests.command import ROOT, digitflow
from tests.flows.web.test_app import start

FOLDER = ROOT / "screenshots"
SEVEN = [(0.25, 0.25), (0.5, 0.23), (0.75, 0.25), (0.6, 0.5), (0.45, 0.8)]
TWO = [[(0.2, 0.3), (0.25, 0.7)], [(0.7, 0.3), (0.75, 0.7)]]
UNCLEAR = [(0.3, 0.2), (0.3, 0.5), (0.7, 0.5), (0.7, 0.2), (0.7, 0.8), (0.3, 0.8), (0.5, 0.4)]
README = (1200, 1090)
"""Width and height of the README's picture, from the top of a report."""


def answer(home: Path, *arguments: object) -> dict[str, Any]:
    """What a command says, as JSON. A model that the gate rejects is an answer too."""
    done = digitflow(*arguments, "--dataset", "mnist-sample", "--json", DIGITFLOW_HOME=str(home))
    if not done.stdout:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def take(page: Any, name: str, address: str, prepare: Callable[[Any], None] = lambda _: None) -> None:
    """Four pictures of a page, after `prepare` did something on it."""
    for width in WIDTHS:
        for scheme in SCHEMES:
            show(page, width, scheme)
            page.get(address)
            prepare(page)
            (FOLDER / f"{name}-{width}-{scheme}.png").write_bytes(photograph(page))


def wait_for(page: Any, name: str, text: str) -> None:
    """Wait until the element with that id of the drawing page says the text."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(page, 30).until(lambda _: text in page.find_element(By.ID, name).text)


def leave_empty(page: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(page, 30).until(lambda _: page.find_elements(By.CSS_SELECTOR, "#samples button"))


def draw_seven(page: Any) -> None:
    leave_empty(page)
    draw(page, SEVEN)
    wait_for(page, "status", "reads")


def correct_as_one(page: Any) -> None:
    from selenium.webdriver.common.by import By

    draw_seven(page)
    page.find_element(By.TAG_NAME, "body").send_keys("1")
    wait_for(page, "kept", "kept as a 1")


def draw_two(page: Any) -> None:
    leave_empty(page)
    for stroke in TWO:
        draw(page, stroke)
    wait_for(page, "status", "Two shapes")


def draw_unclear(page: Any) -> None:
    leave_empty(page)
    draw(page, UNCLEAR)
    wait_for(page, "status", "Unsure")


DRAWINGS = {
    "empty": leave_empty,
    "read": draw_seven,
    "corrected": correct_as_one,
    "two-shapes": draw_two,
    "unsure": draw_unclear,
}
"""The states of the drawing page that are shown."""


def compress(png: bytes) -> bytes:
    """The same picture in 128 colours."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(128).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readme", action="store_true", help="also write the README's picture")
    options = parser.parse_args()
    home = FOLDER / "home"
    answer(home, "train", "--recipe", "tutorial")
    report = answer(home, "train", "--recipe", "fast")["report"]
    few = ("--variants", "as is", "relu", "dropout", "dense layer", "--epochs", 4, "--seeds", 4, "--no-propose")
    experiment = answer(home, "experiment", *few)["report"]
    app = start(home)
    try:
        with tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as page:
            take(page, "report", Path(report).as_uri())
            take(page, "experiment", Path(experiment).as_uri())
            address = str(app.http.base_url)
            for name, prepare in DRAWINGS.items():
                take(page, f"drawing-{name}", address, prepare)
            take(page, "for-programs", f"{address}/docs")
            if options.readme:
                show(page, README[0], "light")
                page.get(Path(report).as_uri())
                (ROOT / "docs/report.png").write_bytes(compress(photograph(page, README[1])))
    finally:
        app.process.terminate()
        app.process.wait(timeout=30)
    print(*sorted(map(str, FOLDER.glob("*.png"))), sep="\n")


if __name__ == "__main__":
    main()
