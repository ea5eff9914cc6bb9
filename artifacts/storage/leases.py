"""Locks that several machines share, in Redis: leases that their holders renew, and that end soon after these died.

DIGITFLOW_LOCKS names the Redis server. Without it, the locks of the home are those of one machine; see `home.locked`.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from artifacts.errors import DigitflowError, LeaseLost, hide_passwords

if TYPE_CHECKING:
    from redis import Redis

LEASE = 30.0
"""Seconds after which a lock is free whose holder was killed or cut off."""
PATIENCE = 5.0
"""Seconds to wait for an answer of the Redis server."""

_log = logging.getLogger(__name__)
_held = threading.local()
_taken: dict[str, "LeasedLock"] = {}
_now = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
"""Seconds, those of a machine's sleep too."""


class LeasedLock:
    """A lock with the methods of a filelock.FileLock. One object is acquired once at a time."""

    def __init__(self, url: str, name: str):
        self._url, self._name = url, name
        self._lock: Any = None
        self._released = threading.Event()
        self._renewed = 0.0
        self._is_taken_over = False

    @property
    def is_lost(self) -> bool:
        """Whether another may have the lock, since it was not renewed in time."""
        return self._is_taken_over or _now() - self._renewed > LEASE

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
        self._lock, self._released, self._renewed, self._is_taken_over = lock, threading.Event(), _now(), False
        _taken[self._name] = self
        threading.Thread(target=self._renew, args=(lock, self._released), daemon=True).start()
        return self

    def release(self) -> None:
        """Give the lock back. One whose lease was lost is not ours any more."""
        from redis.exceptions import RedisError

        self._released.set()
        if _taken.get(self._name) is self:
            del _taken[self._name]
        with contextlib.suppress(RedisError):
            self._lock.release()

    def __enter__(self) -> "LeasedLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _renew(self, lock: Any, released: threading.Event) -> None:
        """Renew the lease until it is given back or lost."""
        from redis.exceptions import LockError, RedisError

        while not released.wait(LEASE / 3):
            asked = _now()
            try:
                lock.reacquire()
            except LockError:
                if not released.is_set():
                    self._is_taken_over = True
                    _log.warning("the lock %s was lost: its lease was not renewed in time", self._name)
                return
            except RedisError:
                continue  # cut off; the lease may still hold when the server answers again
            self._renewed = asked


def require_lease(name: str) -> None:
    """Raises LeaseLost if this process took the lock `name`, has not given it back, and may not have it any more."""
    lock = _taken.get(name)
    if lock is not None and lock.is_lost:
        raise LeaseLost(
            f"the lock {name} was lost, since this machine was cut off from DIGITFLOW_LOCKS or stood still; another "
            "may do its work now; run again"
        )


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


@cache
def _connect(url: str) -> "Redis":
    from redis import Redis
    from redis.backoff import ExponentialBackoff
    from redis.retry import Retry

    retry = Retry(ExponentialBackoff(cap=1, base=0.2), retries=6)  # for some seconds, in which a server may restart
    return Redis.from_url(url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=retry)
