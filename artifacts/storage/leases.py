"""Locks that several machines share, in Redis: leases that their holders renew, and that end soon after these died.

DIGITFLOW_LOCKS names the Redis server. Without it, the locks of the home are those of one machine; see `home.locked`.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from artifacts.errors import DigitflowError, hide_passwords

if TYPE_CHECKING:
    from redis import Redis

LEASE = 30.0
"""Seconds after which a lock is free whose holder was killed or cut off."""
PATIENCE = 5.0
"""Seconds to wait for an answer of the Redis server."""

_log = logging.getLogger(__name__)
_held = threading.local()


class LeasedLock:
    """A lock with the methods of a filelock.FileLock. One object is acquired once at a time."""

    def __init__(self, url: str, name: str):
        self._url, self._name = url, name
        self._lock: Any = None
        self._released = threading.Event()

    def acquire(self, timeout: float = -1.0) -> "LeasedLock":
        """Take the lock; wait for at most `timeout` seconds, or for ever with -1.0. Raises filelock.Timeout."""
        from redis.exceptions import RedisError

        try:
            lock = _connect(self._url).lock(f"digitflow:{self._name}", timeout=LEASE, sleep=0.2, thread_local=False)
            is_ours = lock.acquire(blocking=timeout != 0, blocking_timeout=None if timeout < 0 else timeout)
        except (RedisError, ValueError) as error:  # the latter of an impossible address
            url, why = hide_passwords(self._url), hide_passwords(" ".join(str(error).split()))
            raise DigitflowError(
                f"the locks at {url} cannot be used: {why}; start that Redis server, or correct or unset "
                "DIGITFLOW_LOCKS"
            ) from None
        if not is_ours:
            raise Timeout(self._name)
        self._lock, self._released = lock, threading.Event()
        threading.Thread(target=_renew, args=(lock, self._released, self._name), daemon=True).start()
        return self

    def release(self) -> None:
        """Give the lock back. One whose lease was lost is not ours any more."""
        from redis.exceptions import RedisError

        self._released.set()
        with contextlib.suppress(RedisError):
            self._lock.release()

    def __enter__(self) -> "LeasedLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@contextlib.contextmanager
def leased(url: str, name: str) -> Iterator[None]:
    """Hold the lock `name`; nested use in a thread is one lock. Without a URL, nothing is held."""
    names: set[str] = vars(_held).setdefault("names", set())
    if not url or name in names:
        yield
        return
    with LeasedLock(url, name).acquire():
        names.add(name)
        try:
            yield
        finally:
            names.remove(name)


def _renew(lock: Any, released: threading.Event, name: str) -> None:
    """Renew a lease until it is given back or lost."""
    from redis.exceptions import LockError, RedisError

    while not released.wait(LEASE / 3):
        try:
            lock.reacquire()
        except LockError:
            if not released.is_set():
                _log.warning("the lock %s was lost: its lease was not renewed in time", name)
            return
        except RedisError:
            continue  # cut off; the lease may still hold when the server answers again


@cache
def _connect(url: str) -> "Redis":
    from redis import Redis
    from redis.backoff import ExponentialBackoff
    from redis.retry import Retry

    retry = Retry(ExponentialBackoff(cap=1, base=0.2), retries=6)  # for some seconds, in which a server may restart
    return Redis.from_url(url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=retry)
