"""Which JSON does the web app take and answer?"""

from pydantic import Base64Bytes, BaseModel, Field

from tasks.data.datasets import FORMAT_NAMES

ONE = "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAF0lEQVR42mNgGGjw////UclRSYok6QMAs6Q7xR6aPQsAAAAASUVORK5CYII="
"""A PNG of 28 by 28 pixels with an upright stroke, in base64: for examples that can be sent as they are."""


class Drawing(BaseModel, extra="forbid"):
    """A drawing, scan or photo of one digit, or of whatever the model reads."""

    image: Base64Bytes = Field(description=f"A {FORMAT_NAMES} file in base64", examples=[ONE])


class Asked(Drawing):
    """A drawing, the probability below which the answer shall be unsure, and whether somebody still draws it.

    A draft is not compared with the training images.
    """

    unsure_below: float | None = Field(
        None, ge=0, le=1, description="Probability below which the answer is unsure", examples=[0.8]
    )
    draft: bool = Field(False, description="Whether somebody still draws it; a draft does not count as drift")


class Corrected(Drawing):
    """A drawing and the class that a person sees in it."""

    label: int = Field(ge=0, le=255, strict=True, description="The class that a person sees", examples=[1])


class Answer(BaseModel):
    """A prediction with the probability of each class in [0, 1]; names are those of classes that have one. `unsure` is
    null where no limit is given. `changes` is what was done to the picture. `seen` is the image as the model saw it:
    base64 of uint8 pixels, of height and width `shape`.
    """

    label: int
    name: str | None
    probability: float
    runner_up: int
    runner_up_name: str | None
    runner_up_probability: float
    unsure: bool | None
    probabilities: list[float]
    changes: list[str]
    seen: str
    shape: tuple[int, int]
    model: int
    dataset: str


class Kept(BaseModel):
    """A correction that is on disk, its number, by which it can be taken back, and how many of its data set wait."""

    label: int
    number: int
    waiting: int


class TakenBack(BaseModel):
    """How many corrections of the data set still wait for a batch."""

    waiting: int


class Example(BaseModel):
    """A test image and what it really shows. `image` is a PNG in base64; `name` is the label where it has no name."""

    image: str
    label: int
    name: str


class Health(BaseModel):
    """The model in use. `accuracy` is its top-1 accuracy in [0, 1] on its test images, `card` says whether its report
    can be shown. `class_names` is empty where classes are called by their numbers. The page calls an answer unsure
    below the probability `unsure_below`. `trouble` says why the registry cannot be read, or is empty.
    """

    status: str
    model: int
    dataset: str
    recipe: str
    accuracy: float
    card: bool
    classes: int
    class_names: list[str]
    unsure_below: float
    trouble: str


class Problem(BaseModel):
    """What is wrong with a request. `shapes` is there if the picture shows several."""

    error: str
    shapes: int | None = None
