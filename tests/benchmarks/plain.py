"""The pipeline's steps without a pipeline: one script that keeps nothing but its weights.

    python -m tests.benchmarks.plain MIRROR FOLDER              # with the settings of the recipe `tutorial`
    python -m tests.benchmarks.plain MIRROR FOLDER --verbatim   # the tutorial of 2019 as it was published

MIRROR is the URL of a folder with the four gzipped IDX files; the weights are written into FOLDER.
"""

import gzip
import math
import sys
import urllib.request
from pathlib import Path

import keras
import numpy as np
from keras.layers import Conv2D, Dense, Flatten, MaxPooling2D

from tests.benchmarks import verbatim

FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def download(mirror: str, dtype: str) -> verbatim.Arrays:
    """Images in [-0.5, 0.5] of shape (n, 28, 28, 1) and one-hot labels, of the training and the test set."""
    arrays = []
    for name in FILES:
        with urllib.request.urlopen(f"{mirror}{name}-ubyte.gz") as answer:
            content = gzip.decompress(answer.read())
        sizes = [int.from_bytes(content[i : i + 4], "big") for i in range(4, 4 * (1 + content[3]), 4)]
        array = np.frombuffer(content, np.uint8, offset=4 * (1 + len(sizes))).reshape(sizes)
        if array.ndim == 3:
            arrays.append((array / 255 - 0.5).astype(dtype)[..., None])
        else:
            arrays.append(keras.utils.to_categorical(array, 10))
    return tuple(arrays)  # type: ignore[return-value]


def build() -> keras.Model:
    return keras.Sequential(
        [keras.Input((28, 28, 1)), Conv2D(8, 3), MaxPooling2D(2), Flatten(), Dense(10, activation="softmax")]
    )


def fit_as_the_recipe(train_x: np.ndarray, train_y: np.ndarray) -> keras.Model:
    """3 epochs in batches of 256, Adam with a one-cycle learning rate of 0.03."""
    steps = 3 * math.ceil(len(train_x) / 256)
    warmup = steps // 5
    schedule = keras.optimizers.schedules.CosineDecay(3e-4, steps - warmup, warmup_target=0.03, warmup_steps=warmup)
    network = build()
    optimizer = keras.optimizers.Adam(schedule, beta_1=0.7, beta_2=0.9)
    network.compile(optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    network.fit(train_x, train_y, epochs=3, batch_size=256, verbose=0)
    return network


def main(mirror: str, folder: str, *flags: str) -> None:
    is_verbatim = "--verbatim" in flags
    train_x, train_y, test_x, test_y = download(mirror, "float64" if is_verbatim else "float32")
    if is_verbatim:
        network = verbatim.tutorial(train_x, train_y, test_x, test_y)
    else:
        network = fit_as_the_recipe(train_x, train_y)
        print(network.evaluate(test_x, test_y, verbose=0))
    weights = Path(folder, "cnn.weights.h5")
    network.save_weights(weights)
    again = build()
    again.load_weights(weights)
    print(again.predict(test_x[:5], verbose=0).argmax(axis=1), test_y[:5].argmax(axis=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
