import json
from pathlib import Path

from work import steps
from work.files import read, write

settings = json.loads(Path("params.json").read_text())
write("out/weights", steps.train(read("out/images"), read("out/targets"), settings["epochs"], settings["seed"]))
