#!/bin/sh
# Solves pyproject.toml for every supported Python into requirements.txt, with the SHA-256 of every file, and
# constraints.txt, without, keeping the versions that stand there. With --upgrade it takes the newest versions
# instead; run the tests before you commit those.
set -eu
cd "$(dirname "$0")/.."

# A file that PyPI does not have: PyTorch's CPU build for CPython 3.11 on x86-64, which may lie in pip's wheel folder.
# After an upgrade, `sha256sum torch-*.whl` gives the new one's.
elsewhere_package=torch==2.13.0
elsewhere_digest=6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b

new=requirements.txt.partial
trap 'rm -f "$new" "$new.2" "$new.3"' EXIT
cp requirements.txt "$new"
.venv/bin/uv pip compile --quiet --universal --python-version 3.10 --all-extras --no-header --no-annotate \
    --generate-hashes --output-file "$new" "$@" pyproject.toml
{
    echo "# What scripts/setup.sh installs: exact versions, each file with its SHA-256; made by scripts/constraints.sh."
    awk -v package="$elsewhere_package" -v digest="$elsewhere_digest" \
        '/^#/ {next} {print} $1 == package {print "    --hash=sha256:" digest " \\"}' "$new"
} >"$new.2"
{
    echo "# The exact versions that are tested together; solved by scripts/constraints.sh from pyproject.toml."
    # Every line holds on Linux and below Python 3.13 only, as pyproject says; without saying so it reads better.
    sed -e '/^#/d' -e '/--hash=/d' -e 's/ \\$//' -e "s/python_full_version < '3.13' and //" \
        -e "s/ and python_full_version < '3.13'//" -e "s/ ; sys_platform == 'linux'\$//" \
        -e "s/(\(platform_machine == '[^']*'\) and sys_platform == 'linux')/\1/g" -e "s/ and sys_platform == 'linux'\$//" "$new.2"
} >"$new.3"
mv "$new.2" requirements.txt
mv "$new.3" constraints.txt
