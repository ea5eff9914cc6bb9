"""What belongs to a shape is told from lines, frames, dust and other shapes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.errors import BadSource
from tasks.pictures.shapes import find_shapes


def bars(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Ink of 100 by 100 pixels with bars at (top, bottom, left, right)."""
    ink = np.zeros((100, 100), np.float32)
    for top, bottom, left, right in boxes:
        ink[top:bottom, left:right] = 200
    return ink


MAIN = (20, 80, 40, 55)


@pytest.mark.parametrize(
    ("what", "beside"),
    [
        ("what reaches the edge", [(0, 30, 0, 20)]),
        ("what reaches the edge", [(0, 100, 90, 94)]),
        ("a line", [(86, 89, 10, 90)]),
        ("a frame", [(10, 12, 20, 80), (88, 90, 20, 80), (10, 90, 20, 22), (10, 90, 78, 80)]),
    ],
)
def test_left_out(what: str, beside: list[tuple[int, int, int, int]]) -> None:
    """What is no part of a digit is left out, and said."""
    ((shape,), said) = find_shapes(bars(MAIN, *beside))
    assert shape.shape == (60, 15) and said == (f"left out {what}",)


def test_dust_and_broken_strokes() -> None:
    """Dust far away is left out; a stroke with a small gap, and a bar beside its digit, belong to the digit."""
    ((alone,), _) = find_shapes(bars(MAIN, (5, 8, 5, 8)))
    assert alone.shape == (60, 15)
    ((broken,), _) = find_shapes(bars((20, 49, 40, 55), (52, 80, 40, 55)))
    assert broken.shape == (60, 15)
    ((flagged,), _) = find_shapes(bars(MAIN, (20, 30, 60, 75)))
    assert flagged.shape == (60, 35)


def test_cut_out_along_the_ink() -> None:
    """A picture without margins keeps all dark strokes at its edge; a pale one is a shadow."""
    body, flag = (30, 100, 0, 60), (0, 12, 60, 100)
    ((whole,), said) = find_shapes(bars(body, flag))
    assert whole.shape == (100, 100) and not said
    shaded = bars(body)
    shaded[0:12, 60:100] = 110
    ((alone,), said) = find_shapes(shaded)
    assert (alone.shape, said) == ((70, 60), ("left out what reaches the edge",))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(10, 20), st.integers(55, 80), st.integers(5, 9)), min_size=1, max_size=6))
def test_side_by_side(sides: list[tuple[int, int, int]]) -> None:
    """Bars of about one height side by side are as many shapes, from left to right, each with its own size."""
    boxes = [(top, bottom, 8 + 15 * i, 8 + 15 * i + width) for i, (top, bottom, width) in enumerate(sides)]
    found, _ = find_shapes(bars(*boxes))
    assert [shape.shape for shape in found] == [(bottom - top, right - left) for top, bottom, left, right in boxes]


def test_lines_are_read_in_order() -> None:
    """Shapes are read line by line, and from left to right in each."""
    boxes = [(60, 90, 60, 70), (10, 40, 55, 66), (12, 41, 20, 32), (62, 92, 20, 33)]
    found, _ = find_shapes(bars(*boxes))
    assert [shape.shape[1] for shape in found] == [12, 11, 13, 10]


@pytest.mark.parametrize(
    ("reason", "boxes"),
    [
        ("no paper", [(0, 100, 0, 50), (0, 50, 50, 100)]),
        (
            "reach its edge",
            [(i, i + 3, 0, 100) for i in range(5, 95, 15)] + [(0, 100, i, i + 3) for i in range(5, 95, 15)],
        ),
        ("only specks", [(50, 52, 50, 52)]),
        ("almost full of ink", [(1, 99, 1, 98)]),
    ],
)
def test_no_margin(reason: str, boxes: list[tuple[int, int, int, int]]) -> None:
    """Where nothing says which is ink and which is paper, the error says what is missing."""
    with pytest.raises(BadSource, match=reason):
        find_shapes(bars(*boxes))
