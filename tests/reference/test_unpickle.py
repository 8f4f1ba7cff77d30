"""Pickles from outside are read as data: whatever they ask for, nothing is imported, called or written."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import pickletools
import struct
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddpm_edu.cli import main
from ddpm_edu.errors import CheckpointError
from ddpm_edu.reference.archive import Archive
from ddpm_edu.reference.importer import read_reference
from ddpm_edu.reference.plain import plain_config
from ddpm_edu.reference.unpickle import Global, Inert, StoredTensor, read_pickle
from ddpm_edu.training.checkpoint import load_policy


def read(data: bytes):
    return read_pickle(io.BytesIO(data))


class Calling:
    """Unpickling it calls a function."""

    def __init__(self, function, *arguments, state=None):
        self.call = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.call


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
nested = st.recursive(
    plain,
    lambda children: (
        st.lists(children)
        | st.dictionaries(st.text() | st.integers(), children)
        | st.lists(children).map(tuple)
    ),
)


@given(nested, st.sampled_from([3, 4, 5]))
def test_plain_data_comes_back(value, protocol):
    assert read(pickle.dumps(value, protocol)) == value


@given(
    st.recursive(plain.filter(lambda value: not isinstance(value, bytes)), lambda c: st.lists(c)),
    st.integers(0, 2),
)
def test_plain_data_of_old_pickles_comes_back(value, protocol):
    assert read(pickle.dumps(value, protocol)) == value


# ---- what would run -----------------------------------------------------------------------------------


def attacks(owned: str) -> dict[str, bytes]:
    """Pickles that make the folder `owned` when a real unpickler reads them."""
    text = owned.encode()
    code = f"__import__('os').mkdir({owned!r})"
    return {
        "reduce": pickle.dumps(Calling(os.mkdir, owned)),
        "old reduce": pickle.dumps(Calling(os.mkdir, owned), 0),
        "eval": pickle.dumps(Calling(builtins.eval, code)),
        "exec": pickle.dumps({"cfg": Calling(builtins.exec, code), "state_dicts": {}}),
        "inst": b"(S'" + text + b"'\nios\nmkdir\n.",
        "obj": b"(cos\nmkdir\nS'" + text + b"'\no.",
        "stack global": b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93\x8c" + bytes([len(text)]) + text + b"\x85R.",
        "getattr": pickle.dumps(Calling(getattr, Path(owned), "mkdir")),
        "state": pickle.dumps(Calling(dict, state=Calling(os.mkdir, owned))),
        "dictionary": pickle.dumps({"a": [({"b": Calling(os.system, f"mkdir {owned}")},)]}),
        "inside pickles": pickle.dumps({"pickles": {"epoch": pickle.dumps(Calling(os.mkdir, owned))}}),
        # Names that a list of harmless ones might let through, used on others.
        "torch": b"ctorch._utils\n_rebuild_tensor_v2\n(cos\nmkdir\nS'" + text + b"'\ntR.",
        "torch load": b"ctorch.storage\n_load_from_bytes\n(" + b"S'" + text + b"'\ntR.",
        "parameter": b"ctorch._utils\n_rebuild_parameter\n((cos\nmkdir\n(S'" + text + b"'\ntRI01\nNtR.",
        "ordered": b"ccollections\nOrderedDict\n((lp0\n(S'a'\ncos\nmkdir\n(S'" + text + b"'\ntRtp1\natR.",
        "change a function": b"ctorch._utils\n_rebuild_tensor_v2\n}S'__code__'\nI1\nsb.",
    }


def survive(data: bytes) -> object:
    """What comes out of a pickle: data, or a refusal in one line."""
    try:
        found = read(data)
    except CheckpointError as error:
        found = str(error)
        assert "\n" not in found
    return found


@pytest.mark.parametrize("name", attacks(""))
def test_nothing_runs(tmp_path, name):
    owned, modules = tmp_path / "owned", set(sys.modules)
    survive(attacks(str(owned))[name])
    assert not owned.exists()
    assert set(sys.modules) <= modules


@pytest.mark.parametrize(
    "name", ["reduce", "old reduce", "eval", "inst", "obj", "stack global", "dictionary"]
)
def test_the_attacks_are_real(tmp_path, name):
    pickle.loads(attacks(str(tmp_path / "owned"))[name])
    assert (tmp_path / "owned").exists()


def test_an_unknown_object_is_described():
    found = read(pickle.dumps(Calling(os.system, "true", state={"a": 1})))
    assert isinstance(found, Inert)
    assert (found.what, found.arguments, found.state) == (Global("posix", "system"), ("true",), {"a": 1})
    assert not callable(found)


@pytest.mark.parametrize("command", ["import", "rollout"])
@pytest.mark.parametrize("zipped", [False, True])
def test_commands_run_nothing_either(tmp_path, capsys, command, zipped):
    path, owned = tmp_path / "bad.ckpt", tmp_path / "owned"
    payload = {"cfg": {}, "state_dicts": {"model": Calling(os.mkdir, str(owned))}}
    torch.save(payload, path, _use_new_zipfile_serialization=zipped)
    out = ["--out", str(tmp_path / "policy")] if command == "import" else []
    assert main([command, str(path), *out]) == 2
    said = capsys.readouterr().err.strip()
    assert str(path) in said
    assert len(said.splitlines()) == 1
    with pytest.raises(CheckpointError):
        load_policy(path)
    assert not owned.exists()
    torch.load(path, weights_only=False)  # it would have
    assert owned.exists()


# ---- broken and hostile files -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "broken or cut off"),
        (b"\x80\x02}", "broken or cut off"),
        (b".", "broken or cut off"),
        (b"not a pickle", "broken or cut off"),
        (b"0.", "broken or cut off"),
        (b"h\x05.", "broken or cut off"),
        (b"\x82\x01.", "EXT1"),
        (b"\x97.", "NEXT_BUFFER"),
        (b"Pstorage\n.", "PERSID"),
        (b"(t" + b"\x85" * 10_000 + b"(tNs.", "no dictionary|broken"),
        (b"}(t" + b"\x85" * 200_000 + b"Ns.", "key that is a tuple of more than a few texts"),
        (b"}(lNs.", "key of type list"),
        (b"]K\x01b.", "attributes"),
        (b"\x8e" + struct.pack("<Q", 2**62) + b"a.", "broken or cut off"),
    ],
)
def test_a_broken_pickle_is_refused(data, message):
    with pytest.raises(CheckpointError, match=message):
        read(data)


def test_depth_without_end_is_survived():
    assert read(b"]" * 300_000 + b"a" * 299_999 + b".")
    assert plain_config({"a": 1}) == {"a": 1}
    endless = read(b"}p0\nS'a'\ng0\ns.")
    with pytest.raises(CheckpointError, match="without end"):
        plain_config(endless)
    doubling = b"]p0\n" + b"".join(b"](g%d\ng%d\nep%d\n" % (i, i, i + 1) for i in range(60))
    with pytest.raises(CheckpointError, match="without end"):
        plain_config(read(doubling + b"."))


STORAGE = b"(S'storage'\nctorch\nFloatStorage\nS'%s'\nS'cpu'\nI%d\ntQ"


def tensor(key=b"0", numel=4, offset=b"I0\n", shape=b"(I2\nI2\nt", stride=b"(I2\nI1\nt", storage=STORAGE):
    """The instructions for one tensor."""
    where = storage % (key, numel) if b"%" in storage else storage
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + where + offset + shape + stride + b"I00\nNtR"


def test_a_tensor_by_hand_is_sound():
    assert read(tensor() + b".").shape == (2, 2)


@pytest.mark.parametrize(
    "made",
    [
        tensor(numel=3),
        tensor(numel=-4),
        tensor(numel=2**70),
        tensor(offset=b"I1\n"),
        tensor(offset=b"I-1\n"),
        tensor(shape=b"(I-2\nI2\nt"),
        tensor(shape=b"(I2\nt"),
        tensor(shape=b"N"),
        tensor(shape=b"(I100000000\nI2\nt", stride=b"(I0\nI1\nt"),
        tensor(stride=b"(I-2\nI1\nt"),
        tensor(shape=b"(" + b"I%d\n" % 2**61 * 2 + b"I0\nt", stride=b"(I1\nI1\nI1\nt"),
        tensor(stride=b"(I100\nI1\nt"),
        tensor(shape=b"(S'2'\nI2\nt"),
        tensor(storage=b"cos\nsystem\n"),
        tensor(storage=b"(S'module'\ncos\nsystem\nS'0'\nS'cpu'\nI4\ntQ"),
        tensor(storage=b"(S'storage'\nS'FloatStorage'\nS'0'\nS'cpu'\nI4\ntQ"),
        b"ctorch._utils\n_rebuild_tensor_v2\n(tR",
        b"ctorch._utils\n_rebuild_parameter\n(tR",
    ],
)
def test_a_tensor_that_reaches_out_of_its_storage_is_refused(made):
    with pytest.raises(CheckpointError):
        read(made + b".")


def write_zip(path, entries, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def payload(weights: bytes) -> bytes:
    """A pickle of {"cfg": {}, "state_dicts": {"model": {"w": weights}}}."""
    return b"}S'w'\n" + weights + b"sp1\n0}S'model'\ng1\nsp2\n0}S'state_dicts'\ng2\nsS'cfg'\n}s."


ZEROS = bytes(16)


def open_all(path):
    """Read an archive's one tensor, if it has one, and then import it."""
    with Archive(path) as archive:
        stored = archive.content["state_dicts"]["model"]["w"] if archive.content else None
        if isinstance(stored, StoredTensor):
            archive.tensor(stored)
    read_reference(path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"a/data.pkl": payload(tensor())}, "lacks its entry 'a/data/0'"),
        ({"a/data.pkl": payload(tensor(key=b"../../x")), "x": ZEROS}, "lacks its entry 'a/data/../../x'"),
        ({"a/data.pkl": payload(tensor()), "a/data/0": b"short"}, "instead of 16"),
        ({"a/data.pkl": payload(tensor(numel=10**12)), "a/data/0": ZEROS}, "claims 4000000000000 bytes"),
        ({"b/data.pkl": b"N.", "a/data.pkl": b"N."}, "holds 2 entries"),
        ({"a/other": b""}, "holds 0 entries"),
        ({"a/data.pkl": b"N.", "a/byteorder": b"big"}, "big-endian"),
        ({"a/data.pkl": b"N."}, "no 'cfg'"),
        ({"a/data.pkl": payload(b"I1\n")}, "no tensor|no section"),
    ],
)
def test_a_broken_archive_is_refused(tmp_path, entries, message):
    path = write_zip(tmp_path / "bad.ckpt", entries)
    with pytest.raises(CheckpointError, match=message) as refusal:
        open_all(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["bad.ckpt"]


def test_a_zip_bomb_stays_shut(tmp_path):
    path = write_zip(tmp_path / "bomb.ckpt", {"a/data.pkl": bytes(10**8)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="compressed"):
        read_reference(path)


def test_overlapping_entries_are_refused(tmp_path):
    """One run of bytes that a hundred entries of the directory claim as theirs."""
    path = write_zip(tmp_path / "overlap.ckpt", {f"a/data/{key}": bytes(10_000) for key in range(2)})
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    second = data.index(b"PK\x01\x02", entry + 4)
    directory = bytes(data[entry:second]) * 100
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 100, 100, len(directory), entry, 0)
    path.write_bytes(bytes(data[:entry]) + directory + tail)
    assert end > entry
    with pytest.raises(CheckpointError, match="larger than the whole file"):
        read_reference(path)


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_file_that_was_cut_off_is_refused(rewritten, part, zipped):
    path = rewritten(_use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(CheckpointError, match=r"cut off|no file of torch\.save") as refusal:
        read_reference(path)
    assert str(path) in str(refusal.value)


def test_a_missing_file_is_named(tmp_path):
    for path in (tmp_path / "none.ckpt", tmp_path):
        with pytest.raises(CheckpointError, match=str(path)):
            read_reference(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_changed_bytes_are_survived(state_unet, tmp_path, data):
    with zipfile.ZipFile(state_unet.path) as archive:
        changed = bytearray(archive.read("archive/data.pkl"))
    for _ in range(data.draw(st.integers(1, 5))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    path = write_zip(tmp_path / "changed.ckpt", {"archive/data.pkl": bytes(changed)})
    with pytest.raises(CheckpointError) as refusal:  # its numbers are missing, if nothing else
        read_reference(path)
    assert "\n" not in str(refusal.value)


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from([code.code.encode("latin1") for code in pickletools.opcodes]), max_size=30),
    st.binary(),
)
def test_any_program_ends_in_data_or_a_refusal(codes, rest):
    survive(b"".join(codes) + rest + b".")
