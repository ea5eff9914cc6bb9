"""The command `digitflow`, also as `python -m flows.cli`: the start of a process that does nothing else."""

import atexit
import gc
import sys

USED_WITH = {"hypothesis": None, "dask": "dask", "pyarrow": "predict"}
"""What pandera, xarray and pandas import if it is installed, and the word of the commands that use it."""


def start() -> None:
    """Run the command line in a process of its own.

    What the command does not use stays out, which saves up to half a second and 40 MB. The garbage collector looks less
    often at the objects that imports make, and at the end not at all, which saves a tenth of a command's time.
    """
    for package, word in USED_WITH.items():
        if word is None or not any(word in given for given in sys.argv):
            sys.modules.setdefault(package, None)  # type: ignore[arg-type]  # counts as not installed
    gc.set_threshold(50_000, 10, 10)
    atexit.register(gc.freeze)
    try:
        from artifacts.interrupts import ignore_late_interrupts, watch_interrupts

        watch_interrupts()
        from flows.cli.app import main
    except KeyboardInterrupt:
        sys.stderr.write("digitflow: interrupted before it began\n")
        sys.exit(130)
    try:
        main()
    finally:
        ignore_late_interrupts()


if __name__ == "__main__":
    start()
