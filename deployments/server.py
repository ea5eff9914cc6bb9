"""Prefect's server, as `make up` starts it: `prefect server start`, in which automations miss no event.

    python -m deployments.server --host 127.0.0.1 --port 4200

An automation reads its count of events and then writes it. On SQLite the write fails at once if another transaction has
written in between. Prefect 3.8 tries three times more within milliseconds, and then puts the event aside for good: a
batch is not learned from, or a crash is not told. Here such a transaction is a writer's from its start, as Prefect has
them elsewhere, and waits for its turn.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prefect.server.database import provide_database_interface
from prefect.server.events import triggers
from sqlalchemy.ext.asyncio import AsyncSession

from flows.cli.prefect_server import collect_garbage_aside


@asynccontextmanager
async def automations_session(begin_transaction: bool = False) -> AsyncIterator[AsyncSession]:
    """A session with the server's database; with `begin_transaction`, all in it is one transaction of a writer."""
    database = provide_database_interface()
    async with database.session_context(begin_transaction, with_for_update=begin_transaction) as session:
        yield session


def main() -> None:
    """Run the server until it is stopped."""
    from prefect.cli import app

    collect_garbage_aside()
    triggers.automations_session = automations_session
    sys.argv[1:1] = ["server", "start"]
    app()


if __name__ == "__main__":
    main()
