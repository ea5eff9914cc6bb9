import json
from pathlib import Path

from work import steps
from work.files import read

steps.save(read("out/weights"), json.loads(Path("out/accuracy.json").read_text()), "out/saved")
