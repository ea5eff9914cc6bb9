"""What the web app takes and answers."""

from pydantic import Base64Bytes, BaseModel, Field


class Drawing(BaseModel, extra="forbid"):
    """A PNG, JPEG or BMP file in base64: a drawing, scan or photo of one digit."""

    image: Base64Bytes


class Corrected(Drawing):
    """The same, and what it really shows."""

    label: int = Field(ge=0, le=255, strict=True)


class Answer(BaseModel):
    """What the model reads: `probabilities` of each class in turn, and `seen`, base64 of the uint8 image it saw, whose
    height and width are `shape`.
    """

    label: int
    probability: float
    runner_up: int
    runner_up_probability: float
    probabilities: list[float]
    changes: list[str]
    seen: str
    shape: tuple[int, int]
    model: int
    dataset: str


class Kept(BaseModel):
    """A correction that is safe, and how many wait to become a batch."""

    label: int
    waiting: int


class Health(BaseModel):
    """`trouble` says why the registry cannot be followed, if so."""

    status: str
    model: int
    dataset: str
    classes: int
    trouble: str
