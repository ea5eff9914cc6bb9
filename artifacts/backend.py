"""Keras, after the settings that TensorFlow reads only while it is imported. Import Keras from here."""

import os

os.environ["KERAS_BACKEND"] = os.environ.get("KERAS_BACKEND") or "tensorflow"  # whatever ~/.keras/keras.json says
# without oneDNN, which TensorFlow leaves off on processors without AVX-512, a fit takes three to five times as long
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# how many threads share an operation decides the order of its sums, and so the last bits of the weights
os.environ.setdefault(
    "TF_NUM_INTRAOP_THREADS", str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

__all__ = ["keras"]
