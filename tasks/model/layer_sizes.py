"""The sizes of convolutions, and what they leave of an image."""

import math
from typing import TypeVar

from artifacts.errors import UsageError
from tasks.model.hyperparameters import Hyperparameters

T = TypeVar("T")


def at(values: tuple[T, ...], i: int) -> T:
    """Entry `i`, or the last entry if there are fewer."""
    return values[min(i, len(values) - 1)]


def check_image_size(hp: Hyperparameters, height: int, width: int) -> None:
    """Raise UsageError if images of this size, in pixels, leave nothing after a convolution and its pool."""
    side = min(height, width)
    for i in range(len(hp.filters)):
        kernel, stride = at(hp.kernel_size, i), at(hp.strides, i)
        side = math.ceil(side / stride) if at(hp.padding, i) == "same" else (side - kernel) // stride + 1
        side //= at(hp.pool, i)
        if side < 1:
            raise UsageError(
                f"images of {width}×{height} are too small for convolution {i + 1} of {len(hp.filters)}; use larger "
                "images, or smaller kernels, strides or pools"
            )
