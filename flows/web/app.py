"""Which requests does the web app answer? Predictions for drawings, corrections, health and metrics."""

import base64
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from artifacts.errors import BadSource, DigitflowError
from flows.web.background import background_work
from flows.web.page import Page
from flows.web.request_guard import RequestGuard
from flows.web.schemas import Answer, Asked, Corrected, Drawing, Health, Kept
from tasks.data.images import GreyImage, decode
from tasks.monitoring.watch import Watch
from tasks.pictures.model_input import to_model_input
from tasks.prediction.champion_follower import ChampionFollower
from tasks.prediction.classifier import as_prediction
from tasks.registry.versions import Version
from tasks.retraining.incoming import feedback

MAX_PIXELS = 1 << 24
PATHS = ("/", "/predict", "/corrections", "/health", "/metrics")


class Metrics:
    """The Prometheus metrics of one app. Each app has its own, so that a process can have several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("digitflow_requests", "Answers", ["path", "status"], registry=self.registry)
        self.predictions = Counter("digitflow_predictions", "Images read", ["label"], registry=self.registry)
        self.seconds = Histogram("digitflow_prediction_seconds", "From file to answer", registry=self.registry)
        self.corrections = Counter("digitflow_corrections", "Corrections kept", registry=self.registry)
        self.version = Gauge("digitflow_model_version", "Version in use", ["dataset"], registry=self.registry)
        what = "Population stability index of the version's images of today, by statistic"
        self.drift = Gauge("digitflow_drift_index", what, ["statistic"], registry=self.registry)
        what = "Index above which it is drift"
        self.threshold = Gauge("digitflow_drift_threshold", what, ["statistic"], registry=self.registry)
        what = "Images that the version read today"
        self.images = Gauge("digitflow_drift_images", what, registry=self.registry)

    def count_answer(self, path: str, status: int) -> None:
        self.requests.labels(path if path in PATHS else "other", status).inc()

    def show(self, version: Version, watch: Watch) -> None:
        """Set the gauges: the version in use, and how far the images that it read today drifted."""
        self.version.labels(version.dataset).set(version.version)
        today = watch.today(version)
        self.images.set(today.images if today else 0)
        for gauge in (self.drift, self.threshold):
            gauge.clear()  # a new day, or another version, has no index yet
        for one in today.drift if today else ():
            self.drift.labels(one.statistic).set(one.index)
            self.threshold.labels(one.statistic).set(one.threshold)


def build_app(
    follower: ChampionFollower,
    home: Path,
    announce: Callable[[str], None],
    watch: Watch,
    *,
    unsure_below: float | None = None,
) -> FastAPI:
    """An app that follows the champion and hands corrections in. It calls `announce` with the name of each batch.

    `watch` counts what is read, but for drafts. Answers to requests that do not say it themselves are unsure below the
    probability `unsure_below`.
    """
    metrics = Metrics()
    lifespan = background_work(follower, home, announce, watch, metrics.show)
    app = FastAPI(title="digitflow", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_middleware(RequestGuard, count=metrics.count_answer)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False)
    _add_predictions(app, follower, metrics, watch, unsure_below=unsure_below)
    _add_corrections(app, follower, home, metrics)
    _add_status(app, follower, metrics)
    _answer_errors_as_json(app)
    return app


def _add_predictions(
    app: FastAPI, follower: ChampionFollower, metrics: Metrics, watch: Watch, *, unsure_below: float | None
) -> None:
    page = Page()

    @app.get("/")
    def index() -> HTMLResponse:
        return HTMLResponse(page.html, headers=page.headers)

    @app.post("/predict")
    def predict(drawing: Asked) -> Answer:
        version, classifier = follower.current
        with metrics.seconds.time():
            image = _model_input(drawing, version)
            row = classifier.predict(image.pixels[None])[0]
        wanted = unsure_below if drawing.unsure_below is None else drawing.unsure_below
        answer = _answer(version, image, row, wanted)
        metrics.predictions.labels(answer.label).inc()
        if not drawing.draft:
            watch.see(version, image.pixels, answer.label)
        return answer


def _add_corrections(app: FastAPI, follower: ChampionFollower, home: Path, metrics: Metrics) -> None:
    @app.post("/corrections", status_code=201)
    def correct(corrected: Corrected) -> Kept:
        version, _ = follower.current
        if corrected.label >= version.classes:
            raise BadSource(
                f"cannot be a {corrected.label}: the labels of {version.dataset} end at {version.classes - 1}"
            )
        image = _model_input(corrected, version)
        waiting = feedback.keep(image.pixels, corrected.label, version.dataset, home)
        metrics.corrections.inc()
        return Kept(label=corrected.label, waiting=waiting)


def _add_status(app: FastAPI, follower: ChampionFollower, metrics: Metrics) -> None:
    @app.get("/health")
    def health() -> Health:
        version, _ = follower.current
        return Health(
            status="degraded" if follower.trouble else "ok",
            model=version.version,
            dataset=version.dataset,
            classes=version.classes,
            class_names=list(version.class_names),
            trouble=follower.trouble,
        )

    @app.get("/metrics")
    def show_metrics() -> Response:
        return Response(generate_latest(metrics.registry), media_type="text/plain; version=0.0.4")


def _answer_errors_as_json(app: FastAPI) -> None:
    """Every error is an object with one member, `error`."""

    @app.exception_handler(RequestValidationError)
    def malformed(_: Request, error: RequestValidationError) -> Response:
        problems = [f"{'.'.join(p for p in e['loc'] if isinstance(p, str))}: {e['msg']}" for e in error.errors()]
        return JSONResponse({"error": "; ".join(problems)}, 422)

    @app.exception_handler(DigitflowError)
    def failed(_: Request, error: DigitflowError) -> Response:
        if isinstance(error, BadSource):
            return JSONResponse({"error": f"the picture {error}"}, 422)
        return JSONResponse({"error": str(error)}, 500)

    @app.exception_handler(HTTPException)
    def refused(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)


def _model_input(drawing: Drawing, version: Version) -> GreyImage:
    return to_model_input(decode(BytesIO(drawing.image), MAX_PIXELS), version.image_shape, version.conventions)


def _answer(version: Version, image: GreyImage, row: np.ndarray, unsure_below: float | None) -> Answer:
    prediction = as_prediction("", image, row, class_names=version.class_names)
    return Answer(
        **prediction.judged(unsure_below).model_dump(exclude={"image", "shape", "error"}),
        probabilities=row.tolist(),
        seen=base64.b64encode(image.pixels.tobytes()).decode(),
        shape=image.pixels.shape,
        model=version.version,
        dataset=version.dataset,
    )
