"""A reader of pickles that builds data and can do nothing else.

A pickle is a program for a small stack machine, and two of its instructions fetch any function of any module
and call it: opening a file from outside with `pickle.load`, or with `torch.load(weights_only=False)`, runs
whatever its author wished. Here the instructions are carried out by a machine that has no way to import or to
call. Tensors, dictionaries, lists, tuples, numbers and strings come out as what they are; every other object
comes out as an `Inert`, which says what it would have been.

The instructions are described in Python's `pickletools`, which also takes them apart.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from ddpm_edu.errors import CheckpointError


@dataclass(frozen=True)
class Global:
    """The name of a function or class in a pickle, not the thing itself."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, repr=False)
class Inert:
    """An object that the pickle wanted to build, as a description.

    Attributes:
        what: the class or function that would have been called, or the `Inert` that would have been.
        arguments: what it would have been given.
        state: what the object's attributes would have been set from; None if they would not.
    """

    what: Any
    arguments: Any = ()
    state: Any = None

    def __repr__(self) -> str:
        # Never what it holds: that can be nested without end, or many times the file's size when spelt out.
        return f"<{str(self.what)[:100]!r}>" if isinstance(self.what, Global) else "<an object>"


@dataclass(frozen=True)
class Storage:
    """A run of numbers in a checkpoint that tensors share.

    Attributes:
        key: its name in the file.
        kind: the name of torch's storage class, such as "FloatStorage".
        numel: how many numbers it claims to hold.
    """

    key: str
    kind: str
    numel: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a checkpoint whose numbers have not been read yet.

    Attributes:
        storage: where its numbers are.
        offset: index of its first one.
        shape: its sizes.
        stride: steps between neighbours along each axis, in numbers.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


_MOST_INSTRUCTIONS, _MOST_COPIED, _MOST_BITS, _MOST_ARGUMENTS = 2_000_000, 1_000_000, 1024, 256
"""What no real checkpoint comes near; the published ones have some ten thousand instructions."""
_MARK = object()
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": list,  # a set of what cannot be hashed would fail; nothing here depends on it
}
_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_pickle(file: BinaryIO) -> Any:
    """Read one pickle from a file, up to its end.

    Args:
        file: a seekable binary file; it is left after the pickle's last byte.

    Returns:
        Plain containers and values, `StoredTensor` for tensors, `Inert` and `Global` for all else.

    Raises:
        CheckpointError: if the pickle is cut off, broken, or uses an instruction that such files do not need.
    """
    try:
        return _Machine().run(file)
    except CheckpointError:
        raise
    except Exception as error:  # a broken program can trip the machine anywhere; it only ever moves data
        raise CheckpointError(f"its pickle is broken or cut off ({type(error).__name__})") from None


class _Machine:
    """The stack, the memo, and one method for each kind of instruction that needs one."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.copied = 0

    def run(self, file: BinaryIO) -> Any:
        for count, (instruction, argument, _) in enumerate(pickletools.genops(file)):
            name = instruction.name
            if count > _MOST_INSTRUCTIONS:
                raise CheckpointError(f"its pickle has more than {_MOST_INSTRUCTIONS} instructions")
            if isinstance(argument, int) and argument.bit_length() > _MOST_BITS:
                raise CheckpointError(f"its pickle holds a whole number of {argument.bit_length()} bits")
            if name == "STOP":
                return self.stack.pop()
            if name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name]())
            elif name in _LITERALS:
                self.stack.append(argument)
            elif name in ("BINGET", "LONG_BINGET", "GET"):
                self.stack.append(self.memo[argument])
            elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
                self.memo[argument] = self.stack[-1]
            elif name == "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            elif name == "MARK":
                self.stack.append(_MARK)
            elif name in _TUPLES:
                count = _TUPLES[name]
                self.stack[-count:] = [tuple(self.stack[-count:])]
            elif name in ("PROTO", "FRAME"):
                pass  # the version, and how much could be read ahead
            elif hasattr(self, f"do_{name.lower()}"):
                getattr(self, f"do_{name.lower()}")(argument)
            else:
                raise CheckpointError(f"its pickle holds the instruction {name}, which no checkpoint needs")
        raise CheckpointError("its pickle is cut off")

    def pop_mark(self) -> list[Any]:
        """What was put on the stack since the last mark."""
        items = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    # ---- containers ----------------------------------------------------------------------------

    def do_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self.pop_mark()))

    def do_list(self, _: Any) -> None:
        self.stack.append(self.pop_mark())

    do_frozenset = do_list

    def do_dict(self, _: Any) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self.set_items(items)

    def do_append(self, _: Any) -> None:
        self.extend([self.stack.pop()])

    def do_appends(self, _: Any) -> None:
        self.extend(self.pop_mark())

    do_additems = do_appends

    def do_setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def do_setitems(self, _: Any) -> None:
        self.set_items(self.pop_mark())

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Inert):
            raise CheckpointError("its pickle appends to something that is no list")

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Inert):
            return
        if not isinstance(target, dict):
            raise CheckpointError("its pickle sets entries of something that is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_key(key)] = value

    # ---- names and objects: described, never fetched, called or changed ----------------------------

    def do_global(self, argument: str) -> None:
        module, name = argument.split(" ", 1)
        self.stack.append(Global(module, name))

    def do_stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(module, str) and isinstance(name, str)):
            raise CheckpointError("its pickle names a class by something that is no text")
        self.stack.append(Global(module, name))

    def do_reduce(self, _: Any) -> None:
        arguments, what = self.stack.pop(), self.stack.pop()
        if what == Global("collections", "OrderedDict") and isinstance(arguments, tuple):
            pairs = arguments[0] if arguments else ()
            self.copied += len(pairs)  # one list can be given to many of them
            if self.copied > _MOST_COPIED:
                raise CheckpointError("its pickle copies the entries of dictionaries without end")
            self.stack.append({_key(key): value for key, value in pairs})
        else:
            self.stack.append(_describe(what, arguments))

    def do_newobj(self, _: Any) -> None:
        arguments, what = self.stack.pop(), self.stack.pop()
        self.stack.append(Inert(what, arguments))

    def do_newobj_ex(self, _: Any) -> None:
        named, arguments, what = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.stack.append(Inert(what, (arguments, named)))

    def do_inst(self, argument: str) -> None:
        module, name = argument.split(" ", 1)
        self.stack.append(Inert(Global(module, name), tuple(self.pop_mark())))

    def do_obj(self, _: Any) -> None:
        what, *arguments = self.pop_mark()
        self.stack.append(Inert(what, tuple(arguments)))

    def do_build(self, _: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Inert):
            target.state = state
        elif not isinstance(target, dict):  # an OrderedDict's own attributes, such as a state's _metadata
            raise CheckpointError("its pickle changes the attributes of something that has none")

    def do_binpersid(self, _: Any) -> None:
        self.stack.append(_storage(self.stack.pop()))

    # ---- the stack itself ------------------------------------------------------------------------

    def do_pop(self, _: Any) -> None:
        self.stack.pop()

    def do_pop_mark(self, _: Any) -> None:
        self.pop_mark()

    def do_dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])


def _key(key: Any) -> Any:
    if key is None or isinstance(key, (str, int, float, bytes, Inert, Global)):
        return key
    if isinstance(key, tuple):
        # OmegaConf keeps what a resolver such as ${now:%Y} returned under its arguments as they were written.
        # Nothing else: Python hashes tuples in tuples recursively, and a deep one ends the process.
        if len(key) <= _MOST_ARGUMENTS and all(isinstance(part, str) for part in key):
            return key
        raise CheckpointError(
            "its pickle has a dictionary with a key that is a tuple of more than a few texts"
        )
    raise CheckpointError(f"its pickle has a dictionary with a key of type {type(key).__name__}")


def _storage(described: Any) -> Storage:
    """What torch.save writes in place of a storage: ("storage", class, key, device, number of numbers)."""
    if isinstance(described, tuple) and len(described) in (5, 6) and described[0] == "storage":
        _, kind, key, _, numel = described[:5]
        if isinstance(kind, Global) and isinstance(key, str) and _is_count(numel):
            return Storage(key, kind.name, numel)
    raise CheckpointError("its pickle refers to something outside that is no storage of numbers")


def _describe(what: Any, arguments: Any) -> Any:
    """The result of calling something: data where that is known to be all, else an `Inert`."""
    if not isinstance(what, Global) or not isinstance(arguments, tuple):
        return Inert(what, arguments)
    if what.module == "torch._utils":
        if what.name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return _tensor(arguments)
        if what.name in ("_rebuild_parameter", "_rebuild_parameter_with_state"):
            return arguments[0]
    return Inert(what, arguments)


def _tensor(arguments: tuple[Any, ...]) -> StoredTensor:
    """A tensor's description, once nothing about it reaches outside its storage."""
    if len(arguments) < 4:
        raise CheckpointError("its pickle describes a tensor by too few values")
    storage, offset, shape, stride = arguments[:4]
    sound = isinstance(storage, Storage) and _is_count(offset) and _are_counts(shape) and _are_counts(stride)
    if not sound or len(shape) != len(stride):
        raise CheckpointError(
            "its pickle describes a tensor by values that are no storage, sizes and strides"
        )
    numel = math.prod(shape)
    if math.prod(size or 1 for size in shape) >= 2**62:  # of an empty one, whose sizes nothing else bounds
        raise CheckpointError(f"its pickle describes a tensor of shape {shape}, which is too large")
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if numel and (last >= storage.numel or numel > storage.numel):
        raise CheckpointError(
            f"its pickle describes a tensor of shape {shape} that does not fit its storage {storage.key!r} "
            f"of {storage.numel} numbers"
        )
    return StoredTensor(storage, offset, tuple(shape), tuple(stride))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62


def _are_counts(values: Any) -> bool:
    return isinstance(values, (tuple, list)) and len(values) <= 16 and all(map(_is_count, values))
