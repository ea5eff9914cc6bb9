"""The pipeline as a Kedro project."""
