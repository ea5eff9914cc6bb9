from work import steps
from work.files import read, write

# the images as the network takes them
write("out/images", steps.normalise(read("out/valid")))
