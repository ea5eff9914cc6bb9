"""Which requests does the web app answer? Predictions for drawings, corrections, pages, and questions of state."""

import base64
from collections.abc import Callable
from io import BytesIO
from pathlib import Path as Folder
from typing import Annotated

import numpy as np
from fastapi import FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from artifacts.errors import BadSource, DigitflowError, SeveralShapes
from artifacts.storage.settings import Settings
from flows.web.about import add_about
from flows.web.background import background_work
from flows.web.docs_page import docs_page
from flows.web.metrics import Metrics
from flows.web.page import drawing_page
from flows.web.request_guard import RequestGuard
from flows.web.schemas import Answer, Asked, Corrected, Drawing, Kept, Problem, TakenBack
from tasks.data.images import GreyImage, decode
from tasks.monitoring.watch import Watch
from tasks.pictures.model_input import to_model_input
from tasks.prediction.champion_follower import ChampionFollower
from tasks.prediction.classifier import as_prediction
from tasks.registry.versions import Version
from tasks.retraining.incoming import feedback

MAX_PIXELS = 1 << 24
UNSURE_BELOW = 0.8
"""Probability below which the page says that the model is unsure, unless the server was told another."""


def build_app(
    follower: ChampionFollower,
    settings: Settings,
    announce: Callable[[str], None],
    watch: Watch,
    *,
    unsure_below: float | None = None,
) -> FastAPI:
    """An app that follows the champion and hands corrections in. It calls `announce` with the name of each batch.

    `watch` counts what is read, but for drafts. Answers to requests that do not say it themselves are unsure below the
    probability `unsure_below`.
    """
    metrics, home = Metrics(), settings.home
    lifespan = background_work(follower, home, announce, watch, metrics.show)
    app = FastAPI(
        title="digitflow",
        docs_url=None,  # FastAPI's page loads scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        responses={"4XX": {"model": Problem, "description": "What is wrong with the request"}},
    )
    app.add_middleware(RequestGuard, count=metrics.count_answer)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False)
    _add_predictions(app, follower, metrics, watch, unsure_below=unsure_below)
    _add_corrections(app, follower, home, metrics)
    add_about(app, follower, settings, metrics, unsure_below=UNSURE_BELOW if unsure_below is None else unsure_below)
    _add_pages(app)
    _answer_errors_as_json(app)
    return app


def _add_predictions(
    app: FastAPI, follower: ChampionFollower, metrics: Metrics, watch: Watch, *, unsure_below: float | None
) -> None:
    @app.post("/predict")
    def predict(drawing: Asked) -> Answer:
        """What the model reads in a picture."""
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


def _add_corrections(app: FastAPI, follower: ChampionFollower, home: Folder, metrics: Metrics) -> None:
    @app.post("/corrections", status_code=201)
    def correct(corrected: Corrected) -> Kept:
        """Keep what a picture really shows, for the next training. It is on disk when the answer comes."""
        version, _ = follower.current
        if corrected.label >= version.classes:
            raise BadSource(
                f"cannot be a {corrected.label}: the labels of {version.dataset} end at {version.classes - 1}"
            )
        image = _model_input(corrected, version)
        kept = feedback.keep(image.pixels, corrected.label, version.dataset, home)
        metrics.corrections.inc()
        return Kept(label=corrected.label, number=kept.number, waiting=kept.waiting)

    @app.delete("/corrections/{number}")
    def take_back(number: Annotated[int, Path(ge=0, lt=2**63, description="As the answer gave it")]) -> TakenBack:
        """Take a correction back, as long as it is in no batch."""
        waiting = feedback.take_back(number, home)
        if waiting is None:
            raise HTTPException(409, "it was taken back before, or is in a batch already; see: digitflow data")
        metrics.taken_back.inc()
        return TakenBack(waiting=waiting)


def _add_pages(app: FastAPI) -> None:
    drawing = drawing_page()

    @app.get("/", include_in_schema=False)
    def index() -> HTMLResponse:
        return HTMLResponse(drawing.html, headers=drawing.headers)

    @app.get("/docs", include_in_schema=False)
    def docs(request: Request) -> HTMLResponse:
        page = docs_page(app.openapi(), str(request.base_url).rstrip("/"))
        return HTMLResponse(page.html, headers=page.headers)


def _answer_errors_as_json(app: FastAPI) -> None:
    """Every error is an object with the member `error`; that of several shapes has their number as well."""

    @app.exception_handler(RequestValidationError)
    def malformed(_: Request, error: RequestValidationError) -> Response:
        problems = [f"{'.'.join(p for p in e['loc'] if isinstance(p, str))}: {e['msg']}" for e in error.errors()]
        return JSONResponse({"error": "; ".join(problems)}, 422)

    @app.exception_handler(DigitflowError)
    def failed(_: Request, error: DigitflowError) -> Response:
        if isinstance(error, SeveralShapes):
            return JSONResponse({"error": f"the picture {error}", "shapes": error.count}, 422)
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
