#!/usr/bin/env bash
# What the fusion is worth: the blendshape decoder trained alike with each, from nothing, on the states of the same
# generator: the one of stage "joint", or where that was not run, the released one.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
DEVICE="${DEVICE:-cpu}"

for fusion in tqgf units_only hidden_only concat; do
  exomni train face --config nano --fusion "$fusion" --device "$DEVICE" --released shipped
done
