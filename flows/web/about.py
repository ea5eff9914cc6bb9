"""What can be asked about the model in use? How good it is, its report, samples to try it on, and the app's state."""

from functools import lru_cache
from pathlib import Path

from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse, Response
from prometheus_client import generate_latest

from artifacts.errors import DigitflowError
from artifacts.storage.home import RUNS
from artifacts.storage.settings import Settings
from flows.web.metrics import Metrics
from flows.web.page import CARD_HEADERS
from flows.web.schemas import Example, Health
from tasks.data.datasets import name_of
from tasks.prediction.champion_follower import ChampionFollower
from tasks.prediction.samples import choose_samples
from tasks.registry.registry import Registry
from tasks.registry.versions import Version
from tasks.reporting.thumbnails import data_url


def add_about(
    app: FastAPI, follower: ChampionFollower, settings: Settings, metrics: Metrics, *, unsure_below: float
) -> None:
    """Add the paths that say what the model in use is and how the app does."""
    registry, store = Registry(settings.home), settings.artifacts

    @lru_cache(maxsize=2)  # the champion's, and the next one's
    def examples(dataset: str, number: int) -> list[Example]:
        version = registry.find(number, dataset)
        return [
            Example(image=data_url(image).partition(",")[2], label=label, name=name_of(label, version.class_names))
            for image, label in choose_samples(version, registry, store)
        ]

    @app.get("/samples")
    def show_samples() -> list[Example]:
        """A test image of each of the first ten classes; none if the test images are not on this machine."""
        version, _ = follower.current
        try:
            return examples(version.dataset, version.version)
        except DigitflowError:
            return []

    @app.get("/card", response_class=HTMLResponse)
    def show_card() -> HTMLResponse:
        """The report of the model in use, as a page."""
        version, _ = follower.current
        path = card_of(version, settings.home)
        if path is None:
            raise HTTPException(404, f"the report of version {version.version} is not on this machine")
        return HTMLResponse(path.read_bytes(), headers=CARD_HEADERS)

    @app.get("/health")
    def health() -> Health:
        """Which model is in use, how good it is, and whether the app follows the registry."""
        version, _ = follower.current
        return Health(
            status="degraded" if follower.trouble else "ok",
            model=version.version,
            dataset=version.dataset,
            recipe=version.recipe,
            accuracy=version.accuracy,
            card=card_of(version, settings.home) is not None,
            classes=version.classes,
            class_names=list(version.class_names),
            unsure_below=unsure_below,
            trouble=follower.trouble,
        )

    @app.get("/metrics")
    def show_metrics() -> Response:
        """Counts and times for Prometheus, as its text."""
        return Response(generate_latest(metrics.registry), media_type="text/plain; version=0.0.4")


def card_of(version: Version, home: Path) -> Path | None:
    """The report of the run that trained a version; None if it is not below the home's runs."""
    runs = (home / RUNS).resolve()
    path = (runs / version.run / "report.html").resolve()  # the name comes from a registry that others may write
    return path if path.parent.parent == runs and path.is_file() else None
