"""Which variants are compared, and which wins?

A variant is a set of changes to a recipe's hyperparameters. `hold_out` divides the training images once; each trial
fits on one part and is scored on the other, the validation split, so that the test images judge only the winner.
Trials run in processes with a single thread, where a result depends on neither the cores nor the load of the machine.
A search lets Optuna propose variants in rounds, which makes it deterministic and lets a killed search continue.
"""
