"""An environment a peer, apart from the project's own: one set of pinned packages each."""

import subprocess
import sys
from pathlib import Path

KERAS = ("tensorflow-cpu==2.21.0", "keras==3.15.1", "numpy==2.4.6")
"""What the steps need, at the versions of this project's lock."""


def environment(folder: Path, name: str, requirements: tuple[str, ...]) -> Path:
    """The folder of the programs of an environment, which is made if it is not there whole."""
    place = folder / name / "venv"
    finished, wanted = place / "requirements.txt", "\n".join((*KERAS, *requirements))
    if not (finished.exists() and finished.read_text() == wanted):
        print(f"installing {name}", file=sys.stderr, flush=True)
        uv = Path(sys.executable).with_name("uv")
        _run(str(uv), "venv", "--quiet", "--clear", "--native-tls", "--python", sys.executable, str(place))
        install = (str(uv), "pip", "install", "--quiet", "--native-tls", "--compile-bytecode")
        _run(*install, "--python", str(place / "bin/python"), *KERAS, *requirements)
        finished.write_text(wanted)
    return place / "bin"


def _run(*command: str) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {finished.returncode}:\n{finished.stderr}")
