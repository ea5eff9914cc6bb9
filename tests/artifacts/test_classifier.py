"""The old import path of `Classifier`."""

import pytest

import digitflow


def test_old_path_works_with_a_warning() -> None:
    """The old path gives the public class, and warns of its end; it has nothing else."""
    import artifacts.classifier

    with pytest.warns(DeprecationWarning, match="import Classifier from digitflow"):
        assert artifacts.classifier.Classifier is digitflow.Classifier
    with pytest.raises(AttributeError):
        _ = artifacts.classifier.Registry


def test_public_names_are_few() -> None:
    """The public module has at most a dozen names, each of them documented."""
    assert len(digitflow.__all__) <= 12
    assert all(getattr(digitflow, name).__doc__ for name in digitflow.__all__)
