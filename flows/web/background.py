"""What does the app do between requests? It follows the champion, counts what was read, and hands in corrections."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from tasks.monitoring.watch import Watch
from tasks.prediction.champion_follower import ChampionFollower
from tasks.registry.versions import Version
from tasks.retraining.incoming import feedback

THREADS = 4
"""Requests that are answered at once, so that large pictures do not fill the memory."""


def background_work(
    follower: ChampionFollower,
    home: Path,
    announce: Callable[[str], None],
    watch: Watch,
    show: Callable[[Version, Watch], None],
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """The lifespan of the app. `show` sets its gauges. When it ends, all that was read is counted, and all corrections
    are handed in, due or not.
    """

    def hand_in() -> None:
        for batch in feedback.hand_in(home):
            announce(batch.name)

    def refresh() -> None:
        follower.refresh()
        watch.count()
        show(follower.current[0], watch)
        if feedback.is_due(home):
            hand_in()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        from anyio.to_thread import current_default_thread_limiter

        current_default_thread_limiter().total_tokens = THREADS
        task = asyncio.create_task(_repeat(refresh, follower))
        yield
        task.cancel()
        await asyncio.to_thread(watch.count)
        await asyncio.to_thread(hand_in)

    return lifespan


async def _repeat(refresh: Callable[[], None], follower: ChampionFollower) -> None:
    while True:
        try:
            await asyncio.to_thread(refresh)
        except Exception:
            logging.getLogger("uvicorn.error").exception(
                "not followed: the champion; or not done: counting, handing in"
            )
        await asyncio.sleep(follower.interval)
