"""Real digits that a model could have learned from, as a reference, and new ones."""

import numpy as np
import pytest

from tasks.monitoring.drift import Reference
from tests.conftest import Arrays

Batch = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def base(digits: Arrays) -> Batch:
    """1,000 training digits."""
    return digits[0][:1000], digits[1][:1000]


@pytest.fixture
def reference(base: Batch) -> Reference:
    return Reference.of(*base)


@pytest.fixture
def new_digits(digits: Arrays) -> Batch:
    """300 digits that are not among them."""
    return digits[0][1000:1300], digits[1][1000:1300]
