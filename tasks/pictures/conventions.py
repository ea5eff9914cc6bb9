"""How do the training images of a data set lie: their ground, and the box and the centre of what they show?"""

from typing import Literal

from pydantic import BaseModel


class Conventions(BaseModel, frozen=True):
    """How the training images of a data set lie. Lengths and places are shares of the image's height and width.

    What an image shows fills a box of `box` (height, width); `is_stretched`, in both directions, else in the longer one
    with its proportions kept. The `centre` of its box, or of its mass, is at `place` (row, column), counted in pixels
    from 0 as in MNIST. A training image has no smaller box than `least_box` and no larger one than `most_box`, its
    centre is no farther from the place than `offset`, and a share of at most `frame` of its outermost pixels is ink.

    `has_ground` is False for images without a ground of one grey, such as photographs: pictures are then only scaled.
    """

    has_ground: bool = True
    ground: int = 0
    ink: int = 255
    box: tuple[float, float] = (20 / 28, 20 / 28)
    is_stretched: bool = False
    centre: Literal["mass", "box"] = "mass"
    place: tuple[float, float] = (0.5, 0.5)
    least_box: tuple[float, float] = (15 / 28, 15 / 28)
    most_box: tuple[float, float] = (22 / 28, 22 / 28)
    offset: float = 2 / 28
    frame: float = 0.05

    @property
    def fills_frame(self) -> bool:
        """Whether the images have no margin, so that ink at the edge of a picture is nothing unusual."""
        return min(self.box) > 0.9


MNIST = Conventions()
"""Digits are light on black, fit a box of 20 by 20 pixels with their proportions kept, and lie with their centre of
mass in the middle of 28 by 28 (LeCun, Cortes & Burges, http://yann.lecun.com/exdb/mnist/)."""
