#!/bin/sh
# Builds sdist and wheel, installs the wheel in a fresh environment, and runs notebook 04 from it in an empty folder.
# Minutes, a few of them for the packages; tests/test_wheel.py is the short form that every change passes.
#
#   scripts/check_wheel.sh [FOLDER]   keep the packages there; by default dist/
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)
out=${1:-dist}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

.venv/bin/uv build --out-dir "$out"
wheel=$(ls -t "$out"/*.whl | head -n 1)
.venv/bin/uv venv --quiet --python .venv/bin/python "$work/venv"
CMAKE_POLICY_VERSION_MINIMUM=3.5 .venv/bin/uv pip install --quiet --python "$work/venv/bin/python" \
    -c constraints.txt "$wheel"

mkdir "$work/empty"
cp notebooks/04_forward_process.ipynb "$work/empty"
cd "$work/empty"
export XDG_DATA_HOME="$work/home" PYTHONPATH=
"$work/venv/bin/ddpm-edu" data fetch can_low_dim.hdf5 --source "$root/data"
"$work/venv/bin/jupyter" nbconvert --execute --to notebook --inplace 04_forward_process.ipynb
"$work/venv/bin/python" - "$root" <<'END'
import json, sys
import ddpm_edu

def printed(path):
    cells = json.load(open(path))["cells"]
    return [o["text"] for c in cells for o in c.get("outputs", ()) if o["output_type"] == "stream"]

assert not ddpm_edu.__file__.startswith(sys.argv[1]), ddpm_edu.__file__
same = printed("04_forward_process.ipynb") == printed(f"{sys.argv[1]}/notebooks/04_forward_process.ipynb")
print("notebook 04, from the wheel, prints what the committed one prints:", same)
sys.exit(not same)
END
