"""What does a model read in a new image?"""
