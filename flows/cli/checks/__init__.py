"""Is what surrounds a pipeline sound: the machine, the home, the network, Prefect's server and the model registry?

A check leaves nothing behind; it fetches a champion's weights if the home lacks them.
"""
