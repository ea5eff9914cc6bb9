"""What is in people's own data, what is wrong with them, and how are they mended?

`inspect` reads and checks without a server and without training; `repair` writes a sound copy, and `grid` a picture.
"""
