"""Choices by name, and where they come from."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ddpm_edu.errors import ConfigError
from ddpm_edu.registry import PLUGINS, Registry


@dataclass(frozen=True)
class Fruit:
    name: str


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


@pytest.fixture
def fruits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry whose own package has one file, with one fruit in it."""
    package = f"package_{tmp_path.name.replace('-', '_')}"
    write(tmp_path, f"{package}/__init__.py", "")
    write(
        tmp_path,
        f"{package}/apple.py",
        f"from {__name__} import Fruit, KNOWN\nKNOWN[0].register(Fruit('apple'))\n",
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    registry = Registry("fruit", "fruits", package)
    monkeypatch.setitem(KNOWN, 0, registry)
    return registry


KNOWN: dict[int, Registry] = {}


def test_a_file_in_the_kinds_folder_is_a_choice(fruits: Registry) -> None:
    assert fruits.names() == ("apple",)
    assert fruits.get("apple") == fruits["apple"] == Fruit("apple")
    assert fruits.get(Fruit("other")) == Fruit("other")  # a choice itself passes through


def test_an_unknown_name_is_answered_with_the_known_ones(fruits: Registry) -> None:
    with pytest.raises(ConfigError, match=r"fruit is 'pear'; the fruits are 'apple'"):
        fruits.get("pear")


def test_a_name_is_given_once(fruits: Registry) -> None:
    @fruits.register
    class Pear:
        name = "pear"

    assert fruits.register(Pear) is Pear  # a cell that runs again defines the same
    with pytest.raises(ConfigError, match="two fruits are called 'pear'"):
        fruits.register(Fruit("pear"))
    with pytest.raises(ConfigError, match="one word"):
        fruits.register(Fruit("two words"))


def test_an_installed_package_brings_its_own_by_entry_point(fruits: Registry, tmp_path: Path) -> None:
    write(
        tmp_path, "their_fruit.py", f"from {__name__} import Fruit, KNOWN\nKNOWN[0].register(Fruit('fig'))\n"
    )
    write(tmp_path, "theirs-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    write(tmp_path, "theirs-1.0.dist-info/entry_points.txt", "[ddpm_edu.fruits]\nfig = their_fruit\n")
    assert fruits.names() == ("apple", "fig")


def test_a_package_that_cannot_be_imported_is_named(fruits: Registry, tmp_path: Path) -> None:
    write(tmp_path, "broken-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    write(tmp_path, "broken-1.0.dist-info/entry_points.txt", "[ddpm_edu.fruits]\nkiwi = no_such_module\n")
    with pytest.raises(ConfigError, match="the fruit 'kiwi' of no_such_module cannot be imported"):
        fruits.names()


def test_the_environment_names_plugins(
    fruits: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        tmp_path,
        "plugged_fruit.py",
        f"from {__name__} import Fruit, KNOWN\nKNOWN[0].register(Fruit('plum'))\n",
    )
    monkeypatch.setenv(PLUGINS, "plugged_fruit")
    assert "plum" in fruits.names()
    monkeypatch.setenv(PLUGINS, "no_such_plugin")
    with pytest.raises(ConfigError, match="no_such_plugin"):
        Registry("fruit", "fruits", fruits.package).names()


@pytest.mark.parametrize("text", ["1 / 0\n", "import no_such_thing\n"])
def test_a_plugin_that_fails_is_named_at_every_look(
    fruits: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    write(tmp_path, "failing_fruit.py", text)
    monkeypatch.setenv(PLUGINS, "failing_fruit")
    for _ in range(2):
        with pytest.raises(ConfigError, match=f"{PLUGINS} names 'failing_fruit', which cannot be imported: "):
            fruits.names()
    monkeypatch.delenv(PLUGINS)
    assert fruits.names() == ("apple",)
