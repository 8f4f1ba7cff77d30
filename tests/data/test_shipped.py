"""Fetching shipped files from a server on this machine that breaks off, or speaks something else."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from ddpm_edu.data.shipped import fetch
from ddpm_edu.errors import DatasetError

CONTENT = b"demonstrations " * 10_000
LISTED = {"can.hdf5": (len(CONTENT), sha256(CONTENT).hexdigest())}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(CONTENT)


@contextlib.contextmanager
def serving(*answers: bytes) -> Iterator[str]:
    """The address of a server that gives one answer after the other, and closes the connection."""
    left = list(answers)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(4096)
            self.request.sendall(left.pop(0))

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


# Of a piece whose length is announced with it, what came before it broke off does not count.
@pytest.mark.parametrize(
    ("head", "sent", "got"), [(HEAD, 0, 0), (HEAD, 70_000, 70_000), (CHUNKED, 70_000, 65_536)]
)
def test_what_breaks_off_is_no_other_version(tmp_path: Path, head: bytes, sent: int, got: int) -> None:
    with serving(head + CONTENT[:sent], HEAD + CONTENT) as source:
        with pytest.raises(
            DatasetError,
            match=rf"can\.hdf5 ended after {got:,} of 150,000 bytes; .* run the same command again",
        ):
            list(fetch([], source, tmp_path, LISTED))
        assert not list(tmp_path.iterdir())
        assert list(fetch([], source, tmp_path, LISTED)) == [("can.hdf5", "fetched")]
    assert (tmp_path / "can.hdf5").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown", "is not this version's file .* same version"),
        (
            b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
            r"can\.hdf5: no answer of a web server \(SSH-2.0-OpenSSH_9.2\); check",
        ),
    ],
)
def test_other_answers_are_one_line(tmp_path: Path, answer: bytes, message: str) -> None:
    with serving(answer) as source, pytest.raises(DatasetError, match=message):
        list(fetch([], source, tmp_path, LISTED))
    assert not list(tmp_path.iterdir())


def test_a_folder_in_a_files_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data" / "can.hdf5").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"can\.hdf5: Is a directory; check --source"):
        list(fetch([], str(tmp_path / "data"), tmp_path / "out", LISTED))
