from work import steps
from work.files import read, write

write("out/targets", steps.one_hot(read("out/valid")))
