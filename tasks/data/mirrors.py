"""HTTP with the mirrors of a data set: transfers that resume, and whether a mirror answers at all."""

import queue
import threading
import time
from pathlib import Path

import httpx
import stamina

from artifacts.errors import BadSource, Unreachable
from artifacts.lineage.progress import report_progress
from tasks.data.datasets import FILES, Mirrors, folder_of

SLOW_SECONDS, MIN_RATE = 30, 1000
"""A mirror is given up if after this many seconds it has sent fewer bytes a second than this."""


def transfer(url: str, path: Path, mirrors: Mirrors) -> None:
    """Write what `url` serves to `path`. Raises Unreachable or BadSource."""
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


def unanswered(mirrors: Mirrors, within: float) -> dict[str, str]:
    """Why no mirror answers in `within` seconds, name look-up included, by URL.

    Empty as soon as one gives any answer, even an error, and without mirrors.
    """
    answers: queue.Queue[tuple[str, str]] = queue.Queue()
    for url in mirrors.urls:
        # daemon threads: a look-up that hangs cannot be interrupted, and must not delay the end of the process
        threading.Thread(target=lambda url=url: answers.put((url, _flaw(url, within))), daemon=True).start()
    deadline = time.monotonic() + within
    reasons = dict.fromkeys(mirrors.urls, f"no answer in {within:.0f} s")
    try:
        for _ in mirrors.urls:
            url, reason = answers.get(timeout=max(0, deadline - time.monotonic()))
            if not reason:
                return {}
            reasons[url] = reason
    except queue.Empty:
        pass
    return reasons


def _flaw(url: str, within: float) -> str:
    """Why a mirror gives no answer, or ""."""
    if url.startswith("file://"):
        return "" if folder_of(url).is_dir() else "no such folder"
    try:
        httpx.head(f"{url}{FILES[-1]}.gz", timeout=within, follow_redirects=True)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OverflowError) as error:
        return str(error) or type(error).__name__
    return ""
