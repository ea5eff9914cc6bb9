"""The steps. Images are (n, 28, 28) bytes, labels (n,) in [0, 10); each split is a pair of training and test array."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import helperlib
import numpy as np
from work.journal import die_in_next_write, digest, note, pause_after
from work.pixels import rescale

FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
Raw = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Training images and labels, test images and labels."""
Pair = tuple[np.ndarray, np.ndarray]
Weights = list[np.ndarray]


def download(folder: str) -> Raw:
    """Read the four gzipped IDX files."""
    note("download")
    arrays = []
    for name in FILES:
        content = gzip.decompress(Path(folder, f"{name}-ubyte.gz").read_bytes())
        sizes = [int.from_bytes(content[i : i + 4], "big") for i in range(4, 4 * (1 + content[3]), 4)]
        arrays.append(np.frombuffer(content, np.uint8, offset=4 * (1 + len(sizes))).reshape(sizes).copy())
    return tuple(arrays)  # type: ignore[return-value]


def validate(raw: Raw) -> Raw:
    """Raise ValueError if images and labels do not fit each other."""
    note("validate")
    for images, labels in (raw[:2], raw[2:]):
        if images.shape != (len(labels), 28, 28) or labels.max() > 9 or images.std(axis=(1, 2)).min() == 0:
            raise ValueError("images and labels do not fit each other")
    return raw


def normalise(raw: Raw) -> Pair:
    """Images as the network takes them, float32 in [-0.5, 0.5]."""
    note("normalise")
    images = rescale(raw[0]), rescale(raw[2])
    die_in_next_write()
    return images


def one_hot(raw: Raw) -> Pair:
    """Labels as float32 rows; helperlib 2.0 smooths them."""
    note("one_hot")
    train, test = (np.eye(10, dtype=np.float32)[labels] for labels in (raw[1], raw[3]))
    return helperlib.smooth(train), test


def train(images: Pair, targets: Pair, epochs: int, seed: int) -> Weights:
    """Fit the tutorial's network with the settings of the recipe `tutorial`."""
    note("train", images=digest(images[0]), targets=digest(targets[0]))
    import keras

    keras.utils.set_random_seed(seed)
    network = build()
    steps = epochs * math.ceil(len(images[0]) / 256)
    warmup = steps // 5
    schedule = keras.optimizers.schedules.CosineDecay(3e-4, steps - warmup, warmup_target=0.03, warmup_steps=warmup)
    optimizer = keras.optimizers.Adam(schedule, beta_1=0.7, beta_2=0.9)
    network.compile(optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    noted = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, _: _end_epoch(epoch + 1))
    network.fit(images[0], targets[0], epochs=epochs, batch_size=256, verbose=0, callbacks=[noted])
    note("trained")
    weights: Weights = network.get_weights()
    return weights


def evaluate(weights: Weights, images: Pair, targets: Pair) -> float:
    """The share of the test images that are classified right, in [0, 1]."""
    note("evaluate")
    network = build()
    network.set_weights(weights)
    right = network.predict(images[1], verbose=0, batch_size=1000).argmax(axis=1) == targets[1].argmax(axis=1)
    return float(right.mean())


def save(weights: Weights, accuracy: float, folder: str) -> str:
    """Write the weights and the accuracy into a folder; returns the path of the latter."""
    note("save", accuracy=accuracy)
    Path(folder).mkdir(parents=True, exist_ok=True)
    np.savez(Path(folder, "weights.npz"), *weights)
    answer = Path(folder, "answer.json")
    answer.write_text(json.dumps({"accuracy": accuracy}))
    return str(answer)


def build() -> Any:
    """One convolution of 8 filters, a max-pool and a dense layer: 13,610 parameters."""
    import keras
    from keras.layers import Conv2D, Dense, Flatten, MaxPooling2D

    return keras.Sequential(
        [keras.Input((28, 28, 1)), Conv2D(8, 3), MaxPooling2D(2), Flatten(), Dense(10, activation="softmax")]
    )


def _end_epoch(epoch: int) -> None:
    note("epoch", number=epoch)
    pause_after(epoch)
