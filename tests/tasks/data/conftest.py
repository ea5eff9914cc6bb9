"""Clean image data in which tests plant faults, short views of the report on them, and mirrors that serve digits."""

import gzip
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import stamina

from artifacts.storage.store import Store
from tasks.data import idx
from tasks.data.datasets import FILES, Source, Splits
from tasks.data.quality import DataReport, Problem
from tasks.data.schema import check_data
from tests.conftest import Arrays
from tests.tasks.data.mirror_server import Answer, Mirror

COUNT, CLASSES = 60, 3
NamedArrays = dict[str, np.ndarray]


def clean_arrays(seed: int = 0, ink: int = 1) -> NamedArrays:
    """Both splits: light strokes, of pixels in [ink, 255], in a dark frame; balanced labels; all images different."""
    rng = np.random.default_rng(seed)
    data: NamedArrays = {}
    for split in ("train", "test"):
        data[f"{split}_images"] = np.zeros((COUNT, 12, 12), np.uint8)
        data[f"{split}_images"][:, 1:-1, 1:-1] = rng.integers(ink, 256, (COUNT, 10, 10))
        data[f"{split}_labels"] = (np.arange(COUNT) % CLASSES).astype(np.uint8)
    return data


def report_on(data: NamedArrays, classes: int | None = CLASSES) -> DataReport:
    return check_data(**data, classes=classes)


def rules(problems: tuple[Problem, ...]) -> list[tuple[str, str]]:
    return [(problem.split, problem.check) for problem in problems]


def listed_images(report: DataReport) -> dict[str, tuple[int, ...]]:
    return {problem.check: problem.images for problem in (*report.errors, *report.warnings)}


@pytest.fixture
def few(digits: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """200 digits; none is a copy of another."""
    return digits[0][:200], digits[1][:200]


@pytest.fixture
def served(digits: Arrays) -> dict[str, bytes]:
    return {f"/{name}.gz": gzip.compress(idx.encode(array)) for name, array in zip(FILES, digits, strict=True)}


@pytest.fixture
def source(digits: Arrays) -> Source:
    digests = [hashlib.sha256(idx.encode(array)).hexdigest() for array in digits]
    return Source.model_validate({"name": "digits", "digests": digests})


@pytest.fixture
def mirror(served: dict[str, bytes]) -> Iterator[Callable[[Answer], Mirror]]:
    """Start a mirror that answers in a given way."""
    with ExitStack() as stack:

        def start(answer: Answer) -> Mirror:
            server = Mirror(served, answer)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return server

        yield start


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Three attempts, no pause between them."""
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture
def refused_port() -> str:
    """A URL that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/"


def is_digits(splits: Splits, digits: Arrays, store: Store) -> bool:
    refs = (splits.train.images, splits.train.labels, splits.test.images, splits.test.labels)
    return all(np.array_equal(store.get(ref), array) for ref, array in zip(refs, digits, strict=True))


def leftovers(store: Store) -> list[Path]:
    return list((store.home / "tmp").iterdir())
