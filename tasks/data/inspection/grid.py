"""A picture of samples: a row of images for each class, with its label and name."""

from io import BytesIO

import numpy as np

from artifacts.storage.store import Store
from tasks.data.datasets import Splits

SAMPLES, ROWS = 12, 64
"""Images a class, and classes, that a grid shows."""
CELL = 56
"""Least side of a shown image, in pixels; smaller ones are enlarged by a whole number."""
GAP = 4


def draw_grid(splits: Splits, store: Store) -> bytes:
    """A PNG of the first SAMPLES training images of each class."""
    from PIL import Image, ImageDraw

    images, labels = store.get(splits.train.images), store.get(splits.train.labels)
    height, width = images.shape[1:]
    factor = max(1, CELL // max(height, width))
    classes = np.unique(labels)[:ROWS].tolist()
    captions = [_caption(label, splits.class_names) for label in classes]
    left = 12 + 7 * max(map(len, captions), default=0)
    cell = (width * factor + GAP, height * factor + GAP)
    picture = Image.new("L", (left + SAMPLES * cell[0], max(1, len(classes)) * cell[1] + GAP), 128)
    draw = ImageDraw.Draw(picture)
    for row, (label, caption) in enumerate(zip(classes, captions, strict=True)):
        draw.text((6, row * cell[1] + cell[1] // 2 - 4), caption, fill=255)
        for column, number in enumerate(np.flatnonzero(labels[: len(images)] == label)[:SAMPLES].tolist()):
            shown = Image.fromarray(np.asarray(images[number])).resize((width * factor, height * factor), 0)
            picture.paste(shown, (left + column * cell[0], GAP + row * cell[1]))
    picture.save(buffer := BytesIO(), "PNG")
    return buffer.getvalue()


def _caption(label: int, names: tuple[str, ...]) -> str:
    name = names[label] if label < len(names) else ""
    return f"{label} {name[:24].encode('ascii', 'replace').decode()}".strip()
