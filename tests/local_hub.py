"""A Hugging Face hub on this machine: as much of its protocol as fetching a file needs.

HEAD and GET of /datasets/OWNER/NAME/resolve/REVISION/PATH answer with a redirect to another host, as the
real one does for large files, and with the headers X-Repo-Commit, X-Linked-Etag (the file's SHA-256) and
X-Linked-Size; the other host serves the bytes, whole or from an offset (Range).
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "74fa018461f479cd9fd15b924a16103012096203"


class Hub:
    """The server's files and moods.

    Attributes:
        files: {path in the repository: file on this disk}.
        endpoint: what HF_ENDPOINT has to be.
        pause: seconds to wait after each 64 kB.
        break_after: bytes after which an answer breaks off, or None.
        damage: whether bytes are changed on their way.
        ranges: the offset of each request for bytes.
        tokens: what came in the header Authorization.
    """

    def __init__(self, files: dict[str, Path]) -> None:
        self.files = files
        self.pause = 0.0
        self.break_after: int | None = None
        self.damage = False
        self.digests = True
        self.ranges: list[int] = []
        self.tokens: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self._answer()

            def do_GET(self) -> None:
                self._answer()

            def log_message(self, *_: object) -> None:
                pass

            def _answer(self) -> None:
                if "Authorization" in self.headers:
                    hub.tokens.append(self.headers["Authorization"])
                if self.path.startswith("/bytes/"):
                    self._bytes(hub.files[self.path.removeprefix("/bytes/")])
                    return
                prefix = "/datasets/robomimic/robomimic_datasets/resolve/"
                revision, _, name = self.path.removeprefix(prefix).partition("/")
                if not self.path.startswith(prefix) or name not in hub.files or revision != COMMIT:
                    self.send_response(404)
                    code = "EntryNotFound" if revision == COMMIT else "RevisionNotFound"
                    self.send_header("X-Error-Code", code)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                content = hub.files[name].read_bytes()
                self.send_response(302)
                # another name of this machine: to a client, another host
                self.send_header("Location", f"{hub.endpoint.replace('127.0.0.1', 'localhost')}/bytes/{name}")
                self.send_header("X-Repo-Commit", COMMIT)
                digest = hashlib.sha256(content).hexdigest() if hub.digests else "0123456789abcdef" * 2
                self.send_header("X-Linked-Etag", f'"{digest}"')
                self.send_header("X-Linked-Size", str(len(content)))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _bytes(self, path: Path) -> None:
                content = path.read_bytes()
                asked = self.headers.get("Range")
                first = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
                hub.ranges.append(first)
                self.send_response(206 if asked else 200)
                if asked:
                    self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
                self.send_header("Content-Length", str(len(content) - first))
                self.send_header("ETag", '"of-the-other-host"')
                self.end_headers()
                if self.command == "HEAD":
                    return
                if hub.damage:
                    content = bytes(len(content))
                with contextlib.suppress(OSError):  # the client was killed
                    for at in range(first, len(content), 1 << 16):
                        if hub.break_after is not None and at - first >= hub.break_after:
                            self.close_connection = True
                            self.connection.close()
                            return
                        self.wfile.write(content[at : at + (1 << 16)])
                        time.sleep(hub.pause)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"


@contextlib.contextmanager
def serving(files: dict[str, Path]) -> Iterator[Hub]:
    """A hub that serves files while the block runs."""
    hub = Hub(files)
    thread = threading.Thread(target=hub._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub._server.shutdown()
        hub._server.server_close()
        thread.join()
