"""What the command line asks of a training run: the options that `train` and `explain-cache` share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter
from cyclopts.validators import Number
from pydantic import ValidationError

from artifacts.errors import UsageError
from artifacts.gate import Gate
from artifacts.hyperparameters import Overrides, Recipe, explain

WHAT = Group("What to train", sort_key=0)
GATE = Group("Gate", sort_key=1)
HOW = Group("How to run", sort_key=2)
HYPERPARAMETERS = Group("Hyperparameters (default: the recipe's own)", sort_key=3)

Flag = Parameter(group=HOW, negative="", show_default=False)


@Parameter(name="*")
@dataclass(frozen=True)
class Request:
    """Options of a training run."""

    dataset: Annotated[str, Parameter(group=WHAT)] = "mnist"
    "mnist, fashion-mnist, mnist-sample (5,000 images, no download), or a folder with the four IDX files."

    recipe: Annotated[Recipe, Parameter(group=WHAT)] = "tutorial"
    'Named set of hyperparameters; "tutorial-verbatim" has the tutorial\'s own learning rate and batch size.'

    seed: Annotated[int, Parameter(group=WHAT, validator=Number(gte=0, lt=2**32))] = 0
    "Decides initial weights, order and dropout."

    min_accuracy: Annotated[float | None, Parameter(group=GATE, validator=Number(gte=0, lte=1))] = None
    """Least accuracy on the test images. Default: 0.974 for the tutorial on MNIST; else the recipe's own,
    or, for your own data, the share of the most frequent class."""

    gate: Annotated[Path | None, Parameter(group=GATE)] = None
    "JSON file with further limits: see the fields of Gate in artifacts/gate.py."

    hyperparameters: Annotated[
        Overrides | None, Parameter(name="*", group=HYPERPARAMETERS, consume_multiple=True, negative="")
    ] = None

    def parameters(self) -> dict[str, Any]:
        """The parameters of the flow `training`."""
        return {
            "dataset": self.dataset,
            "recipe": self.recipe,
            "seed": self.seed,
            "hyperparameters": self.hyperparameters or Overrides(),
            "gate": self._gate(),
        }

    def _gate(self) -> Gate:
        try:
            gate = Gate.model_validate_json(self.gate.read_bytes()) if self.gate else Gate()
        except OSError as error:
            raise UsageError(f"the gate {self.gate} cannot be read: {error.strerror}") from None
        except ValidationError as error:
            raise UsageError(f"the gate {self.gate} is unusable: {explain(error)}") from None
        return gate if self.min_accuracy is None else gate.model_copy(update={"min_accuracy": self.min_accuracy})
