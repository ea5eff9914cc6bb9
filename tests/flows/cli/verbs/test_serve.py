"""`digitflow serve` starts or says why not. What it serves is tested in tests/flows/web."""

import socket

from tests.command import digitflow


def test_taken_port() -> None:
    """A port that is in use is one clear line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = digitflow("serve", "--port", taken.getsockname()[1])
    assert done.returncode == 2 and "choose another with --port" in done.stderr and done.stderr.count("\n") == 1
