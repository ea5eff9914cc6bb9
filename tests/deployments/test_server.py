"""Transactions of our servers wait for each other, where those of Prefect's own fail or lose an event."""

import asyncio
from pathlib import Path

import pytest
from prefect.server.database import provide_database_interface
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.database.dependencies import temporary_database_config
from prefect.server.events.models.automations import automations_session
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from flows.cli.prefect_server import wait_for_turns


def count_while_another_writes(database: Path) -> int:
    """Read a count, let another transaction add one if it can, and write what was read plus one; returns the count."""

    async def add() -> None:
        async with provide_database_interface().session_context(begin_transaction=True) as session:
            await session.execute(text("UPDATE counted SET n = n + 1"))

    async def run() -> int:
        async with provide_database_interface().session_context(begin_transaction=True) as session:
            await session.execute(text("CREATE TABLE counted (n INTEGER)"))
            await session.execute(text("INSERT INTO counted VALUES (0)"))
        async with automations_session(begin_transaction=True) as session:
            count = (await session.execute(text("SELECT n FROM counted"))).scalar_one()
            other = asyncio.create_task(add())
            await asyncio.wait([other], timeout=0.5)
            await session.execute(text("UPDATE counted SET n = :n"), {"n": count + 1})
        await other
        async with provide_database_interface().session_context() as session:
            return int((await session.execute(text("SELECT n FROM counted"))).scalar_one())

    with temporary_database_config(AioSqliteConfiguration(f"sqlite+aiosqlite:///{database}")):
        return asyncio.run(run())


def test_a_transaction_waits_for_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two transactions that count at once, both count: the second begins when the first has ended."""
    monkeypatch.setattr(AioSqliteConfiguration, "begin_transaction", AioSqliteConfiguration.begin_transaction)
    wait_for_turns()
    assert count_while_another_writes(tmp_path / "ours.db") == 2


def test_prefect_still_loses_its_turn(tmp_path: Path) -> None:
    """Once Prefect's own transactions wait too, `wait_for_turns` is no longer needed."""
    with pytest.raises(OperationalError, match="locked"):
        count_while_another_writes(tmp_path / "theirs.db")
