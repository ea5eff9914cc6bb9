"""What does a model read in a new image?

`sources` reads files of images; `classifier` brings each to how the training images lie, and predicts. The flow
`prediction` predicts any number of images in `shards`: each is one step, whose result is recorded, so that a killed run
continues. A bad image is a row with its error; a transient error of the disk or network ends the run, because it says
nothing of the image.
"""
