"""How good is a model, and is it good enough?

`evaluate` measures a model on the test images. `save_weights` runs the smoke test: a new process loads the stored
weights and must predict the same from raw pixels. `check_gate` applies the gate: limits on the model itself, a paired
test against the champion on the same images, and limits on size and speed. A rejection is a verdict, not an error.
"""
