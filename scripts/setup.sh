#!/bin/sh
# Makes .venv with everything that ddpm_edu needs. Run it as often as you like: it does what is missing, goes on
# where an interrupted run stopped, and is done at once when nothing has changed.
#
#   scripts/setup.sh site browser     more than what pyproject.toml lists under dev
#   PYTHON=/path/to/python3.11   take this interpreter instead of searching for one
#   UV_TORCH_BACKEND=cpu         take the small CPU build of torch from PyTorch's own index
#
# Both are remembered: the next run without them keeps what is there. Another value, or none after
# rm -rf .venv, chooses anew.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)
venv=.venv
stamp=$venv/.setup-done

say() { printf 'setup: %s\n' "$*"; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 2
}

extras=dev
for extra; do
    case $extra in
    site | browser | export) ;;
    *) fail "there is no extra '$extra'; choose among: site browser export" ;;
    esac
    extras=$extras,$extra
done

# Line 1: where the environment was made, 2: with which interpreter, 3: with which build of torch. A moved folder's
# counts for nothing.
remembered() { [ "$(sed -n 1p $venv/.setup-choices 2>/dev/null)" != "$root" ] || sed -n "$1p" $venv/.setup-choices; }

backend=${UV_TORCH_BACKEND-$(remembered 3)}
if [ -n "$backend" ]; then export UV_TORCH_BACKEND="$backend"; else unset UV_TORCH_BACKEND; fi

# ------------------------------------------------------------------------------------------ Python

supported() {
    "$1" -c 'import sys; sys.exit(sys.implementation.name != "cpython" or not (3, 10) <= sys.version_info < (3, 13))' \
        2>/dev/null
}

find_python() {
    # What is there stays; then the version that everything was measured with.
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- "$(remembered 2)" python3.11 python3 python3.12 python3.10 python
    fi
    for candidate; do
        if supported "$candidate"; then
            # The interpreter itself, not a launcher such as pyenv's, nor a virtual environment that is active.
            "$candidate" -c 'import sys; print(sys._base_executable)'
            return
        fi
    done
    return 1
}

has_command() { command -v "$1" >/dev/null 2>&1; }

# What requirements.txt says of one package: its version and the SHA-256 of each of its files. Without its marker, which
# leaves out the Pythons that are too new: uv must come to those too.
locked() { awk -v start="^$1==" '/^[^ ]/ { ours = $0 ~ start; sub(/ ;[^\\]*/, " ") } ours' requirements.txt; }

# A system whose only Python is too new (Debian 13: 3.13) gets 3.12 from uv, into the user's own folder.
bring_python() {
    uv=$(command -v uv) || {
        uv=build/uv/bin/uv
        if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
            has_command apt-get || return 1
            [ "$(id -u)" -eq 0 ] || return 3
            apt-get update -q && apt-get install -y -q --no-install-recommends python3-venv
        fi
        [ -x $uv ] || {
            python3 -m venv build/uv && locked uv >build/uv/requirements.txt &&
                build/uv/bin/python -m pip install -q --require-hashes -r build/uv/requirements.txt
        }
    } >/dev/null 2>&1 || return 1
    "$uv" python install -q 3.12 >/dev/null 2>&1 && "$uv" python find --managed-python 3.12 2>/dev/null
}

if ! python=$(find_python); then
    [ -z "${PYTHON:-}" ] || fail "no CPython 3.10, 3.11 or 3.12 found at PYTHON=$PYTHON; name another," \
        "or none: scripts/setup.sh then looks for one"
    has_command python3 && say "$(python3 --version) is not 3.10, 3.11 or 3.12; uv brings 3.12"
    python=$(bring_python) || {
        [ $? -ne 3 ] || fail "uv needs python3-venv to be installed; run: sudo apt-get update &&" \
            "sudo apt-get install -y python3-venv   # and then the same command again"
        fail "no CPython 3.10, 3.11 or 3.12 found, and uv could bring none; install uv" \
            "(https://docs.astral.sh/uv, it needs github.com) or one of these Pythons, or name one:" \
            "PYTHON=/path/to/python3.12 scripts/setup.sh"
    }
fi

# --------------------------------------------------------------------------- What is already done?

fingerprint=$({
    "$python" -c 'import sys; print(sys.executable, sys.version)'
    echo "$root $backend"
    cat pyproject.toml requirements.txt scripts/setup.sh
} | sha256sum)

if [ $# -eq 0 ] && [ "$(cat "$stamp" 2>/dev/null)" = "$fingerprint" ] && $venv/bin/ddpm-edu --version >/dev/null 2>&1; then
    exit 0
fi

[ -w . ] || fail "$root cannot be written, and .venv belongs there; copy the clone to a place of your own," \
    "such as: cp -r '$root' ~/ddpm_edu && cd ~/ddpm_edu && make setup"

# --------------------------------------------------------------------------------- System packages

has_library() { "$python" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$1" 2>/dev/null; }
has_header() { echo "#include <$1>" | cc -E ${2:+"-I$2"} - >/dev/null 2>&1; }

missing_packages() {
    # robomimic's egl-probe and robosuite's evdev are compiled on this machine.
    has_command cc || echo gcc
    has_command c++ || echo g++
    has_command make || echo make
    has_command cmake || echo cmake
    if has_command cc; then
        has_header stdlib.h || echo libc6-dev
        has_header linux/input.h || echo linux-libc-dev
    else
        echo libc6-dev linux-libc-dev
    fi
    include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    [ -e "$include/Python.h" ] || echo "$version-dev"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || echo "$version-venv"
    # Pictures are drawn by OSMesa in software, or through EGL: on a GPU, and where Mesa (25.1 on) has no OSMesa.
    if ! has_library libOSMesa.so.8 && ! has_library libOSMesa.so.6; then
        if ! has_command apt-cache || apt-cache show libosmesa6 >/dev/null 2>&1; then
            echo libosmesa6
        else
            has_library libEGL_mesa.so.0 || echo libegl1 libegl-mesa0 libgl1-mesa-dri
        fi
    fi
    if [ -e /dev/nvidia0 ]; then
        has_library libEGL.so.1 || echo libegl1
    fi
    # OpenCV, which robosuite imports, is linked against both.
    has_library libGL.so.1 || echo libgl1
    has_library libgthread-2.0.so.0 || echo libglib2.0-0
}

install_system_packages() {
    packages=$(missing_packages | tr '\n' ' ')
    packages=${packages% }
    [ -n "$packages" ] || return 0
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        as_root="sudo -n"
    fi
    command="apt-get update && ${as_root:+sudo }apt-get install -y --no-install-recommends $packages"
    has_command apt-get || fail "system packages are missing, by their Debian names: $packages"
    if [ -n "$as_root" ] && ! sudo -n true 2>/dev/null; then
        fail "system packages are missing; run: sudo $command"
    fi
    say "installing system packages: $packages"
    $as_root apt-get update -q >/dev/null || say "apt-get update failed; trying with the lists that are here"
    # shellcheck disable=SC2086 # packages are several words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages >/dev/null ||
        fail "installing system packages failed; run: ${as_root:+sudo }$command"
}

install_system_packages

# --------------------------------------------------------------------------------- Python packages

make_venv() {
    # A moved folder or a vanished interpreter leaves an environment whose scripts point nowhere.
    if [ "$(remembered 2)" != "$python" ] || ! supported $venv/bin/python; then
        say "making $venv with $("$python" --version)"
        "$python" -m venv --clear $venv || fail "$python could not make a virtual environment in $root/$venv"
    fi
    printf '%s\n' "$root" "$python" "$backend" >$venv/.setup-choices
}

# uv does not read pip's configuration; an index, wheel folder or certificate that is set for pip counts here too.
pip_setting() {
    "$venv/bin/python" -m pip config list 2>/dev/null | sed -n "s/^[a-z:]*\.$1='\(.*\)'\$/\1/p" | tail -n 1 |
        sed 's/\\n/ /g'
}

lend_pip_settings_to_uv() {
    setting=$(pip_setting index-url)
    [ -z "$setting" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$setting}"
    setting=$(pip_setting extra-index-url)
    if [ -n "$setting" ]; then
        # pip weighs all indexes alike.
        export UV_INDEX="${UV_INDEX:-$setting}" UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}"
    fi
    setting=$(pip_setting find-links)
    [ -z "$setting" ] || export UV_FIND_LINKS="${UV_FIND_LINKS:-$(echo "$setting" | tr ' ' ',')}"
    setting=$(pip_setting cert)
    [ -z "$setting" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$setting}"
    setting=$(pip_setting default-timeout)
    [ -z "$setting" ] || export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-$setting}"
}

# Every file must have a SHA-256 that requirements.txt names, those that build others included. PyTorch's own index
# has other builds than PyPI and its triton; they are held to their versions.
digests() {
    awk -v others="$backend" '
        /^[^ #]/ { free = others != "" && /^(torch|torchvision|triton)==/ }
        free && /--hash=/ { next }
        free { sub(/ \\$/, "") }
        { print }' requirements.txt
}

install_python_packages() {
    # egl-probe's build file names a CMake version that CMake 4 no longer knows by itself.
    export CMAKE_POLICY_VERSION_MINIMUM=3.5
    export PIP_DISABLE_PIP_VERSION_CHECK=1
    digests >$venv/requirements.txt
    locked uv >$venv/uv.txt
    if "$venv/bin/python" -m pip install --quiet --require-hashes -r $venv/uv.txt; then
        lend_pip_settings_to_uv
        if "$venv/bin/uv" pip install --python "$venv/bin/python" -c $venv/requirements.txt \
            --build-constraints $venv/requirements.txt -e ".[$extras]"; then
            return
        fi
    fi
    # pip knows no constraints with digests: it takes the whole list, then ours, which has none.
    say "uv could not install everything; trying again with pip, which takes longer"
    locked setuptools >$venv/setuptools.txt
    "$venv/bin/python" -m pip install --quiet --require-hashes -r $venv/setuptools.txt &&
        "$venv/bin/python" -m pip install --no-build-isolation --no-deps --require-hashes -r requirements.txt &&
        "$venv/bin/python" -m pip install --no-build-isolation --no-deps -e . ||
        fail "installing the Python packages failed, see above; once that is mended, run the same command again"
}

# A notebook loads torch before ddpm_edu could tell its threads how to wait (ddpm_edu/threads.py).
tell_notebooks() {
    "$venv/bin/python" -c '
import json, pathlib, sys
from ddpm_edu.files import write_atomically
from ddpm_edu.threads import SPINS
path = pathlib.Path(sys.prefix, "share/jupyter/kernels/python3/kernel.json")
kernel = json.loads(path.read_text())
kernel["env"] = {"GOMP_SPINCOUNT": SPINS, **kernel.get("env", {})}
with write_atomically(path) as file:
    file.write(json.dumps(kernel, indent=1).encode())'
}

make_venv
say "installing the Python packages named in pyproject.toml, the very files that requirements.txt names"
rm -f "$stamp"
install_python_packages
tell_notebooks
printf '%s' "$fingerprint" >"$stamp.partial"
mv "$stamp.partial" "$stamp"
say "done; everything is in $root/$venv"
