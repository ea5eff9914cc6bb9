"""The steps of a training and its learning rate, in plain numbers, for those who do not train."""

import math

from tasks.model.hyperparameters import Hyperparameters

FEW_STEPS = 200
"""Steps of the optimiser in which a network has hardly begun to learn."""


def describe_few_steps(hyperparameters: Hyperparameters, images: int) -> str:
    """What to say of a network that learned in few steps from so many images, as on a small data set, or ""."""
    hp = hyperparameters
    steps = math.ceil(images / hp.batch_size) * hp.epochs
    if steps >= FEW_STEPS:
        return ""
    epochs = math.ceil(hp.epochs * FEW_STEPS / steps)
    seen = f"{images:,} images, {hp.epochs} epoch{'s' * (hp.epochs > 1)}"
    return f"the network learned in {steps} steps only ({seen}); try --epochs {epochs}"


def learning_rate(hyperparameters: Hyperparameters, done: float) -> float:
    """The learning rate after a share `done` in [0, 1] of all steps, as `network.OneCycle` computes it."""
    hp, peak = hyperparameters, hyperparameters.learning_rate
    if hp.schedule == "constant":
        return peak
    if done < hp.warmup:
        return peak / 25 + (peak - peak / 25) * done / hp.warmup
    fall = (done - hp.warmup) / (1 - hp.warmup)
    return peak / 1e4 + (peak - peak / 1e4) * 0.5 * (1 + math.cos(math.pi * fall))
