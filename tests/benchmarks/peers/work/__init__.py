"""What is computed? The same seven steps for every peer, as plain functions."""
