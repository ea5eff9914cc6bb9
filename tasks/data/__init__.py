"""Which images and labels are there, and are they sound?

A data set is identified by the SHA-256 of its decompressed files, so it does not matter which mirror serves them.
`schema` has the contracts, based on the statistics in `quality`, which also has the report.
"""
