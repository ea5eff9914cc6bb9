"""Machines share artifacts through any fsspec URL; S3 is a real server process on loopback."""

import base64
import http.server
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from artifacts.errors import ArtifactLost, DigitflowError, UsageError
from artifacts.storage import cache_entries
from artifacts.storage.remote import Remote, open_url, refuse_password
from artifacts.storage.store import Store

RECORD = json.dumps({"result": "null"}).encode()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A bucket on a moto server of its own; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    endpoint = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ):
            patch.setenv(name, value)
        _await(port)
        fsspec.filesystem("s3").mkdir("artifacts")
        yield "s3://artifacts/digitflow"
    server.terminate()
    server.wait()


def _await(port: int) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("moto's server did not start")


@pytest.fixture(params=["s3", "memory", "folder"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Remote:
    if request.param == "s3":
        return Remote(f"{request.getfixturevalue('s3')}/{tmp_path.name}")
    return Remote(f"memory://{tmp_path.name}" if request.param == "memory" else str(tmp_path / "shared"))


def test_another_machine(shared: Remote, tmp_path: Path) -> None:
    """One machine reads the artifacts and cache entries of another, with the same bytes."""
    here, there = Store(tmp_path / "here", shared), Store(tmp_path / "there", shared)
    array = np.arange(1000, dtype=np.float32).reshape(10, 100)
    ref = here.put(array)
    content = b'{"result": "[' + ref.model_dump_json().replace('"', '\\"').encode() + b']"}'
    cache_entries.put(here, "key", content)
    assert cache_entries.get(there, "key") == content
    np.testing.assert_array_equal(there.get(ref), array)


def test_read_once(shared: Remote, tmp_path: Path) -> None:
    """An artifact that was read from the shared store is then read without it."""
    ref = Store(tmp_path / "here", shared).put(np.arange(5))
    there = Store(tmp_path / "there", shared)
    there.get(ref)
    np.testing.assert_array_equal(Store(tmp_path / "there").get(ref), np.arange(5))


def test_damage_in_the_shared_store(shared: Remote, tmp_path: Path) -> None:
    """Bytes that are damaged in the shared store are never used; storing the artifact again repairs them."""
    here, there = Store(tmp_path / "here", shared), Store(tmp_path / "there", shared)
    ref = here.put(np.arange(5))
    (tmp_path / "bad").write_bytes(b"not the array")
    shared.push(tmp_path / "bad", f"objects/{ref.name}")
    with pytest.raises(ArtifactLost):
        there.get(ref)
    here.put(np.arange(5))
    np.testing.assert_array_equal(there.get(ref), np.arange(5))


def test_local_damage_is_repaired(shared: Remote, tmp_path: Path) -> None:
    """The intact file in the shared store replaces a damaged local one."""
    here = Store(tmp_path / "here", shared)
    ref = here.put(np.arange(5))
    path = tmp_path / "here" / "objects" / ref.name
    path.unlink()
    path.write_bytes(b"damaged")
    np.testing.assert_array_equal(here.get(ref), np.arange(5))


def test_unusable(tmp_path: Path) -> None:
    """A shared store that cannot be used gives one clear error that names it."""
    with pytest.raises(DigitflowError, match=r"nonsense://x.*DIGITFLOW_STORE"):
        Store(tmp_path, Remote("nonsense://x")).put(np.zeros(1))


def test_sound_shared_record_replaces_a_damaged_local_one(shared: Remote, tmp_path: Path) -> None:
    """If the local record is damaged, the one in the shared store is used."""
    store = Store(tmp_path / "home", shared)
    cache_entries.put(store, "key", RECORD)
    (store.home / "records" / "key").write_bytes(b"rotten")
    assert cache_entries.get(store, "key") == RECORD
    assert cache_entries.get(Store(store.home), "key") == RECORD


def test_earlier_entries_are_replicated(shared: Remote, tmp_path: Path) -> None:
    """A record from before there was a shared store is copied there with its artifacts, for other machines."""
    alone = Store(tmp_path / "home")
    ref = alone.put(np.arange(3))
    content = json.dumps({"result": json.dumps(ref.model_dump(mode="json"))}).encode()
    cache_entries.put(alone, "key", content)
    cache_entries.replicate(Store(alone.home, shared), "key", content)
    other = Store(tmp_path / "other", shared)
    assert cache_entries.get(other, "key") == content and other.get(ref).tolist() == [0, 1, 2]


def test_unusable_folder_is_one_error(tmp_path: Path) -> None:
    """A folder that cannot be made is named in one error."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DigitflowError, match=r"the shared store .*file/below cannot be used"):
        Store(tmp_path / "home", Remote(f"file://{tmp_path}/file/below")).put(np.arange(3))


class _Guarded(http.server.BaseHTTPRequestHandler):
    """A web server, and a proxy for others, that asks for a password and answers "data"."""

    def do_GET(self) -> None:
        expected = f"Basic {base64.b64encode(b'ann:secret').decode()}"
        self.send_response(200 if self.headers["Authorization"] == expected else 401)
        self.end_headers()
        if self.path.startswith(self.server.expected):  # type: ignore[attr-defined]
            self.wfile.write(b"data")

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("through_proxy", [False, True])
def test_http_of_companies(through_proxy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP goes through the proxy that the environment names, and takes its password from ~/.netrc."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Guarded) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host, port = ("data.example", 80) if through_proxy else ("127.0.0.1", server.server_port)
        (tmp_path / ".netrc").write_text(f"machine {host} login ann password secret\n")
        (tmp_path / ".netrc").chmod(0o600)
        if through_proxy:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        server.expected = f"http://{host}" if through_proxy else "/"  # type: ignore[attr-defined]
        files, path = open_url(f"http://{host}:{port}/{tmp_path.name}/{through_proxy}.bin")
        assert files.cat_file(path) == b"data"
        server.shutdown()


def test_passwords_are_not_kept() -> None:
    """A URL with a password is refused where it would be kept, in words without it; others are not."""
    for url in (
        *("https://ann:secret@host/data", "https://secret@host/data", "simplecache::http://ann:secret@host/data"),
        *("zip://a.npz::https://ann:secret@host/x.zip", "https://ann:secret@[host/data"),
    ):
        with pytest.raises(UsageError, match=r"was given with a password") as refused:
            refuse_password(url)
        assert "secret" not in str(refused.value)
    for url in ("https://host/data?X-Amz-Signature=1", "s3://bucket/data", "sftp://ann@host/data", "/data/a:b@c"):
        refuse_password(url)
