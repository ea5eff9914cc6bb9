"""Which network is it, and what does it compute?

Hyperparameters describe a network completely; `network` builds it, `forward` loads weights into it. Keras is imported
late, inside functions, because it takes seconds: a run whose steps are all cached never pays for it.
"""
