"""What the command line asks of a training run: the options that `train` and `explain-cache` share."""

from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Group, Parameter
from cyclopts.validators import Number

from artifacts.gate import Gate
from artifacts.hyperparameters import Overrides, Recipe

WHAT = Group("What to train", sort_key=0)
GATE = Group("Gate", sort_key=1)
HOW = Group("How to run", sort_key=2)
HYPERPARAMETERS = Group("Hyperparameters (default: the recipe's own)", sort_key=3)

Flag = Parameter(group=HOW, negative="")


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

    hyperparameters: Annotated[Overrides | None, Parameter(name="*", group=HYPERPARAMETERS)] = None

    def parameters(self, **changes: Any) -> dict[str, Any]:
        """The parameters of the flow `training`, some of them changed."""
        return {
            "dataset": self.dataset,
            "recipe": self.recipe,
            "seed": self.seed,
            "hyperparameters": self.hyperparameters or Overrides(),
            "gate": Gate(min_accuracy=self.min_accuracy),
        } | changes
