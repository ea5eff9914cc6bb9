"""Scales, ticks and swarms of figures."""

import itertools
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from tasks.reporting.svg import Figure, Scale, scale, spread, swarm, text, ticks

numbers = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


@given(st.lists(numbers, min_size=1, max_size=20), st.booleans())
def test_values_and_ticks_are_inside(values: list[float], is_log: bool) -> None:
    """A scale has room for its values, and its ticks are in order, inside, few and round."""
    values = [abs(value) + 0.01 for value in values] if is_log else values
    axis = scale(values, 10, 390, is_log=is_log)
    assert all(10 <= axis(value) <= 390 for value in values)
    marks = ticks(axis)
    assert marks == sorted(set(marks)) and all(9.9 <= axis(mark) <= 390.1 for mark in marks) and len(marks) <= 20


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_no_point_hides_another(places: list[float]) -> None:
    """Moved sideways, circles do not overlap while there is room."""
    offsets = swarm(places, 3, 1000)
    points = list(zip(places, offsets, strict=True))
    for i, (x, y) in enumerate(points):
        assert all((x - a) ** 2 + (y - b) ** 2 >= 35.9 for a, b in points[:i])


@given(st.lists(st.floats(0, 100), max_size=20))
def test_places_are_moved_apart(places: list[float]) -> None:
    """Spread places keep their order and a distance, and places that have it stay where they are."""
    moved = spread(places, 5)
    order = sorted(range(len(places)), key=lambda i: places[i])
    assert all(moved[b] - moved[a] >= 4.99 for a, b in itertools.pairwise(order))
    assert spread(moved, 4.9) == moved


def test_figure_is_well_formed() -> None:
    """A figure on its own is XML that says in words what it shows, whatever the words are."""
    figure = Figure('a "<b>" & c', "", 100, text(1, 2, "<script>&"))
    for markup in (figure.markup, figure._element("<style></style>", ' xmlns="http://www.w3.org/2000/svg"')):
        root = ElementTree.fromstring(markup)
        assert root.attrib["aria-label"] == 'a "<b>" & c' and root.attrib["role"] == "img"
    assert figure.source.startswith("data:image/svg+xml;base64,")


def test_logarithmic_scale() -> None:
    """On a logarithmic scale, equal ratios are equal distances."""
    axis = Scale(1, 100, 0, 2, is_log=True)
    assert [axis(value) for value in (1, 10, 100)] == [0, 1, 2]
