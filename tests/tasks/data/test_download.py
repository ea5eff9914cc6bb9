"""A download gives exactly the expected content, or an error with the reason of each mirror."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from artifacts.errors import BadSource
from artifacts.storage.store import Store
from tasks.data.datasets import FILES, SAMPLE_SOURCE, Mirrors, Source
from tasks.data.download import download
from tests.conftest import Arrays, write_idx
from tests.tasks.data.conftest import is_digits, leftovers
from tests.tasks.data.mirror_server import (
    Answer,
    Mirror,
    at,
    bomb,
    endless,
    good,
    hangs_up,
    other,
    page,
    silent,
    status,
    truncated,
)

pytestmark = pytest.mark.usefixtures("no_waiting")


REFUSED: dict[str, tuple[Answer, str]] = {
    "not found": (status(404), "HTTP status 404"),
    "always busy": (status(503), "HTTP status 503"),
    "page": (page, "its content has SHA-256"),
    "wrong content": (other, "its content has SHA-256"),
    "truncated": (truncated, "not a whole gzip file"),
    "hangs up": (hangs_up, "without sending complete message"),
    "endless": (endless, "serves more than 1,000,000 bytes"),
    "gzip bomb": (bomb, "unpacks to more than 1,000,000 bytes"),
    "silent": (silent, "timed out"),
}


def test_first_good_mirror_is_used(
    mirror: Callable[[Answer], Mirror], source: Source, store: Store, digits: Arrays
) -> None:
    """Each file is asked for once, at the first mirror, and arrives as it was sent."""
    one, two = mirror(good), mirror(good)
    assert is_digits(download.fn(source, at(one.url, two.url), store), digits, store)
    assert one.asked == [(f"/{name}.gz", None) for name in FILES]
    assert two.asked == []
    assert not leftovers(store)


@pytest.mark.parametrize("fault", REFUSED)
def test_bad_mirror_is_passed_over(
    fault: str, mirror: Callable[[Answer], Mirror], source: Source, store: Store, digits: Arrays
) -> None:
    """A mirror that serves anything but the promised content is refused, and the next one is tried."""
    bad, next_one = mirror(REFUSED[fault][0]), mirror(good)
    assert is_digits(download.fn(source, at(bad.url, next_one.url), store), digits, store)
    assert len(bad.asked) >= len(FILES)
    assert not leftovers(store)


def test_error_names_each_mirror(
    mirror: Callable[[Answer], Mirror], source: Source, store: Store, refused_port: str
) -> None:
    """If all mirrors fail, the error says for each what was wrong with it, and nothing is kept."""
    mirrors = {mirror(answer).url: reason for answer, reason in REFUSED.values()} | {refused_port: "refused"}
    with pytest.raises(BadSource) as caught:
        download.fn(source, at(*mirrors), store)
    message = str(caught.value)
    for url, reason in mirrors.items():
        assert reason in message.split(url)[1].split("http://")[0]
    assert not leftovers(store) and not (store.home / "objects").exists()


@pytest.mark.parametrize("packed", [True, False])
def test_folder_is_a_mirror(packed: bool, tmp_path: Path, source: Source, store: Store, digits: Arrays) -> None:
    """A file:// mirror serves files, gzipped or not, also below a name that a URL must quote."""
    folder = write_idx(tmp_path / "my digits, 100%", digits, packed)
    assert is_digits(download.fn(source, at(folder.as_uri() + "/"), store), digits, store)
    assert not leftovers(store)


@pytest.mark.parametrize("number", range(len(FILES)))
def test_folder_that_lacks_a_file(number: int, digits_folder: Path, source: Source, store: Store) -> None:
    """The error names the folder and the file it lacks."""
    (digits_folder / f"{FILES[number]}.gz").unlink()
    with pytest.raises(BadSource, match=f"{digits_folder} has neither {FILES[number]} nor {FILES[number]}.gz"):
        download.fn(source, at(digits_folder.as_uri() + "/"), store)
    assert not leftovers(store)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that even root cannot read")
def test_unreadable_file_is_a_bad_source(digits_folder: Path, source: Source, store: Store) -> None:
    """The error about a file that cannot be read names the file, and is not that of a full disk."""
    (digits_folder / f"{FILES[0]}.gz").unlink()
    (digits_folder / FILES[0]).symlink_to("/proc/self/mem")
    with pytest.raises(BadSource, match=f"{FILES[0]} cannot be read"):
        download.fn(source, at(digits_folder.as_uri() + "/"), store)


@pytest.mark.parametrize("shape", [b"\xff" * 12, b"\x00\x00\x05\xdc\x00\x00\x00\x00\x00\x00\x00\x08"])
def test_header_must_fit_the_file(shape: bytes, tmp_path: Path, store: Store, digits: Arrays) -> None:
    """A header that declares more or fewer bytes than the file holds is refused, whatever its digest."""
    folder = write_idx(tmp_path / "bad", digits, packed=False)
    path = folder / FILES[0]
    path.write_bytes(path.read_bytes()[:4] + shape + path.read_bytes()[16:])
    digests = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES]
    with pytest.raises(BadSource, match=f"{FILES[0]} declares .*(but holds 96,000|too large)"):
        download.fn(Source.model_validate({"name": "bad", "digests": digests}), at(folder.as_uri() + "/"), store)
    assert not leftovers(store)


def test_sample_needs_no_mirror(store: Store) -> None:
    """The sample comes from an installed package: 4,000 and 1,000 images, every digit equally often."""
    splits = download.fn(SAMPLE_SOURCE, Mirrors(urls=()), store)
    for split, each in ((splits.train, 400), (splits.test, 100)):
        assert store.get(split.images).shape == (10 * each, 28, 28)
        assert np.bincount(store.get(split.labels)).tolist() == [each] * 10
