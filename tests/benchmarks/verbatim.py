"""What digitflow is measured against: two public examples with their own settings, in plain Keras."""

import keras
import numpy as np
from keras.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def tutorial(train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray) -> keras.Model:
    """The beginners' tutorial of 2019: 3 epochs, Keras's defaults, validated on the test images after each epoch."""
    network = keras.Sequential(
        [keras.Input((28, 28, 1)), Conv2D(8, 3), MaxPooling2D(2), Flatten(), Dense(10, activation="softmax")]
    )
    network.compile("adam", loss="categorical_crossentropy", metrics=["accuracy"])
    network.fit(train_x, train_y, epochs=3, validation_data=(test_x, test_y), verbose=0)
    return network


def keras_example(train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray) -> keras.Model:
    """Keras's own `mnist_convnet`: 15 epochs of 128 on nine tenths of the images, pixels in [0, 1]."""
    network = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            Conv2D(32, 3, activation="relu"),
            MaxPooling2D(2),
            Conv2D(64, 3, activation="relu"),
            MaxPooling2D(2),
            Flatten(),
            Dropout(0.5),
            Dense(10, activation="softmax"),
        ]
    )
    network.compile("adam", loss="categorical_crossentropy", metrics=["accuracy"])
    network.fit(train_x, train_y, batch_size=128, epochs=15, validation_split=0.1, verbose=0)
    return network
