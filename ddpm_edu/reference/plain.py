"""Configurations as plain data, and groups of settings that say what they do not understand."""

from __future__ import annotations

import re
from typing import Any

from ddpm_edu.errors import CheckpointError
from ddpm_edu.reference.unpickle import Inert

_NODE_LIMIT, _DEPTH_LIMIT = 100_000, 50
_REQUIRED = object()
_REFERENCE = re.compile(r"\$\{(\.*)(\w+(?:\.\w+|\[\w+\])*)\}")


class Section:
    """A group of settings that remembers which of them were understood."""

    def __init__(self, name: str, values: Any) -> None:
        if not isinstance(values, dict):
            raise CheckpointError(f"its configuration has no section {name!r}")
        self.name, self.values, self.known = name, values, set()

    def take(self, name: str, kind: Any, default: Any = _REQUIRED) -> Any:
        """A setting, once its type is right; its default where it is left out."""
        self.known.add(name)
        value = self.values.get(name, default)
        if value is _REQUIRED:
            raise CheckpointError(f"its configuration lacks {self.name}.{name}")
        if value is None and (default is None or name in ("crop_shape", "trained_betas")):
            return None
        wrong_bool = isinstance(value, bool) and kind not in (bool, object)
        if value is not default and (wrong_bool or not isinstance(value, kind)):
            wanted = kind[-1] if isinstance(kind, tuple) else kind
            raise CheckpointError(
                f"its {self.name}.{name} is {repr(value)[:200]}, which is not of type {wanted.__name__}"
            )
        return value

    def choice(self, name: str, choices: dict[str, Any]) -> str:
        """The class that a `_target_` names, without its module."""
        target = self.take(name, str)
        if target.rpartition(".")[2] not in choices:
            raise CheckpointError(
                f"its {self.name} is a {target!r}; what can be imported is {', '.join(choices)}"
            )
        return target.rpartition(".")[2]

    def section(self, name: str) -> Section:
        """A group inside this one."""
        self.known.add(name)
        return Section(f"{self.name}.{name}", self.values.get(name))

    def skip(self, *names: str) -> None:
        """Settings that need no counterpart."""
        self.known.update(names)

    def refuse_others(self) -> None:
        """Refuses the first setting that was not understood: it might change what the policy does."""
        for name, value in self.values.items():
            if name not in self.known:
                shown = name if name.isidentifier() else repr(name)
                raise CheckpointError(
                    f"its {self.name}.{shown} = {repr(value)[:200]} has no counterpart here"
                )


def plain_config(node: Any) -> Any:
    """The plain containers inside pickled OmegaConf objects; plain containers stay what they are.

    References to other entries, such as `${horizon}`, `${..horizon}` or `${sizes[0]}`, are followed. Nothing
    is evaluated: an entry that is still `${eval:...}` stays that text.

    Raises:
        CheckpointError: if the configuration refers to itself, or is larger than any real one.
    """
    root = _plain(node, [_NODE_LIMIT], 0)
    return _follow(root, (root,), [_NODE_LIMIT], 0)


def _plain(node: Any, budget: list[int], depth: int) -> Any:
    _spend(budget, depth)
    if isinstance(node, Inert):
        if isinstance(node.state, dict) and "_content" in node.state:
            return _plain(node.state["_content"], budget, depth + 1)
        if isinstance(node.state, dict) and "_val" in node.state:
            return _plain(node.state["_val"], budget, depth + 1)
        return node
    if isinstance(node, dict):
        return {str(key): _plain(value, budget, depth + 1) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_plain(value, budget, depth + 1) for value in node]
    return node


def _follow(node: Any, parents: tuple[Any, ...], budget: list[int], depth: int) -> Any:
    """The node with its references followed; `parents` are the containers around it, the whole first."""
    _spend(budget, depth)
    if isinstance(node, dict):
        return {key: _follow(value, (*parents, node), budget, depth + 1) for key, value in node.items()}
    if isinstance(node, list):
        return [_follow(value, (*parents, node), budget, depth + 1) for value in node]
    reference = _REFERENCE.fullmatch(node) if isinstance(node, str) else None
    if reference is None:
        return node
    dots, names = reference.groups()
    # One dot is the container that the reference stands in, each further dot the one around it.
    around = parents[: max(0, len(parents) + 1 - len(dots))] if dots else parents[:1]
    for name in re.findall(r"\w+", names) if around else ():
        target = around[-1]
        if isinstance(target, str):
            target = _follow(target, around[:-1], budget, depth + 1)
        if isinstance(target, list) and re.fullmatch("[0-9]{1,6}", name) and int(name) < len(target):
            around = (*around, target[int(name)])
        elif isinstance(target, dict) and name in target:
            around = (*around, target[name])
        else:
            around = ()
            break
    if not around:
        raise CheckpointError(f"its configuration refers to {node[:200]!r}, which it does not have")
    return _follow(around[-1], around[:-1], budget, depth + 1)


def _spend(budget: list[int], depth: int) -> None:
    budget[0] -= 1
    if budget[0] < 0 or depth > _DEPTH_LIMIT:
        raise CheckpointError("its configuration is nested without end; no real one is")
