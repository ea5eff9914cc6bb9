"""Lets the benchmark kill digitflow in a write; without its variable, nothing."""

import os

if "PEERS_WRITE_LIMIT" in os.environ:
    from work.journal import die_in_next_write

    die_in_next_write()
