"""Prefect's server, as `make up` starts it: `prefect server start`, with its options.

It refuses no request because others write, loses no event, and does not stand still.
"""

import sys

from flows.cli.prefect_server import collect_garbage_aside, wait_for_turns


def main() -> None:
    """Run the server until it is stopped."""
    from prefect.cli import app

    collect_garbage_aside()
    wait_for_turns()
    sys.argv[1:1] = ["server", "start"]
    app()


if __name__ == "__main__":
    main()
