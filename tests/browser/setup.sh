#!/usr/bin/env bash
# Debian's Chromium, and playwright to drive it:
#
#   tests/browser/setup.sh && .venv/bin/python -m pytest -m browser -rs
#
# playwright's own browsers are not downloaded. Another Chromium is named in $BEAM_GRADCAM_CHROMIUM.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
if ! command -v "${BEAM_GRADCAM_CHROMIUM:-chromium}" >/dev/null; then
    as_root=$([ "$(id -u)" = 0 ] || echo sudo)
    $as_root apt-get update -qq
    $as_root apt-get install -y -qq chromium
fi
"$python" -m pip install --quiet --disable-pip-version-check --constraint configs/constraints.txt \
    playwright starlette uvicorn
"${BEAM_GRADCAM_CHROMIUM:-chromium}" --version
