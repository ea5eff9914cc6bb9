"""How does a picture become an image as the model was trained on?

`conventions` says how the training images of a data set lie, and `training_layout` measures it. `paper` tells ink from
paper, `shapes` finds what is drawn, and `model_input` brings it to the conventions. People bring scans, photographs and
drawings; what cannot be understood is an error that says why.
"""
