from work import steps
from work.files import write

write("out/raw", steps.download("data"))
