"""`python -m flows.cli` is the command `digitflow`."""

from flows.cli.app import main

if __name__ == "__main__":
    main()
