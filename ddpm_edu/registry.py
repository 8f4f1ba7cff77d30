"""Choices by name: tasks, denoisers, processes, schedulers and backbones, ours and those of other packages.

A choice is one object with a `name`, registered where it is defined:

    @DENOISERS.register
    @dataclass(frozen=True)
    class MlpConfig(DenoiserConfig):
        name: ClassVar[str] = "mlp"

Ours are found by looking through the folder of their kind: a new file there is a new choice. Another package
registers its own when it is imported. It is imported by itself when it is installed with an entry point of
the registry's group, or named in the environment variable DDPM_EDU_PLUGINS:

    [project.entry-points."ddpm_edu.denoisers"]
    mlp = "their_package.mlp"
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, TypeVar

from ddpm_edu.errors import ConfigError

T = TypeVar("T")
PLUGINS = "DDPM_EDU_PLUGINS"
"""Environment variable: modules to import before a name is looked up, separated by commas."""


class Registry(Mapping[str, T]):
    """The choices of one kind, in the order in which they were registered.

    Args:
        kind: what one of them is called in messages: "task".
        plural: what several are called, and the entry points' group: "tasks" has "ddpm_edu.tasks".
        package: the package whose modules register our own choices when they are imported.
    """

    def __init__(self, kind: str, plural: str, package: str) -> None:
        self.kind, self.plural, self.package = kind, plural, package
        self._items: dict[str, T] = {}
        self._origins: dict[str, str] = {}
        self._loaded = False

    def register(self, item: T) -> T:
        """Adds a choice under its `name`; returns it, so that it can decorate a class.

        Raises:
            ConfigError: if it has no name, or another choice has it.
        """
        name = getattr(item, "name", None)
        if not isinstance(name, str) or not name or name.split() != [name]:
            raise ConfigError(f"{item!r} has the name {name!r}; a {self.kind} needs one word as its name")
        origin = _origin(item, sys._getframe(1).f_globals.get("__name__", "?"))
        earlier = self._origins.get(name, origin) if name in self._items else origin
        # The cell of a notebook, or a module that is loaded again, defines the same choice once more.
        if earlier != origin:
            raise ConfigError(f"two {self.plural} are called {name!r}: {earlier} and {origin}; rename one")
        self._items[name], self._origins[name] = item, origin
        return item

    def get(self, name: str | T) -> T:  # type: ignore[override]
        """The choice of a name; a choice itself passes through.

        Raises:
            ConfigError: if there is none of this name; the message lists those that are.
        """
        if not isinstance(name, str):
            return name
        self._load()
        if name not in self._items:
            raise ConfigError(
                f"{self.kind} is {name!r}; the {self.plural} are {', '.join(map(repr, self._items))}; one of "
                f"another package is known once that is installed, or named in {PLUGINS}"
            )
        return self._items[name]

    def names(self) -> tuple[str, ...]:
        """The names of all choices."""
        self._load()
        return tuple(self._items)

    def __getitem__(self, name: str) -> T:
        self._load()
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def _load(self) -> None:
        """Imports what registers choices, once."""
        if self._loaded:
            return
        self._loaded = True  # before: a module that is being imported may look up a name
        try:
            self._import_all()
        except BaseException:
            self._loaded = False  # what failed is named at every look, not passed over at the next
            raise

    def _import_all(self) -> None:
        package = importlib.import_module(self.package)
        for module in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
            importlib.import_module(f"{self.package}.{module}")
        for entry in entry_points(group=f"ddpm_edu.{self.plural}"):
            try:
                entry.load()
            except Exception as error:  # whatever a stranger's module raises, it is named in one line
                raise ConfigError(
                    f"the {self.kind} {entry.name!r} of {entry.value} cannot be imported: {error!r}; "
                    "mend or uninstall the package that brings it"
                ) from error
        for module in filter(None, map(str.strip, os.environ.get(PLUGINS, "").split(","))):
            try:
                importlib.import_module(module)
            except Exception as error:
                reason = str(error) if isinstance(error, ImportError) else repr(error)
                raise ConfigError(
                    f"{PLUGINS} names {module!r}, which cannot be imported: {reason}"
                ) from error


def _origin(item: Any, module: str) -> str:
    """Where a choice was defined: a class says it itself, for an object it is where it is registered."""
    if isinstance(item, type):
        return f"{item.__module__}.{item.__qualname__}"
    return f"{type(item).__qualname__} of {module}"
