"""What pyproject.toml cannot say: a wheel carries the checksums of data/, for `ddpm-edu data fetch`."""

import hashlib
import json
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

MANIFEST = Path("ddpm_edu", "data", "shipped.json")
DATA = Path(__file__).resolve().parent / "data"


def write_manifest(root: str) -> None:
    """{path below data/: its size and SHA-256}. A source distribution has no data/, and brings the list."""
    if not DATA.is_dir():
        return
    listed = {}
    for path in sorted(path for path in DATA.rglob("*") if path.suffix in (".hdf5", ".json", ".safetensors")):
        content = path.read_bytes()
        listed[path.relative_to(DATA).as_posix()] = [len(content), hashlib.sha256(content).hexdigest()]
    Path(root, MANIFEST).write_text(json.dumps(listed, indent=1) + "\n")


class BuildWithManifest(build_py):
    """Not for an editable installation, which has data/ itself."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            write_manifest(self.build_lib)


class SourcesWithManifest(sdist):
    """The sources, and the list."""

    def make_release_tree(self, base_dir: str, files: list) -> None:
        super().make_release_tree(base_dir, files)
        write_manifest(base_dir)


setup(cmdclass={"build_py": BuildWithManifest, "sdist": SourcesWithManifest})
