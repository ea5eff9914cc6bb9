"""Memory before training does not grow with the data."""

import re
import subprocess
import sys
from pathlib import Path


def test_bounded_memory() -> None:
    """Three times the images take no more memory to validate, normalise and encode, but for 50 MB."""
    script = Path(__file__).parent / "benchmarks/memory.py"
    finished = subprocess.run(
        [sys.executable, script, "50000", "150000"], capture_output=True, text=True, check=True, cwd=script.parents[2]
    )
    few, many = (float(found) for found in re.findall(r"([\d.]+) GB", finished.stdout))
    assert many <= few + 0.05
