"""A photographed, scanned or drawn digit becomes an image as the model was trained on, or an error says why not."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from artifacts.errors import BadSource
from tasks.data.images import GreyImage, decode
from tasks.pictures.conventions import MNIST, Conventions
from tasks.pictures.model_input import keep_trained, to_model_input, to_model_inputs
from tasks.pictures.training_layout import measure_conventions
from tests.conftest import Arrays
from tests.layouts.ink import cut
from tests.layouts.pages import KINDS, Kind, own
from tests.layouts.refused import REFUSED, Refused
from tests.pictures import exif, mnist_sample, picture_file, seven, transparent

SIZE = (28, 28)
BOX = 20
DOT = np.array([[254]], np.uint8)


@pytest.fixture(scope="module")
def inks() -> np.ndarray:
    """Real digits of MNIST, one or two of each class."""
    return mnist_sample()[0][::499]


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """The correlation of two images."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_training_images_are_kept(digits: Arrays, inks: np.ndarray) -> None:
    """An image that lies as the training images is kept as it is; its negative is inverted, and says so."""
    for images in (digits[0][:200], inks):
        conventions = measure_conventions(digits[0] if images is not inks else inks)
        for image in images:
            assert to_model_input(GreyImage(image, ()), image.shape, conventions).pixels.tobytes() == image.tobytes()
    for image in inks:
        turned = to_model_input(GreyImage(255 - image, ()), SIZE)
        assert (turned.pixels == image).all() and turned.changes == ("inverted, because it is dark on light",)


@pytest.mark.full_mnist
def test_all_of_mnist_is_kept(mnist_arrays: Arrays) -> None:
    """Each of MNIST's 70,000 images is kept as it is, by MNIST's conventions and by those measured on it."""
    measured = measure_conventions(mnist_arrays[0])
    for images in (mnist_arrays[0], mnist_arrays[2]):
        pictures = [GreyImage(image, ()) for image in images]
        for conventions in (MNIST, measured):
            kept = keep_trained(pictures, SIZE, conventions)
            assert all(item is not None and not item.changes for item in kept)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_layout(kind: Kind, inks: np.ndarray) -> None:
    """However a digit was laid out, what the model gets is nearly the digit as MNIST has it."""
    digits = inks[: max(1, round(kind.share * len(inks)))]
    pictures = [kind.layout(ink, np.random.default_rng(i)) for i, ink in enumerate(digits)]
    likeness = [
        alike(to_model_input(GreyImage(picture, ()), SIZE).pixels, ink)
        for picture, ink in zip(pictures, digits, strict=True)
    ]
    is_thin = "pen of 2" in kind.name
    assert np.median(likeness) > (0.4 if is_thin else 0.8), likeness


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.name)
def test_not_one_digit(kind: Refused, inks: np.ndarray) -> None:
    """A picture that does not show one digit on paper is refused, whatever is in it."""
    for i in range(5):
        picture = kind.layout(inks[i : i + kind.digits], np.random.default_rng(i))
        with pytest.raises(BadSource, match=r"separate shapes|hardly anything|no paper|reach its edge"):
            to_model_input(GreyImage(picture, ()), SIZE)


@pytest.mark.parametrize("kind", [kind for kind in REFUSED if kind.digits > 1], ids=lambda kind: kind.name)
def test_several_shapes(kind: Refused, inks: np.ndarray) -> None:
    """Separate digits are read one by one, from left to right or from top to bottom, each as if it were alone."""
    for i in range(5):
        digits = inks[i : i + kind.digits]
        found = to_model_inputs(GreyImage(kind.layout(digits, np.random.default_rng(i)), ()), SIZE)
        assert len(found) == kind.digits
        assert min(alike(image.pixels, ink) for image, ink in zip(found, digits, strict=True)) > 0.5


@pytest.mark.parametrize(
    ("change", "write"),
    [
        ("cropped", lambda ink: picture_file(Image.fromarray(ink))),
        ("inverted", lambda ink: picture_file(Image.fromarray(255 - ink), "BMP")),
        ("made grey", lambda ink: picture_file(Image.fromarray(ink).convert("RGB"))),
        ("turned", lambda ink: picture_file(Image.fromarray(np.rot90(ink)), exif=exif(6))),
        ("laid on white", lambda ink: transparent(ink, 0)),
        ("laid on black", lambda ink: transparent(ink, 255)),
        ("16 bits", lambda ink: picture_file(Image.fromarray(ink.astype(np.uint16) * 257))),
    ],
)
def test_every_kind_of_file(change: str, write: Callable[[np.ndarray], io.BytesIO]) -> None:
    """The same drawing gives the same pixels in each kind of file, and `changes` lists what was done."""
    image = to_model_input(decode(write(seven())), SIZE)
    np.testing.assert_array_equal(image.pixels, to_model_input(GreyImage(seven(), ()), SIZE).pixels)
    assert any(entry.startswith(change) for entry in image.changes)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_mnist_conventions(data: st.DataObject) -> None:
    """Any rectangle of ink fills the box in one direction, keeps its proportions, is white, and lies with its centre of
    mass at pixel (14, 14)."""
    side = data.draw(st.integers(40, 400))
    height, width = (data.draw(st.integers(side // 8, side // 2)) for _ in range(2))
    top, left = (data.draw(st.integers(1, side - length - 1)) for length in (height, width))
    image = np.zeros((side, side), np.uint8)
    image[top : top + height, left : left + width] = 200
    pixels = to_model_input(GreyImage(image, ()), SIZE).pixels
    rows, columns = (np.nonzero(pixels.any(axis=axis))[0] for axis in (1, 0))
    sides = [np.ptp(where) + 1 for where in (rows, columns)]
    assert pixels.max() == 255 and max(sides) == BOX
    assert sides[0] / sides[1] == pytest.approx(height / width, rel=0.35)
    mass = [(pixels.sum(axis=1 - axis) * np.arange(28)).sum() / pixels.sum() for axis in (0, 1)]
    assert mass == pytest.approx([14, 14], abs=0.51)


def tight(ink: np.ndarray) -> np.ndarray:
    """A digit that fills its frame."""
    return np.asarray(Image.fromarray(cut(ink)).resize(SIZE, Image.Resampling.BILINEAR))


def on_grey(ink: np.ndarray) -> np.ndarray:
    return (180 - ink * (140 / 255)).astype(np.uint8)


@pytest.mark.parametrize(
    "made", [own, lambda ink, _: 255 - ink, lambda ink, _: tight(ink), lambda ink, _: on_grey(ink)]
)
@pytest.mark.parametrize("factor", [1, 2, 5])
def test_own_conventions(made: Callable[..., np.ndarray], factor: int) -> None:
    """Pictures of a data set, at any size, on their own ground or as a drawing, become images as it has them."""
    images = np.stack([made(ink, None) for ink in mnist_sample()[0][::20]])
    conventions = measure_conventions(images)
    for image in images[::20]:
        large = np.asarray(Image.fromarray(image).resize((28 * factor, 28 * factor), Image.Resampling.BICUBIC))
        for picture in (large, 255 - large):
            got = to_model_input(GreyImage(picture, ()), SIZE, conventions).pixels
            assert alike(got, image) > 0.6
            assert abs(int(np.median(got)) - int(np.median(image))) <= 40


def test_photographs_are_only_scaled() -> None:
    """A data set without a ground of one grey has its pictures scaled as a whole, and nothing else."""
    noise = np.random.default_rng(0).integers(0, 256, (50, 16, 16), np.uint8)
    conventions = measure_conventions(noise)
    assert conventions == Conventions(has_ground=False)
    large = np.kron(noise[0], np.ones((3, 3), np.uint8))
    image = to_model_input(GreyImage(large, ()), (16, 16), conventions)
    assert (image.pixels == noise[0]).all() and image.changes == ("scaled to 16×16",)


@pytest.mark.parametrize(
    ("reason", "content"),
    [
        ("is blank", lambda: picture_file(Image.new("L", (50, 60), 200))),
        ("hardly anything", lambda: picture_file(Image.effect_noise((99, 99), 3))),
        ("hardly anything", lambda: picture_file(Image.fromarray(np.pad(DOT, 150, constant_values=255)))),
        ("only specks", lambda: picture_file(Image.fromarray(np.pad(DOT * 0, 150, constant_values=255)))),
        ("rows of 784 pixels", lambda: picture_file(Image.effect_noise((784, 3), 99))),
    ],
)
def test_empty_pictures(reason: str, content: Callable[[], io.BytesIO]) -> None:
    """A picture that shows nothing, or is none, is refused with the reason."""
    with pytest.raises(BadSource, match=reason):
        to_model_input(decode(content()), SIZE)
