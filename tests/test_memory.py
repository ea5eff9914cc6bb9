"""Memory before training does not grow with the data."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_bounded_memory() -> None:
    """Three times the images take no more memory to validate, normalise and encode, but for 50 MB."""
    command = [sys.executable, "-m", "tests.benchmarks.memory", "50000", "150000"]
    root = Path(__file__).parents[1]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    few, many = (float(found) for found in re.findall(r"([\d.]+) GB", finished.stdout))
    assert many <= few + 0.05
