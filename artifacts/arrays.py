"""The shapes that travel through the pipeline; jaxtyping checks them at run time under pytest."""

import numpy as np
from jaxtyping import Float32, UInt8

RawImages = UInt8[np.ndarray, "n height width"]
Labels = UInt8[np.ndarray, "n"]
Images = Float32[np.ndarray, "n height width 1"]
Targets = Float32[np.ndarray, "n classes"]
Probabilities = Float32[np.ndarray, "n classes"]

CHUNK = 8192
"""Images handled at once where memory must not grow with the data: 6.4 MB raw, 26 MB as float32."""
