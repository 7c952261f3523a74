#!/usr/bin/env bash
# Runs once, when Gradescope builds the autograder's image (Ubuntu).
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update
PYTHON=""
for name in python3.13 python3.12 python3.11; do
  if apt-get install -y "$name" "$name-venv"; then PYTHON=$name; break; fi
done
[ -n "$PYTHON" ] || { echo "genimg needs Python 3.11 or newer: choose a newer Ubuntu for the base image"; exit 1; }
apt-get install -y bubblewrap || echo "no bubblewrap here: the sandbox is Landlock and seccomp alone"
"$PYTHON" -m venv /opt/genimg
/opt/genimg/bin/pip install -r /autograder/source/requirements.txt \
  --extra-index-url https://download.pytorch.org/whl/cpu
/opt/genimg/bin/pip install --no-deps /autograder/source/library
rm -rf /autograder/source/library   # a second copy of the checks would only be something to look for
