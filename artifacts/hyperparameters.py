"""What to learn: the hyperparameters of a run, and the named recipes that choose them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model, model_validator

from artifacts.datasets import SAMPLE
from artifacts.errors import UsageError

Size = Annotated[int, Field(ge=1, le=1024)]
Share = Annotated[float, Field(ge=0, lt=1)]


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value  # one word means it for all


class Hyperparameters(BaseModel, frozen=True, extra="forbid"):
    """One convolution per entry of `filters`, then dense layers, then softmax; trained by Adam on cross-entropy.

    A list shorter than `filters` repeats its last entry. The defaults are the tutorial's network. Training images are
    moved at random, each in its own way, by up to `rotation`, `zoom`, `shear` and `shift`.
    """

    filters: tuple[Size, ...] = Field((8,), min_length=1, max_length=16, description="Width of each convolution")
    kernel_size: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field(
        (3,), min_length=1, description="Side of each convolution's kernel, in pixels"
    )
    strides: tuple[Size, ...] = Field((1,), min_length=1, description="Stride of each convolution, in pixels")
    pool: tuple[Size, ...] = Field(
        (2,), min_length=1, description="Side of the max-pool after each convolution; 1: none"
    )
    padding: Annotated[tuple[Literal["valid", "same"], ...], BeforeValidator(_several)] = Field(
        ("valid",), min_length=1, description="What each convolution does at the border"
    )
    activation: Literal["linear", "relu", "gelu", "silu", "tanh"] = Field(
        "linear", description="Activation of convolutions and hidden dense layers"
    )
    batch_norm: bool = Field(False, description="Whether the inputs of activations are normalised over each batch")
    dense: tuple[Size, ...] = Field((), description="Width of each hidden dense layer")
    dropout: float = Field(0, ge=0, lt=1, description="Share of the features dropped before the last layer")

    epochs: int = Field(3, ge=1, le=1000, description="Passes over the training images")
    batch_size: int = Field(256, ge=1, le=65536, description="Images per optimiser step")
    learning_rate: float = Field(
        0.03, gt=0, le=10, description="Adam's learning rate; the peak of a one-cycle schedule"
    )
    schedule: Literal["constant", "one-cycle"] = Field(
        "one-cycle", description="How the learning rate moves (one-cycle: linear warm-up, cosine to almost zero)"
    )
    warmup: Share = Field(0.2, description="Share of a one-cycle schedule spent warming up")
    beta_1: Share = Field(0.7, description="Adam's decay of the mean of the gradients")
    beta_2: Share = Field(0.9, description="Adam's decay of the mean of their squares")
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
        for name in ("kernel_size", "strides", "pool", "padding"):
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

Recipe = Literal["tutorial", "tutorial-verbatim", "fast", "tiny", "keras-example", "accurate"]

RECIPES: dict[Recipe, Hyperparameters] = {
    "tutorial": Hyperparameters(),
    "tutorial-verbatim": Hyperparameters(
        batch_size=32, learning_rate=0.001, schedule="constant", beta_1=0.9, beta_2=0.999
    ),
    "fast": Hyperparameters(
        filters=(16, 32),
        kernel_size=(5, 3),
        activation="relu",
        dense=(256,),
        epochs=1,
        batch_size=128,
        learning_rate=0.01,
        label_smoothing=0.05,
        precision="bfloat16",
    ),
    "tiny": Hyperparameters(
        filters=(8, 16, 24),
        kernel_size=(5, 3),
        pool=(2, 2, 1),
        activation="relu",
        batch_norm=True,
        epochs=15,
        batch_size=128,
        learning_rate=0.015,
        beta_1=0.9,
        beta_2=0.98,
        label_smoothing=0.02,
        rotation=8,
        zoom=0.08,
        shear=0.1,
        shift=1,
    ),
    "keras-example": Hyperparameters(
        filters=(32, 64),
        activation="relu",
        dropout=0.5,
        epochs=8,
        batch_size=128,
        learning_rate=0.005,
        label_smoothing=0.05,
        precision="bfloat16",
    ),
    "accurate": Hyperparameters(
        filters=(16, 32, 32, 64, 64),
        strides=(1, 2, 1, 2, 1),
        pool=(1,),
        padding=("valid", "same", "valid", "same", "valid"),
        activation="relu",
        batch_norm=True,
        dense=(128,),
        dropout=0.3,
        epochs=16,
        batch_size=128,
        learning_rate=0.008,
        beta_1=0.9,
        beta_2=0.98,
        label_smoothing=0.05,
        rotation=12,
        zoom=0.1,
        shear=0.15,
        shift=2,
        precision="bfloat16",
    ),
}

_SAMPLE_EPOCHS: dict[Recipe, int] = {
    "tutorial": 10,
    "tutorial-verbatim": 10,
    "fast": 15,
    "tiny": 30,
    "keras-example": 20,
    "accurate": 30,
}

_MIN_ACCURACY: dict[Recipe, dict[str, float]] = {
    "tutorial": {"mnist": 0.974, "fashion-mnist": 0.86, SAMPLE: 0.90},
    "tutorial-verbatim": {"mnist": 0.96, "fashion-mnist": 0.85, SAMPLE: 0.88},
    "fast": {"mnist": 0.99, "fashion-mnist": 0.88, SAMPLE: 0.95},
    "tiny": {"mnist": 0.99, "fashion-mnist": 0.86, SAMPLE: 0.95},
    "keras-example": {"mnist": 0.99, "fashion-mnist": 0.90, SAMPLE: 0.96},
    "accurate": {"mnist": 0.995, "fashion-mnist": 0.90, SAMPLE: 0.97},
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
    return _MIN_ACCURACY[recipe].get(dataset)


def explain(error: ValidationError) -> str:
    """What pydantic found, in one line: where, which value, which bound."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc']))}: {item['msg'].removeprefix('Value error, ')}".removeprefix(": ")
        + (f" (got {item['input']!r})" if item["type"] != "value_error" else "")
        for item in error.errors()
    )
