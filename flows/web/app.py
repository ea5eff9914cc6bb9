"""The web app: what a model reads in a drawing, corrections of it, health and metrics."""

import asyncio
import base64
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.resources import files
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
from flows.web.request_guard import RequestGuard
from flows.web.schemas import Answer, Corrected, Drawing, Health, Kept
from tasks.data.images import GreyImage, decode
from tasks.prediction.classifier import ChampionFollower, told
from tasks.prediction.preprocessing import fit
from tasks.registry.versions import Version
from tasks.retraining import feedback as corrections

MAX_PIXELS = 1 << 24
THREADS = 4
PATHS = ("/", "/predict", "/corrections", "/health", "/metrics")

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Metrics:
    """What Prometheus may ask for; of one app, so that several can live in a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("digitflow_requests", "Answers", ["path", "status"], registry=self.registry)
        self.read = Counter("digitflow_predictions", "Images read", ["label"], registry=self.registry)
        self.seconds = Histogram("digitflow_prediction_seconds", "From file to answer", registry=self.registry)
        self.corrections = Counter("digitflow_corrections", "Corrections kept", registry=self.registry)
        self.version = Gauge("digitflow_model_version", "Version in use", ["dataset"], registry=self.registry)

    def count(self, path: str, status: int) -> None:
        self.requests.labels(path if path in PATHS else "other", status).inc()


def build(following: ChampionFollower, home: Path, announce: Callable[[str], None]) -> FastAPI:
    """The app. It follows the champion, and hands corrections in when they are due; `announce` hears of each batch."""
    metrics, page = Metrics(), Page()
    lifespan = _looking_after(following, home, announce, metrics)
    app = FastAPI(title="digitflow", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_middleware(RequestGuard, count=metrics.count)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False)
    _tell_errors(app)

    @app.get("/")
    def index() -> HTMLResponse:
        return HTMLResponse(page.html, headers=page.headers)

    @app.post("/predict")
    def predict(drawing: Drawing) -> Answer:
        version, classifier = following.current
        with metrics.seconds.time():
            fitted = _fitted(drawing, version.image_shape)
            row = classifier.predict(fitted.pixels[None])[0]
        answer = _answer(version, fitted, row)
        metrics.read.labels(answer.label).inc()
        return answer

    @app.post("/corrections", status_code=201)
    def correct(corrected: Corrected) -> Kept:
        version, _ = following.current
        if corrected.label >= version.classes:
            raise BadSource(
                f"cannot be a {corrected.label}: the labels of {version.dataset} end at {version.classes - 1}"
            )
        fitted = _fitted(corrected, version.image_shape)
        waiting = corrections.keep(fitted.pixels, corrected.label, version.dataset, home)
        metrics.corrections.inc()
        return Kept(label=corrected.label, waiting=waiting)

    @app.get("/health")
    def health() -> Health:
        version, _ = following.current
        return Health(
            status="degraded" if following.trouble else "ok",
            model=version.version,
            dataset=version.dataset,
            classes=version.classes,
            trouble=following.trouble,
        )

    @app.get("/metrics")
    def measured() -> Response:
        return Response(generate_latest(metrics.registry), media_type="text/plain; version=0.0.4")

    return app


def _answer(version: Version, fitted: GreyImage, row: np.ndarray) -> Answer:
    return Answer(
        **told("", fitted, row).model_dump(exclude={"image", "error"}),
        probabilities=row.tolist(),
        seen=base64.b64encode(fitted.pixels.tobytes()).decode(),
        shape=fitted.pixels.shape,
        model=version.version,
        dataset=version.dataset,
    )


def _looking_after(
    following: ChampionFollower, home: Path, announce: Callable[[str], None], metrics: Metrics
) -> Lifespan:
    """What goes on beside the answers, while the app lives: the champion is followed, due corrections are handed in."""

    def hand_in() -> None:
        for batch in corrections.hand_in(home):
            announce(batch.name)

    def look() -> None:
        following.refresh()
        metrics.version.labels(following.current[0].dataset).set(following.current[0].version)
        if corrections.is_due(home):
            hand_in()

    async def keep_looking() -> None:
        while True:
            try:
                await asyncio.to_thread(look)
            except Exception:
                logging.getLogger("uvicorn.error").exception("the registry or the corrections cannot be looked after")
            await asyncio.sleep(following.interval)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        from anyio.to_thread import current_default_thread_limiter

        current_default_thread_limiter().total_tokens = THREADS  # so that large pictures do not fill the memory
        task = asyncio.create_task(keep_looking())
        yield
        task.cancel()
        await asyncio.to_thread(hand_in)

    return lifespan


def _tell_errors(app: FastAPI) -> None:
    """Every error is an object with one member, `error`."""

    @app.exception_handler(RequestValidationError)
    def malformed(_: Request, error: RequestValidationError) -> Response:
        problems = [f"{'.'.join(p for p in e['loc'] if isinstance(p, str))}: {e['msg']}" for e in error.errors()]
        return JSONResponse({"error": "; ".join(problems)}, 422)

    @app.exception_handler(DigitflowError)
    def refused(_: Request, error: DigitflowError) -> Response:
        is_theirs = isinstance(error, BadSource)
        return JSONResponse({"error": f"the picture {error}" if is_theirs else str(error)}, 422 if is_theirs else 500)

    @app.exception_handler(HTTPException)
    def unknown(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)


class Page:
    """The page, and headers that let it load and run nothing but itself."""

    def __init__(self) -> None:
        self.html = (files("flows.web") / "page.html").read_text()
        script, style = (self._digest(tag) for tag in ("script", "style"))
        self.headers = {
            "Content-Security-Policy": f"default-src 'none'; script-src {script}; style-src {style}; img-src data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }

    def _digest(self, tag: str) -> str:
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", self.html, re.DOTALL)
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _fitted(drawing: Drawing, shape: tuple[int, ...]) -> GreyImage:
    return fit(decode(BytesIO(drawing.image), MAX_PIXELS), shape)
