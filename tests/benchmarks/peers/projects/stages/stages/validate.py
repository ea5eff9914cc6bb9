from work import steps
from work.files import read, write

write("out/valid", steps.validate(read("out/raw")))
