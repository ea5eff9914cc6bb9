"""The old path of `Classifier`, for one release: import it from `digitflow`."""

import warnings
from typing import Any


def __getattr__(name: str) -> Any:
    import digitflow

    if name not in ("Classifier", "Prediction"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"import {name} from digitflow; artifacts.classifier goes away", DeprecationWarning, stacklevel=2)
    return getattr(digitflow, name)
