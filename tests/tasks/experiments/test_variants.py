"""The tutorial's extensions and the variants that files declare."""

from pathlib import Path

import pytest

from artifacts.errors import UsageError
from tasks.experiments.variants import EXTENSIONS, SPACE, apply_changes, read_variants
from tasks.model.hyperparameters import Hyperparameters
from tasks.model.network import build_network
from tasks.model.recipes import RECIPES

BASE = Hyperparameters()


def declared(folder: Path, text: str, name: str = "file.yaml") -> dict[str, dict[str, object]]:
    path = folder / name
    path.write_text(text)
    return read_variants(path, BASE).variants()


@pytest.mark.parametrize("name", EXTENSIONS)
def test_extensions_can_be_built(name: str) -> None:
    """Each extension of each recipe is a network for MNIST's images, and no two extensions are the same."""
    for recipe in RECIPES.values():
        if name == "as is" or len(recipe.hyperparameters.filters) == 1:
            hyperparameters = apply_changes(recipe.hyperparameters, name, EXTENSIONS[name])
            assert build_network(hyperparameters, (28, 28, 1), 10).count_params()
    changed = apply_changes(BASE, "", EXTENSIONS[name])
    same = [other for other in EXTENSIONS.values() if apply_changes(BASE, "", other) == changed]
    assert len(same) == 1


def test_tutorials_layers() -> None:
    """The extensions that the tutorial shows have its layers."""
    from keras import layers

    def kinds(name: str) -> list[type]:
        network = build_network(apply_changes(BASE, name, EXTENSIONS[name]), (28, 28, 1), 10)
        return [type(layer) for layer in network.layers if not isinstance(layer, layers.Activation)]

    conv, pool, flat, dense = layers.Conv2D, layers.MaxPooling2D, layers.Flatten, layers.Dense
    assert kinds("two convolutions") == [conv, conv, pool, flat, dense]
    assert kinds("dropout") == [conv, pool, flat, layers.Dropout, dense]
    assert kinds("dense layer") == [conv, pool, flat, dense, dense]
    combined = build_network(apply_changes(BASE, "", EXTENSIONS["strides 2, same padding, relu"]), (28, 28, 1), 10)
    first, activation = combined.layers[0], combined.get_layer("activation_0")
    assert (first.strides, first.padding, activation.activation.__name__) == ((2, 2), "same", "relu")


def test_grid_is_the_product(tmp_path: Path) -> None:
    """A grid is every combination, in YAML and in TOML, and each combination is named after its changes."""
    yaml = declared(tmp_path, "grid:\n  dropout: [0, 0.5]\n  filters: [[8], [8, 16], [32]]\n")
    toml = declared(tmp_path, "[grid]\ndropout = [0, 0.5]\nfilters = [[8], [8, 16], [32]]\n", "file.toml")
    assert yaml == toml and len(yaml) == 6
    assert yaml["dropout 0.5, filters 8 16"] == {"dropout": 0.5, "filters": [8, 16]}


def test_list_may_name(tmp_path: Path) -> None:
    """A list holds the variants as they are, with the names that the file gives them, if any."""
    variants = declared(tmp_path, "list:\n  - {name: wide, filters: [64]}\n  - {epochs: 5}\n")
    assert variants == {"wide": {"filters": [64]}, "epochs 5": {"epochs": 5}}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "grid: {dropout: [0, 1.5]}", "dropout 1.5: dropout: should be less than 1"),
        ("a.yaml", "grid: {droput: [0.5]}", "droput: is unknown here"),
        ("a.yaml", "grid: {dropout: []}", "grid.dropout: should have a value"),
        ("a.yaml", "grid: {dropout: 0.5}", "grid.dropout: should be a list"),
        ("a.yaml", "grid: {filters: [8]}", "filters: should be a list"),
        ("a.yaml", "list: [{kernel_size: [3, 5]}]", "kernel_size has more entries than filters"),
        ("a.yaml", "list: [{name: a, epochs: 1}, {name: a, epochs: 2}]", "'a' is there twice"),
        ("a.yaml", "grid: {dropout: [0]}\nlist: [{}]", "give exactly one of grid, list and space"),
        ("a.yaml", "{}", "give exactly one of grid, list and space"),
        ("a.yaml", "grids: {}", "grids: is unknown here"),
        ("a.yaml", "- 1", "should be a valid dictionary"),
        ("a.yaml", "grid: [", "it is no YAML"),
        ("a.yaml", "\x00", "it is no YAML"),
        ("a.yaml", "grid: {seed: &a [1], batch_size: !!python/name:os.system }", "it is no YAML"),
        ("a.toml", "grid = ", "it is no TOML"),
        ("a.txt", "", "its name should end in .yaml or .toml"),
        ("a.yaml", f"grid: {{epochs: {[*range(1, 41)]}, batch_size: {[*range(1, 41)]}}}", "more than 1000"),
        ("a.yaml", "space: {dropout: {low: 0.5, high: 0.1}}", "low must be less than high"),
        ("a.yaml", "space: {learning_rate: {low: 0, high: 1, log: true}}", "low must be more than 0"),
        ("a.yaml", "space: {batch_norm: {low: 0, high: 1}}", "batch_norm is no number"),
        ("a.yaml", "space: {dropout: {low: 0, high: 1}}", "space dropout: dropout: should be less than 1"),
        ("a.yaml", "space: {kernel_size: [[3], [3, 5]], filters: [[8], [8, 8]]}", "more entries than filters"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, text: str, message: str) -> None:
    """The error of a bad file is one line, which names the file, the place and the value."""
    with pytest.raises(UsageError) as refused:
        declared(tmp_path, text, name)
    assert str(refused.value).startswith(str(tmp_path / name)) and message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_file(tmp_path: Path) -> None:
    """A missing file is a usage error."""
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_variants(tmp_path / "no.yaml", BASE)


def test_space_is_sound(tmp_path: Path) -> None:
    """The default search space is valid for each recipe."""
    from tasks.experiments.variants import _corners

    for recipe in RECIPES.values():
        for name, changes in _corners(SPACE):
            apply_changes(recipe.hyperparameters, name, changes)
