"""The model that MLflow keeps takes raw pictures, and refuses pixels that may mean something else."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from artifacts.errors import BadSource
from tasks.data.images import GreyImage, rescale
from tasks.model.logged_model import LoggedModel
from tasks.pictures.conventions import MNIST
from tasks.pictures.model_input import to_model_input
from tests.pictures import seven

SIZE = (28, 28)


@pytest.fixture
def model() -> LoggedModel:
    """A model whose "probabilities" are the pixels that its network is given."""
    network: Any = SimpleNamespace(predict_on_batch=lambda images: images.reshape(len(images), -1))
    return LoggedModel(network, SIZE, MNIST)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
def test_raw_pictures(model: LoggedModel, dtype: type) -> None:
    """Whole numbers from 0 to 255 of any type, with a channel or without, one picture or several, are taken as one."""
    picture = to_model_input(GreyImage(seven(), ()), SIZE).pixels
    expected = rescale(picture[None]).reshape(1, -1)
    for given in (picture, picture[None], picture[None, ..., None], [picture], picture[None].tolist()):
        values = given if isinstance(given, list) else given.astype(dtype)
        np.testing.assert_array_equal(model.predict(values), expected)


def test_any_size(model: LoggedModel) -> None:
    """Pictures of several sizes are each brought to the model's conventions, in their order."""
    pictures = [seven(90), 255 - seven(200), to_model_input(GreyImage(seven(), ()), SIZE).pixels]
    expected = [to_model_input(GreyImage(picture, ()), SIZE).pixels for picture in pictures]
    np.testing.assert_array_equal(model.predict(pictures), rescale(np.stack(expected)).reshape(3, -1))


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("whole numbers from 0 to 255", lambda pictures: pictures / 255),
        ("whole numbers from 0 to 255", lambda pictures: pictures / 255 - 0.5),
        ("whole numbers from 0 to 255", lambda pictures: pictures // 255),
        ("whole numbers from 0 to 255", lambda pictures: pictures.astype(int) * 257),
        ("whole numbers from 0 to 255", lambda pictures: pictures > 99),
        ("whole numbers from 0 to 255", lambda pictures: np.where(pictures > 99, np.nan, 0.0)),
        ("may mean several things", lambda pictures: pictures.reshape(2, -1)),
        ("may mean several things", lambda pictures: np.stack([pictures] * 3, axis=-1)),
        ("may mean several things", lambda pictures: pictures[:0]),
        ("picture 1 is blank", lambda pictures: np.stack([pictures[0], pictures[0] * 0])),
    ],
)
def test_refused(model: LoggedModel, reason: str, change: Any) -> None:
    """Scaled pixels, rows, colours and empty pictures are refused in words, never answered."""
    pictures = np.stack([to_model_input(GreyImage(seven(), ()), SIZE).pixels] * 2)
    with pytest.raises(BadSource, match=reason):
        model.predict(change(pictures))
