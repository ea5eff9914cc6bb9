"""What a Prefect server that a person named answers, and how it is asked."""

import datetime
import http.server
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from artifacts.errors import DigitflowError, UsageError
from flows.cli.servers import ask_server, await_configured_server

LOOPBACK = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])


@contextmanager
def answering(status: int, body: bytes, certificate: Path | None = None) -> Iterator[str]:
    """The URL of a server that answers every GET alike."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Retry-After", "100")  # which is not waited for
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http{'s' * bool(certificate)}://127.0.0.1:{server.server_port}/api"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, b"", "refuses us: 401; set PREFECT_API_AUTH_STRING"),
        (403, b"", "refuses us: 403; set PREFECT_API_AUTH_STRING"),
        (404, b"", "is not the API of a Prefect server: it answers 404; name another server in PREFECT_API_URL"),
        (200, b"<html>", "is not the API of a Prefect server: it answers 200"),
        (200, b"{}", "is not the API of a Prefect server"),
        (200, b"null", "is not the API of a Prefect server"),
        (200, b'"yes"', "is not the API of a Prefect server"),
        (200, b'"1.0.0"', r"has Prefect 1\.0\.0, and this is 3\..*; install the same in both places"),
        (429, b"", "answers 429; see its log"),
        (503, b"", "answers 503; see its log, and whether its disk is full"),
    ],
)
def test_server_that_cannot_be_used(status: int, body: bytes, words: str) -> None:
    """A server that refuses us, and one that is not Prefect's, are told apart, at once."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with (
        answering(status, body) as url,
        temporary_settings({PREFECT_API_URL: url}),
        pytest.raises(DigitflowError, match=words),
    ):
        await_configured_server()


@pytest.mark.parametrize(
    "address", ["127.0.0.1:4200/api", "foo://127.0.0.1/api", "http://[::1/api", "http://", "http://a:b"]
)
def test_address_that_is_none(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be no address is told before anybody is asked."""
    monkeypatch.setenv("PREFECT_API_URL", address)
    with pytest.raises(UsageError, match=r"PREFECT_API_URL is .*, no address of a server, such as http://"):
        await_configured_server()


def test_key_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key with letters that HTTP does not have is no traceback."""
    monkeypatch.setenv("PREFECT_API_KEY", "schlüssel")
    with answering(200, b'"3.8.8"') as url:
        assert ask_server(url, "admin/version") == (0, None)


def test_server_that_is_gone() -> None:
    """A server that does not answer is named, and not asked again."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    url = "http://127.0.0.1:9/api"
    with temporary_settings({PREFECT_API_URL: url}), pytest.raises(DigitflowError, match=f"{url} does not answer"):
        await_configured_server()


def test_certificate_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An HTTPS server is asked as Prefect's own client asks it: by the variables that name or waive its certificate."""
    certificate = _self_signed(tmp_path / "server.pem")
    with answering(200, b'"3.8.8"', certificate) as url:
        assert ask_server(url, "admin/version") == (0, None)
        monkeypatch.setenv("PREFECT_API_SSL_CERT_FILE", str(certificate))
        assert ask_server(url, "admin/version") == (200, "3.8.8")
        monkeypatch.setenv("PREFECT_API_SSL_CERT_FILE", str(tmp_path / "missing.pem"))
        assert ask_server(url, "admin/version") == (0, None)
        monkeypatch.setenv("PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "true")
        assert ask_server(url, "admin/version") == (200, "3.8.8")


def _self_signed(file: Path) -> Path:
    """A file with the key and the certificate of 127.0.0.1."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    signed = builder.add_extension(LOOPBACK, critical=True).sign(key, hashes.SHA256())
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.write_bytes(key.private_bytes(*form) + signed.public_bytes(serialization.Encoding.PEM))
    return file
