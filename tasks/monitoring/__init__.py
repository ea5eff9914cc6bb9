"""Are the images that come in still like those that the model learned from?"""
