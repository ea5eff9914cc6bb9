"""Classes count from 0; names are kept, and belong to the same classes in every split and batch."""

from pathlib import Path

import numpy as np
import pytest

from artifacts.errors import BadSource, UsageError
from tasks.data.reader.labels import class_names, encode, encode_as, read_names
from tasks.data.reader.layouts import find_data


def test_names_of_both_splits() -> None:
    """A class that occurs in one split only has its number in both."""
    (train, test), names = encode([np.array(["dog", "cat"]), np.array(["bird", "dog"])])
    assert names == ("bird", "cat", "dog") and train.tolist() == [2, 1] and test.tolist() == [0, 2]


def test_numbers_are_kept() -> None:
    """Whole numbers stay; names that say them from 0 are no names."""
    assert encode([np.array([3, 1])])[0][0].tolist() == [3, 1]
    assert encode([np.array(["1", "0", "2"])])[1] == ()
    assert encode([np.array(["1", "2", "10"])])[1] == ("1", "2", "10")


def test_told_names() -> None:
    """A list of names is for labels that are numbers, and gives named labels their order."""
    told = ("zero", "one", "two")
    assert encode([np.array([2, 0])], told)[1] == told
    (labels,), names = encode([np.array(["two", "zero"])], told)
    assert labels.tolist() == [2, 0] and names == told
    with pytest.raises(BadSource, match="names 3 classes, zero to two, but has labels up to 3"):
        encode([np.array([3])], told)


def test_a_batch_has_the_classes_of_its_data_set() -> None:
    """Labels of a batch are told by the names of the data set, or by their numbers if it has none."""
    assert encode_as(np.array(["b", "a"]), ("a", "b")).tolist() == [1, 0]
    assert encode_as(np.array(["7", "0"]), ()).tolist() == [7, 0]
    assert encode_as(np.array([7, 0]), ("a", "b")).tolist() == [7, 0]
    with pytest.raises(BadSource, match="has the label 'c', but the classes of the data set are a, b"):
        encode_as(np.array(["c"]), ("a", "b"))


@pytest.mark.parametrize("values", [[-1, 3], [0, 256]])
def test_numbers_that_are_no_labels(values: list[int]) -> None:
    """Numbers below 0 or above 255 are refused with their range."""
    with pytest.raises(BadSource, match=f"labels from {values[0]} to {values[1]}"):
        encode([np.array(values)])


def test_names_that_tell_no_classes_apart(tmp_path: Path) -> None:
    """Names are made printable, in a file and in an archive alike; empty and repeated ones are refused."""
    assert class_names(["a\nb", "  c ", 7], "names") == ("a b", "c", "7")
    for names, words in ((["a", ""], "names has no name for class 1"), (["a", "b", " a"], "names names a twice")):
        with pytest.raises(BadSource, match=words):
            class_names(names, "names")
    images, labels = np.arange(32, dtype=np.uint8).reshape(2, 4, 4), np.array([0, 1], np.uint8)
    np.savez(tmp_path / "x.npz", images=images, labels=labels, class_names=["a", "a"])
    with pytest.raises(UsageError, match="class_names names a twice"):
        find_data(tmp_path / "x.npz")


def test_names_in_a_file(tmp_path: Path) -> None:
    """A classes.txt has a name in each line; empty lines do not count."""
    assert read_names(tmp_path) == ()
    (tmp_path / "classes.txt").write_bytes("\ufeffcat\r\n\r\ndög \r\n".encode())
    assert read_names(tmp_path) == ("cat", "dög")
