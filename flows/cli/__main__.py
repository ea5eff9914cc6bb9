"""The command `digitflow`, also as `python -m flows.cli`: the start of a process that does nothing else."""

import atexit
import gc
import sys

from flows.cli.app import main


def start() -> None:
    """Run the command line in a process of its own.

    What others import if it is installed, and nothing here uses, stays out: hypothesis for pandera, and dask for
    xarray, but for trials on Dask. The garbage collector looks less often at the objects that imports make, and at the
    end not at all: a tenth of a command's time.
    """
    for unused in ("hypothesis",) if any("dask" in word for word in sys.argv) else ("hypothesis", "dask"):
        sys.modules.setdefault(unused, None)  # type: ignore[arg-type]  # counts as not installed
    gc.set_threshold(50_000, 10, 10)
    atexit.register(gc.freeze)
    main()


if __name__ == "__main__":
    start()
