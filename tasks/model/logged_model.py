"""What does a model do where digitflow is not installed? MLflow's copy of it takes raw pixels and does all that we do.

MLflow loads this module, under a name of its own, from the code that is logged with the model.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from artifacts.errors import BadSource
from artifacts.storage.arrays import Probabilities
from tasks.data.images import Grey, GreyImage, rescale
from tasks.pictures.conventions import Conventions
from tasks.pictures.model_input import keep_trained, to_model_input

if TYPE_CHECKING:
    from tasks.model.keras_setup import keras

BATCH = 1024
"""Images in one forward pass."""
NETWORK, PICTURES = "network.keras", "pictures.json"
"""The files of a logged model: Keras's own, and the shape of its images with their conventions."""


class LoggedModel:
    """A model that takes raw pictures of any size and gives the probability of each class."""

    def __init__(self, network: "keras.Model", shape: tuple[int, int], conventions: Conventions):
        self._network, self._shape, self._conventions = network, shape, conventions

    def predict(self, pictures: Any, params: object = None) -> Probabilities:
        """Probabilities (n, classes) of pictures (n, height, width) of whole numbers from 0 to 255, or a list of such.

        Each is brought to how the training images lie. Raises BadSource, with the number of the picture, if the pixels
        cannot be meant so or the picture cannot be understood.
        """
        images = [GreyImage(grey, ()) for grey in as_pictures(pictures, self._shape)]
        kept = keep_trained(images, self._shape, self._conventions)
        rows = [found or self._to_input(i, image) for i, (found, image) in enumerate(zip(kept, images, strict=True))]
        batches = [np.stack([row.pixels for row in rows[i : i + BATCH]]) for i in range(0, len(rows), BATCH)]
        return np.concatenate([self._network.predict_on_batch(rescale(batch)) for batch in batches])

    def _to_input(self, number: int, picture: GreyImage) -> GreyImage:
        try:
            return to_model_input(picture, self._shape, self._conventions)
        except BadSource as error:
            raise BadSource(f"picture {number} {error}") from None


def as_pictures(values: Any, shape: tuple[int, int]) -> list[Grey]:
    """The pictures that an array or a list holds. Raises BadSource if it may mean something else."""
    if isinstance(values, list | tuple) and len({np.shape(value) for value in values}) > 1:
        return [picture for value in values for picture in as_pictures(np.asarray(value)[None], shape)]
    array = np.asarray(values)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.shape == shape:
        array = array[None]
    if array.ndim != 3 or not array.size or array.shape[2] in (3, 4):
        raise BadSource(f"pictures of the shape {array.shape} may mean several things; give grey (n, height, width)")
    return list(_as_bytes(array))


def _as_bytes(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "uif" or not np.isfinite(array).all():
        raise BadSource(f"pixels are {array.dtype}; give whole numbers from 0 to 255")
    low, high = array.min(), array.max()
    if low < 0 or not 1 < high <= 255 or (array.dtype.kind == "f" and (np.rint(array) != array).any()):
        raise BadSource(f"pixels are from {low:g} to {high:g}; give raw ones, whole numbers from 0 to 255")
    return array.astype(np.uint8)


def save(network: "keras.Model", shape: tuple[int, ...], conventions: Conventions, folder: Path) -> None:
    """Write what `_load_pyfunc` loads."""
    folder.mkdir()
    network.save(folder / NETWORK)
    facts = {"shape": shape, "conventions": conventions.model_dump(mode="json")}
    (folder / PICTURES).write_text(json.dumps(facts), "utf-8")


def _load_pyfunc(path: str) -> LoggedModel:
    """MLflow calls this by its name."""
    from tasks.model.keras_setup import keras

    facts = json.loads((Path(path) / PICTURES).read_text("utf-8"))
    height, width = facts["shape"]
    conventions = Conventions.model_validate(facts["conventions"])
    return LoggedModel(keras.models.load_model(Path(path) / NETWORK, compile=False), (height, width), conventions)
