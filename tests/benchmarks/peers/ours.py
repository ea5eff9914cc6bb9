"""digitflow among its peers: a copy of its code that the benchmark may edit, and its manifests read as a journal."""

import compileall
import json
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
ROOMS = ("artifacts", "tasks", "flows", "deployments")
NAMES = {"read": "download", "normalise-and-reshape": "normalise", "one-hot-encode": "one_hot"}


def copy_code(place: Path) -> None:
    """Copy the code; its pixels are centred three calls deep and its labels pass through helperlib, as the peers'."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, place / room, ignore=shutil.ignore_patterns("__pycache__", "home"))
    shutil.copy(Path(__file__).with_name("work") / "centre.py", place / "tasks/data/centre.py")
    _replace(
        place / "tasks/data/images.py",
        (
            "return images[..., np.newaxis] / np.float32(255) - np.float32(0.5)",
            "return centre(images[..., np.newaxis] / np.float32(255))",
        ),
        (
            "from tasks.data.datasets import FORMAT_NAMES",
            "from tasks.data.centre import centre\nfrom tasks.data.datasets import FORMAT_NAMES",
        ),
    )
    _replace(
        place / "tasks/data/one_hot.py",
        ("import numpy as np\n", "import helperlib\nimport numpy as np\n"),
        ("    return targets\n", "    return helperlib.smooth(targets)\n"),
        ('shaped_by=("numpy",)', 'shaped_by=("numpy", "helperlib")'),
    )
    _replace(
        place / "tasks/data/normalise.py",
        (
            "    return Pair(train=_rescaled(",
            "    # the images as the network takes them\n    return Pair(train=_rescaled(",
        ),
    )
    compileall.compile_dir(place, quiet=1)


def _replace(file: Path, *pairs: tuple[str, str]) -> None:
    text = file.read_text()
    for old, new in pairs:
        if text.count(old) != 1:
            raise SystemExit(
                f"{file.name} has {old!r} {text.count(old)} times; name in {Path(__file__).name} what it is now"
            )
        text = text.replace(old, new)
    file.write_text(text)


def events(home: Path) -> list[dict[str, Any]]:
    """The steps that were computed, run after run, as the peers' steps note them."""
    found = []
    manifests = [json.loads(path.read_text()) for path in home.glob("runs/*/manifest.json")]
    for manifest in sorted(manifests, key=lambda manifest: manifest["started"]):
        for step in manifest["steps"]:
            if not step["cached"]:
                event = {"event": NAMES.get(step["name"], step["name"])}
                if step["name"] == "train":
                    inputs = step["call"]["inputs"]
                    event |= {name: inputs[name]["sha256"][:16] for name in ("images", "targets")}
                found.append(event)
    return found
