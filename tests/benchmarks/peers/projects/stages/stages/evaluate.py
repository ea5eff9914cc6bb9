import json
from pathlib import Path

from work import steps
from work.files import read

accuracy = steps.evaluate(read("out/weights"), read("out/images"), read("out/targets"))
Path("out/accuracy.json").write_text(json.dumps(accuracy))
