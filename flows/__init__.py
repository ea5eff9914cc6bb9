"""In what order: the flows and the command line."""
