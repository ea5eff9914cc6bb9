"""Which JSON does the web app take and answer?"""

from pydantic import Base64Bytes, BaseModel, Field

from tasks.data.datasets import FORMAT_NAMES


class Drawing(BaseModel, extra="forbid"):
    """A drawing, scan or photo of one digit, or of whatever the model reads."""

    image: Base64Bytes = Field(description=f"A {FORMAT_NAMES} file in base64")


class Asked(Drawing):
    """A drawing, the probability below which the answer shall be unsure, and whether somebody still draws it.

    A draft is not compared with the training images.
    """

    unsure_below: float | None = Field(None, ge=0, le=1)
    draft: bool = False


class Corrected(Drawing):
    """A drawing and the class that a person sees in it."""

    label: int = Field(ge=0, le=255, strict=True)


class Answer(BaseModel):
    """A prediction with the probability of each class; names are those of classes that have one. `unsure` is None where
    no limit is given. `seen` is the image as the model saw it: base64 of uint8 pixels, of height and width `shape`.
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
    """A correction that is on disk, and how many of its data set wait for a batch."""

    label: int
    waiting: int


class Health(BaseModel):
    """The model in use. `class_names` is empty where classes are called by their numbers. `trouble` says why the
    registry cannot be read, or is empty.
    """

    status: str
    model: int
    dataset: str
    classes: int
    class_names: list[str]
    trouble: str
