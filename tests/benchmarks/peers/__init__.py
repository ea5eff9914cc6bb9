"""How do other pipelines fare on the same work and the same faults? `python -m tests.benchmarks.peers` measures it."""
