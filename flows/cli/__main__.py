"""The command `digitflow`, also as `python -m flows.cli`: the start of a process that does nothing else."""

import sys

from flows.cli.app import main


def start() -> None:
    """Run the command line, without what others import if it is installed: hypothesis for pandera, dask for xarray.

    That would be half a second for what nothing here uses, but for the trials that run on Dask.
    """
    for unused in ("hypothesis",) if any("dask" in word for word in sys.argv) else ("hypothesis", "dask"):
        sys.modules.setdefault(unused, None)  # type: ignore[arg-type]  # counts as not installed
    main()


if __name__ == "__main__":
    start()
