"""The hyperparameters of a network and of its training, with their bounds and defaults."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model, model_validator

Size = Annotated[int, Field(ge=1, le=1024)]
Share = Annotated[float, Field(ge=0, lt=1)]


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value  # one word counts for all convolutions


class Hyperparameters(BaseModel, frozen=True, extra="forbid"):
    """One convolution per entry of `filters`, then dense layers, then softmax; Adam minimises the cross-entropy.

    A list that is shorter than `filters` repeats its last entry. The defaults are the tutorial's network. Augmentation
    transforms each training image at random, by up to `rotation`, `zoom`, `shear` and `shift`, and
    bends it by `elastic`.
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
        ("valid",), min_length=1, description="Padding of each convolution"
    )
    separable: bool = Field(
        False, description="Whether convolutions after the first are depthwise-separable, which need fewer weights"
    )
    activation: Literal["linear", "relu", "gelu", "silu", "tanh"] = Field(
        "linear", description="Activation of convolutions and hidden dense layers"
    )
    batch_norm: bool = Field(False, description="Whether each batch is normalised before the activations")
    dense: tuple[Size, ...] = Field((), description="Width of each hidden dense layer")
    dropout: float = Field(0, ge=0, lt=1, description="Share of the features dropped before the last layer")
    ensemble: int = Field(
        1, ge=1, le=64, description="Networks trained together, each on its own, whose probabilities are averaged"
    )
    test_time_augmentation: bool = Field(
        False, description="Whether a prediction is the mean over the image and four copies, shifted by one pixel"
    )

    epochs: int = Field(3, ge=1, le=1000, description="Passes over the training images")
    batch_size: int = Field(256, ge=1, le=65536, description="Images per optimiser step")
    learning_rate: float = Field(
        0.03, gt=0, le=10, description="Adam's learning rate; the peak of a one-cycle schedule"
    )
    schedule: Literal["constant", "one-cycle"] = Field(
        "one-cycle", description="Schedule of the learning rate (one-cycle: linear warm-up, then cosine to almost zero)"
    )
    warmup: Share = Field(0.2, description="Share of a one-cycle schedule that is warm-up")
    beta_1: Share = Field(0.7, description="Adam's decay of the mean of the gradients")
    beta_2: Share = Field(0.9, description="Adam's decay of the mean of their squares")
    label_smoothing: Share = Field(0, description="Share of each target that is spread over all classes")
    class_weight: Literal["none", "balanced"] = Field(
        "none", description="Whether all classes count equally in the loss, however many images each has"
    )
    rotation: float = Field(0, ge=0, le=180, description="Augmentation: largest rotation, in degrees")
    zoom: Share = Field(0, description="Augmentation: largest change of scale, as a share")
    shear: Share = Field(0, description="Augmentation: largest shear, in pixels a pixel")
    shift: float = Field(0, ge=0, le=1024, description="Augmentation: largest shift along each axis, in pixels")
    elastic: float = Field(
        0, ge=0, le=64, description="Augmentation: by how many pixels points 7 pixels apart move, as standard deviation"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Number format of training; weights and predictions are float32"
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
    __doc__="Hyperparameters that replace the recipe's own; unset fields keep the recipe's.",
    **_FIELDS,
)
