"""Are the images that come in still like those that the model learned from, and was the model confirmed lately?

`drift` compares counts. `reference` has those of the images that a version learned from, `record` those of the images
that it read, by day; `compared_days` holds the one against the other. `watch` counts where predictions are made.
`freshness` says when a champion was last confirmed.
"""
