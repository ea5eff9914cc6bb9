"""Automations of the server that `make up` starts wait for other writers, where Prefect's own lose their event."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from prefect.server.database import provide_database_interface
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.database.dependencies import temporary_database_config
from prefect.server.events.models.automations import automations_session as session_of_prefect
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from deployments.server import automations_session

Sessions = Callable[..., AbstractAsyncContextManager[AsyncSession]]


def count_while_another_writes(sessions: Sessions, database: Path) -> int:
    """Read a count, let another transaction add one if it can, and write what was read plus one; returns the count."""

    async def add() -> None:
        async with provide_database_interface().session_context(begin_transaction=True) as session:
            await session.execute(text("UPDATE counted SET n = n + 1"))

    async def run() -> int:
        async with provide_database_interface().session_context(begin_transaction=True) as session:
            await session.execute(text("CREATE TABLE counted (n INTEGER)"))
            await session.execute(text("INSERT INTO counted VALUES (0)"))
        async with sessions(begin_transaction=True) as session:
            count = (await session.execute(text("SELECT n FROM counted"))).scalar_one()
            other = asyncio.create_task(add())
            await asyncio.wait([other], timeout=0.5)
            await session.execute(text("UPDATE counted SET n = :n"), {"n": count + 1})
        await other
        async with provide_database_interface().session_context() as session:
            return int((await session.execute(text("SELECT n FROM counted"))).scalar_one())

    with temporary_database_config(AioSqliteConfiguration(f"sqlite+aiosqlite:///{database}")):
        return asyncio.run(run())


def test_an_automation_waits_for_its_turn(tmp_path: Path) -> None:
    """Of two transactions that count at once, both count: the second begins when the first has ended."""
    assert count_while_another_writes(automations_session, tmp_path / "ours.db") == 2


def test_prefect_still_loses_its_turn(tmp_path: Path) -> None:
    """Once Prefect's own session waits too, deployments/server.py is no longer needed."""
    with pytest.raises(OperationalError, match="locked"):
        count_while_another_writes(session_of_prefect, tmp_path / "theirs.db")
