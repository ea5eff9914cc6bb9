"""The web app classifies drawings, follows the champion, keeps corrections, and refuses requests of other pages."""

import base64
import html
import io
import json
import re
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import stamina
from PIL import Image

from artifacts.storage.store import Store
from flows.web.request_guard import MAX_BODY
from tasks.registry.registry import Registry
from tasks.registry.versions import Candidate, Package
from tasks.retraining.incoming import feedback
from tasks.retraining.incoming.batch_formats import read_batch
from tests.browser import browser, draw
from tests.command import COMMAND, digitflow, environment
from tests.pictures import mnist_sample

pytestmark = pytest.mark.prefect


@dataclass
class Served:
    home: Path
    process: subprocess.Popen[str]
    http: httpx.Client

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(timeout=30)


def start(home: Path, *options: str) -> Served:
    """`digitflow serve` on a free port."""
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", *options],
        env=environment(DIGITFLOW_HOME=str(home), PREFECT_API_URL=None),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "http://" in line, line
    threading.Thread(target=process.stderr.read, daemon=True).start()  # so that it never fills
    return Served(
        home, process, httpx.Client(base_url=next(word for word in line.split() if "http" in word), timeout=30)
    )


@pytest.fixture(scope="module")
def served(in_use: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("served") / "home"
    shutil.copytree(in_use, home)
    app = start(home)
    yield app
    assert app.end(signal.SIGINT) == 0


def png(image: np.ndarray) -> str:
    Image.fromarray(image).save(buffer := io.BytesIO(), "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture(scope="module")
def digit() -> np.ndarray:
    """A seven of mnist-sample."""
    images, labels = mnist_sample()
    return images[np.flatnonzero(labels == 7)[0]]


def test_predict_as_documented(served: Served, digit: np.ndarray, tmp_path: Path) -> None:
    """POST /predict gives what `digitflow predict` gives for the same file, and shows what the model saw."""
    answer = served.http.post("/predict", json={"image": png(digit)}).raise_for_status().json()
    Image.fromarray(digit).save(tmp_path / "seven.png")
    (row,) = json.loads(digitflow("predict", tmp_path / "seven.png", "--json", DIGITFLOW_HOME=str(served.home)).stdout)
    del row["image"]
    assert answer == answer | row and answer["label"] == 7
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-5) and len(answer["probabilities"]) == 10
    assert base64.b64decode(answer["seen"]) == digit.tobytes() and answer["shape"] == [28, 28]


def test_unsure_and_several(served: Served, digit: np.ndarray) -> None:
    """An answer is unsure below the probability that the request names; two digits are an error that says so."""
    told = [
        served.http.post("/predict", json={"image": png(digit)} | limit).json()["unsure"]
        for limit in ({}, {"unsure_below": 0}, {"unsure_below": 1})
    ]
    assert told == [None, False, True]
    two = np.pad(np.kron(np.hstack([digit, digit]), np.ones((5, 5), np.uint8)), 20)
    reply = served.http.post("/predict", json={"image": png(two)})
    assert reply.status_code == 422 and "2 separate shapes" in reply.json()["error"] and reply.json()["shapes"] == 2


def test_follows_the_champion(served: Served, digit: np.ndarray) -> None:
    """When another version becomes champion, the next answers are its own, without a restart."""
    registry, store = Registry(served.home), Store(served.home)
    before = registry.find()
    fields = {name: getattr(before, name) for name in Candidate.model_fields}
    other = Candidate(**fields | {"test": "0" * 64})
    made = registry.register(other, Package({}, np.zeros((1, 28, 28, 1), np.float32), {}), store)
    assert served.http.get("/health").json() == {
        **{"status": "ok", "model": before.version, "dataset": "mnist-sample", "recipe": "tutorial"},
        **{"accuracy": before.accuracy, "card": True, "classes": 10, "class_names": [], "unsure_below": 0.8},
        "trouble": "",
    }
    registry.promote(made, "to be followed", before.version)
    for attempt in stamina.retry_context(on=AssertionError, attempts=None, timeout=20, wait_max=0.5):
        with attempt:
            assert served.http.post("/predict", json={"image": png(digit)}).json()["model"] == made.version
            metrics = served.http.get("/metrics").text
            assert f'digitflow_model_version{{dataset="mnist-sample"}} {made.version}.0' in metrics


def test_counts_what_it_reads(in_use: Path, tmp_path: Path, received: list[Any]) -> None:
    """What is read is counted by day, but not drafts, and beside what others count; the metrics show it, drift is told
    once to the webhook, and no image is kept. What was read last is counted when the server ends."""
    home = shutil.copytree(in_use, tmp_path / "home", ignore=shutil.ignore_patterns("monitoring"))
    turned = mnist_sample()[0][::60, ::-1]
    np.save(tmp_path / "turned.npy", turned[:30])
    done = digitflow("predict", tmp_path / "turned.npy", "--output", tmp_path / "t.csv", DIGITFLOW_HOME=str(home))
    assert done.returncode == 0, done.stderr
    app = start(home)
    for image in turned[:9]:
        app.http.post("/predict", json={"image": png(image), "draft": True}).raise_for_status()
    for image in turned[30:80]:
        app.http.post("/predict", json={"image": png(image)}).raise_for_status()
    for attempt in stamina.retry_context(on=AssertionError, attempts=None, timeout=20, wait_max=0.5):
        with attempt:
            metrics = app.http.get("/metrics").text
            assert "\ndigitflow_drift_images 80.0" in metrics
    index, threshold = (
        float(re.findall(rf'^digitflow_drift_{name}{{statistic="slant"}} (.+)$', metrics, re.MULTILINE)[0])
        for name in ("index", "threshold")
    )
    assert index > threshold > 0.25
    app.http.post("/predict", json={"image": png(turned[80])}).raise_for_status()
    assert app.end(signal.SIGINT) == 0
    (day,) = json.loads(digitflow("drift", "--json", DIGITFLOW_HOME=str(home)).stdout)
    assert (day["dataset"], day["version"], day["images"], day["is_drift"]) == ("mnist-sample", 1, 81, True)
    kept = b"".join(path.read_bytes() for path in (home / "monitoring").rglob("*") if path.is_file())
    assert len(kept) < 64_000 and turned[40].tobytes() not in kept
    (told,) = received
    assert (told["event"], told["resource"]) == ("digitflow.drift.detected", "digitflow.model.mnist-sample")
    assert told["payload"].keys() == {"day", "dataset", "version", "images", "statistic", "index", "threshold"}
    assert told["payload"]["statistic"] == "slant" and told["payload"]["index"] > told["payload"]["threshold"]


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (400, {"Host": "rebound.example"}, b"{}"),
        (403, {"Origin": "http://evil.example"}, b"{}"),
        (403, {"Origin": "null"}, b"{}"),
        (403, {"Sec-Fetch-Site": "cross-site"}, b"{}"),
        (413, {}, b"x" * (MAX_BODY + 1)),
        (415, {"Content-Type": "text/plain"}, b"{}"),
        (415, {"Content-Type": "application/octet-stream"}, b"\x80\x04."),
        (422, {}, b"{"),
        (422, {}, b"{}"),
        (422, {}, b'{"image": "???", "label": 1}'),
        (422, {}, b'{"image": "/etc/passwd", "label": 1}'),
        (422, {}, json.dumps({"image": base64.b64encode(b"\x80\x04.").decode(), "label": 1}).encode()),
        (422, {}, b'{"image": "", "path": "/etc/passwd", "label": 1}'),
        (422, {}, b'{"image": "iVBORw0KGgo=", "label": true}'),
    ],
)
def test_refused(status: int, headers: dict[str, str], body: bytes, served: Served) -> None:
    """A request from another page or host, without JSON or a picture, or too large is refused, and nothing is kept."""
    for path in ("/predict", "/corrections"):
        reply = served.http.post(path, content=body, headers=JSON | headers)
        assert reply.status_code == status
        assert status == 400 or list(reply.json()) == ["error"]
    assert not feedback.waiting(served.home)


def test_body_without_a_length(served: Served) -> None:
    """A body that does not say how long it is is cut off at the same size."""
    reply = served.http.post("/predict", content=(b"x" * 65536 for _ in range(MAX_BODY // 65536 + 1)), headers=JSON)
    assert reply.status_code == 413


def test_page_needs_nothing_else(served: Served) -> None:
    """No page loads anything from elsewhere, and its policy forbids it; there are no other pages."""
    for path in ("/", "/docs", "/card"):
        page = served.http.get(path).raise_for_status()
        assert page.headers["content-security-policy"].startswith("default-src 'none'; ")
        loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=[\"']?(?!data:)([^\"'> ]+)", page.text)
        assert not loaded and "@import" not in page.text and ("<script" in page.text) == (path == "/")
    for path in ("/redoc", "/card/manifest.json", "/../pyproject.toml"):
        assert (served.http.get(path).status_code, list(served.http.get(path).json())) == (404, ["error"])


def test_examples_can_be_sent(served: Served) -> None:
    """Each command that the page for programs shows is answered, and it shows each request that the schema has."""
    page = html.unescape(served.http.get("/docs").text)
    commands = [shlex.split(line) for line in re.findall(r"<pre>(curl .+?)</pre>", page)]
    schema = served.http.get("/openapi.json").json()
    assert len(commands) == sum(map(len, schema["paths"].values())) >= 7
    number = 0
    for command in commands:
        done = subprocess.run(
            [*(word.replace("NUMBER", str(number)) for word in command), "--silent", "--fail-with-body"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (command, done.stdout)
        if done.stdout.startswith('{"label":1,"number":'):
            number = json.loads(done.stdout)["number"]
    assert number and not feedback.waiting(served.home)


def test_samples(served: Served) -> None:
    """Each class has a sample, which can be sent as it is and is read as the class that it shows."""
    samples = served.http.get("/samples").json()
    read = [served.http.post("/predict", json={"image": one["image"]}).json()["label"] for one in samples]
    shown = [one["label"] for one in samples]
    assert shown == list(range(10)) and [one["name"] for one in samples] == [str(label) for label in shown]
    assert sum(a == b for a, b in zip(read, shown, strict=True)) >= 8


def test_corrections(in_use: Path, tmp_path: Path, digit: np.ndarray) -> None:
    """A correction survives kill -9 at once; the server that is stopped in order hands it in, as the model saw it."""
    shutil.copytree(in_use, tmp_path / "home")
    app = start(tmp_path / "home")
    large = png(255 - np.kron(digit, np.ones((5, 5), np.uint8)))
    seen = app.http.post("/predict", json={"image": large}).json()["seen"]
    assert app.http.post("/corrections", json={"image": large, "label": 10}).status_code == 422
    reply = app.http.post("/corrections", json={"image": large, "label": 1})
    assert reply.status_code == 201 and reply.json() == reply.json() | {"label": 1, "waiting": 1}
    wrong = app.http.post("/corrections", json={"image": large, "label": 4}).json()
    assert wrong["waiting"] == 2
    away = f"/corrections/{wrong['number']}"
    assert app.http.delete(away).status_code == 415
    assert app.http.delete(away, headers=JSON | {"Origin": "http://evil.example"}).status_code == 403
    assert app.http.delete(away, headers=JSON).json() == {"waiting": 1}
    assert app.http.delete(away, headers=JSON).status_code == 409
    app.end(signal.SIGKILL)
    assert [row["state"] for row in batches(app.home)] == ["collecting"]
    app = start(tmp_path / "home")
    assert app.http.post("/corrections", json={"image": png(digit), "label": 7}).json()["waiting"] == 2
    assert app.end(signal.SIGTERM) == -signal.SIGTERM  # raised again after all is done
    assert [row["state"] for row in batches(app.home)] == ["waiting"]
    (placed,) = (app.home / "inbox").glob("*.npz")
    images, labels = read_batch(placed, Store(app.home), 10**6)
    assert labels.tolist() == [1, 7] and images[0].tobytes() == base64.b64decode(seen)


def batches(home: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(digitflow("data", "--json", DIGITFLOW_HOME=str(home)).stdout)
    return rows


@pytest.mark.browser
def test_draw_a_seven(in_use: Path, tmp_path: Path) -> None:
    """Drawn in a real browser, a seven is read as 7, with ten bars; corrected, it is in the inbox. Although it is read
    while it is drawn, it is counted once, when it is cleared."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    shutil.copytree(in_use, tmp_path / "home", ignore=shutil.ignore_patterns("monitoring"))
    app = start(tmp_path / "home")
    with browser(tmp_path / "profile") as page:
        page.get(str(app.http.base_url))
        draw(page, [(0.25, 0.25), (0.5, 0.23), (0.75, 0.25), (0.6, 0.5), (0.45, 0.8)])
        wait = WebDriverWait(page, 20)
        wait.until(lambda _: "reads 7" in page.find_element(By.ID, "status").text)
        assert page.find_element(By.ID, "digit").text == "7"
        bars = page.find_elements(By.CSS_SELECTOR, "#bars .bar")
        assert len(bars) == 10 and max(bars, key=lambda bar: bar.size["width"]) == bars[7]
        page.find_elements(By.CSS_SELECTOR, "#labels button")[1].click()
        wait.until(lambda _: "kept as a 1" in page.find_element(By.ID, "kept").text)
        page.find_element(By.ID, "clear").click()
        assert page.find_element(By.ID, "digit").text == "–"
        wait.until(lambda _: "\ndigitflow_drift_images 1.0" in app.http.get("/metrics").text)
        assert page.get_log("browser") == []
    assert app.end(signal.SIGINT) == 0
    (placed,) = (app.home / "inbox").glob("*.npz")
    images, labels = read_batch(placed, Store(app.home), 10**6)
    assert images.shape == (1, 28, 28) and images.max() == 255 and labels.tolist() == [1]


@pytest.mark.browser
def test_named_classes_on_the_page(in_use: Path, tmp_path: Path) -> None:
    """Where classes have names, bars, buttons, the reading and the correction show them, as texts and not as HTML."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    shutil.copytree(in_use, tmp_path / "home")
    registry, store = Registry(tmp_path / "home"), Store(tmp_path / "home")
    before = registry.find()
    names = ("<b>nil</b>", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    fields = {name: getattr(before, name) for name in Candidate.model_fields}
    named = Candidate(**fields | {"class_names": names, "dataset": "words"})
    made = registry.register(named, Package({}, np.zeros((1, 28, 28, 1), np.float32), {}), store)
    registry.promote(made, "to be shown", None)
    app = start(tmp_path / "home", "--dataset", "words")
    with browser(tmp_path / "profile") as page:
        page.get(str(app.http.base_url))
        wait = WebDriverWait(page, 20)
        wait.until(lambda _: "words" in page.find_element(By.ID, "model").text)
        assert [button.text for button in page.find_elements(By.CSS_SELECTOR, "#labels button")] == list(names)
        shown = [row.text for row in page.find_elements(By.CSS_SELECTOR, "#bars li > :first-child")]
        assert shown == list(names)
        draw(page, [(0.25, 0.25), (0.5, 0.23), (0.75, 0.25), (0.6, 0.5), (0.45, 0.8)])
        wait.until(lambda _: "reads seven" in page.find_element(By.ID, "status").text)
        page.find_elements(By.CSS_SELECTOR, "#labels button")[1].click()
        wait.until(lambda _: "kept as one" in page.find_element(By.ID, "kept").text)
        assert page.get_log("browser") == []
    assert app.end(signal.SIGINT) == 0
