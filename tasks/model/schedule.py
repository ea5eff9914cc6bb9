"""The learning rate over a training, in plain numbers, for those who do not train."""

import math

from tasks.model.hyperparameters import Hyperparameters


def learning_rate(hyperparameters: Hyperparameters, done: float) -> float:
    """The learning rate after a share `done` in [0, 1] of all steps, as `network.OneCycle` computes it."""
    hp, peak = hyperparameters, hyperparameters.learning_rate
    if hp.schedule == "constant":
        return peak
    if done < hp.warmup:
        return peak / 25 + (peak - peak / 25) * done / hp.warmup
    fall = (done - hp.warmup) / (1 - hp.warmup)
    return peak / 1e4 + (peak - peak / 1e4) * 0.5 * (1 + math.cos(math.pi * fall))
