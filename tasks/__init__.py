"""What is done: one pipeline step a file, each a pure function in a thin Prefect shell."""
