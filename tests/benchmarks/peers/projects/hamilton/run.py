"""Run the dataflow with Hamilton's cache."""

import sys

import dag
from hamilton import driver

if __name__ == "__main__":
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    cached = driver.Builder().with_modules(dag).with_cache(path="cache").build()
    cached.execute(["saved"], inputs={"folder": "data", "epochs": 10, "seed": seed})
