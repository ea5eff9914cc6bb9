"""Which data arrived since, and may the models learn from them?

A batch arrives in the home's folder `inbox/`, whole. `collect` judges it against the data set and the champion: a good
batch goes to `batches/kept/` and into the ledger `batches/<data set>.json`, a bad one to `quarantine/` with a report,
and one whose labels the champion doubts to `approval/`, where it waits for a person. The ledger is written first and
knows batches by content, so that a kill at any point loses no batch and accepts none twice. What arrived is kept
because the store's arrays may be lost. Corrections from the web app wait in a database and arrive as batches too.
"""
