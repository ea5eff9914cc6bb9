"""What to learn: the hyperparameters of a run, and the named recipes that choose them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from artifacts.datasets import SAMPLE
from artifacts.errors import UsageError

Size = Annotated[int, Field(ge=1, le=1024)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Hyperparameters(BaseModel):
    """One convolution per entry of `filters`, then dense layers, then softmax; trained by Adam on cross-entropy.

    A list shorter than `filters` repeats its last entry. The defaults are the tutorial's network. Training images are
    moved at random, each in its own way, by up to `rotation`, `zoom`, `shear` and `shift`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    filters: tuple[Size, ...] = Field((8,), min_length=1, max_length=16, description="Width of each convolution")
    kernel_size: tuple[Size, ...] = Field(
        (3,), min_length=1, description="Side of each convolution's kernel, in pixels"
    )
    strides: tuple[Size, ...] = Field((1,), min_length=1, description="Stride of each convolution, in pixels")
    pool: tuple[Size, ...] = Field(
        (2,), min_length=1, description="Side of the max-pool after each convolution; 1: none"
    )
    padding: Literal["valid", "same"] = Field("valid", description="What convolutions do at the border")
    activation: Literal["linear", "relu", "gelu", "silu", "tanh"] = Field(
        "linear", description="Activation of convolutions and hidden dense layers"
    )
    batch_norm: bool = Field(False, description="Whether the inputs of activations are normalised over each batch")
    head: Literal["flatten", "mean"] = Field(
        "flatten", description="What becomes of the last feature maps: every pixel a feature, or the mean of each map"
    )
    dense: tuple[Size, ...] = Field((), description="Width of each hidden dense layer")
    dropout: float = Field(0, ge=0, lt=1, description="Share of the features dropped before the last layer")

    epochs: int = Field(3, ge=1, le=1000, description="Passes over the training images")
    batch_size: int = Field(64, ge=1, le=65536, description="Images per optimiser step")
    learning_rate: float = Field(
        0.015, gt=0, le=10, description="Adam's learning rate; the peak of a one-cycle schedule"
    )
    schedule: Literal["constant", "one-cycle"] = Field(
        "one-cycle", description="How the learning rate moves (one-cycle: linear warm-up, cosine to almost zero)"
    )
    warmup: Share = Field(0.1, description="Share of a one-cycle schedule spent warming up")
    beta_1: Share = Field(0.9, description="Adam's decay of the mean of the gradients")
    beta_2: Share = Field(0.95, description="Adam's decay of the mean of their squares")
    label_smoothing: Share = Field(0, description="Share of each target spread over all classes")
    rotation: float = Field(0, ge=0, le=180, description="Augmentation: largest rotation, in degrees")
    zoom: Share = Field(0, description="Augmentation: largest change of scale, as a share")
    shear: Share = Field(0, description="Augmentation: largest shear, in pixels a pixel")
    shift: float = Field(0, ge=0, le=1024, description="Augmentation: largest shift along each axis, in pixels")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="What training computes with; weights and predictions are float32"
    )

    @model_validator(mode="after")
    def _no_entry_without_a_convolution(self) -> "Hyperparameters":
        for name in ("kernel_size", "strides", "pool"):
            if len(getattr(self, name)) > len(self.filters):
                raise ValueError(f"{name} has more entries than filters; give one for each convolution, or one for all")
        return self


def _optional(name: str) -> tuple[Any, Any]:
    field = Hyperparameters.model_fields[name]
    annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return annotation | None, Field(None, description=field.description)  # type: ignore[operator]


_FIELDS: Any = {name: _optional(name) for name in Hyperparameters.model_fields}

Overrides = create_model(
    "Overrides",
    __config__=ConfigDict(frozen=True, extra="forbid"),
    __doc__="Hyperparameters that replace the recipe's own; unset ones keep it.",
    **_FIELDS,
)

Recipe = Literal["tutorial", "tutorial-verbatim", "keras-example"]

RECIPES: dict[Recipe, Hyperparameters] = {
    "tutorial": Hyperparameters(),
    "tutorial-verbatim": Hyperparameters(batch_size=32, learning_rate=0.001, schedule="constant", beta_2=0.999),
    "keras-example": Hyperparameters(
        filters=(32, 64), activation="relu", dropout=0.5, epochs=12, batch_size=128, learning_rate=0.003
    ),
}

_SAMPLE_EPOCHS: dict[Recipe, int] = {"tutorial": 10, "tutorial-verbatim": 10, "keras-example": 20}

_MIN_ACCURACY: dict[tuple[Recipe, str], float] = {
    ("tutorial", "mnist"): 0.974,
    ("tutorial-verbatim", "mnist"): 0.96,
    ("keras-example", "mnist"): 0.99,
    ("tutorial", "fashion-mnist"): 0.86,
    ("tutorial-verbatim", "fashion-mnist"): 0.85,
    ("keras-example", "fashion-mnist"): 0.90,
    ("tutorial", SAMPLE): 0.90,
    ("tutorial-verbatim", SAMPLE): 0.88,
    ("keras-example", SAMPLE): 0.96,
}


def choose(recipe: Recipe, dataset: str, overrides: BaseModel | None = None) -> Hyperparameters:
    """The recipe's hyperparameters for a data set, with the given ones replaced. Raises UsageError."""
    changes: dict[str, Any] = {"epochs": _SAMPLE_EPOCHS[recipe]} if dataset == SAMPLE else {}
    changes |= overrides.model_dump(exclude_none=True) if overrides else {}
    try:
        return Hyperparameters.model_validate(RECIPES[recipe].model_dump() | changes)
    except ValidationError as error:
        raise UsageError(f"unusable hyperparameters: {explain(error)}") from None


def default_min_accuracy(recipe: Recipe, dataset: str) -> float | None:
    """The accuracy that a recipe is expected to reach on a known data set, or None."""
    return _MIN_ACCURACY.get((recipe, dataset))


def explain(error: ValidationError) -> str:
    """What pydantic found, in one line: where, which value, which bound."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'value'}: {item['msg'].removeprefix('Value error, ')}"
        + (f" (got {item['input']!r})" if item["type"] != "value_error" else "")
        for item in error.errors()
    )
