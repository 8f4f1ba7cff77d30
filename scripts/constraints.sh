#!/bin/sh
# Solves pyproject.toml for every supported Python into constraints.txt, keeping the versions that stand there.
# With --upgrade it takes the newest versions instead; run the tests before you commit those.
set -eu
cd "$(dirname "$0")/.."

new=constraints.txt.partial
trap 'rm -f "$new" "$new.2"' EXIT
cp constraints.txt "$new"
.venv/bin/uv pip compile --quiet --universal --python-version 3.10 --all-extras --no-header --no-annotate \
    --output-file "$new" "$@" pyproject.toml
{
    echo "# The exact versions that are tested together; solved by scripts/constraints.sh from pyproject.toml."
    # Every line holds on Linux only, as pyproject says; without saying so each time it reads better.
    sed -e '/^#/d' -e "s/ ; sys_platform == 'linux'\$//" -e "s/ and sys_platform == 'linux'\$//" "$new"
} > "$new.2"
mv "$new.2" constraints.txt
