"""A manifest records what decides the bytes of a result on another machine."""

from pathlib import Path

import pytest

from artifacts.lineage import environment
from artifacts.lineage.environment import instruction_set, machine


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("flags\t\t: fpu sse4_1 avx avx2 fma\n", "avx2"),
        ("flags : avx2 avx512f avx512_vnni amx_tile\n", "amx_tile"),
        ("Features\t: fp asimd crc32\n", "asimd"),
        ("processor : 0\n", ""),
    ],
)
def test_widest_instructions(told: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The widest vector instructions that Linux tells of are recorded; a limit of oneDNN's replaces them."""
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    (tmp_path / "cpuinfo").write_text(told)
    monkeypatch.setattr(environment, "CPUINFO", tmp_path / "cpuinfo")
    assert machine()["instructions"] == expected
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert instruction_set() == "avx2"


def test_no_processor_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not tell, nothing is recorded."""
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(environment, "CPUINFO", tmp_path / "none")
    assert instruction_set() == ""
