"""Kedro asks for this module; every setting is its default."""
