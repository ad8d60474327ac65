#!/usr/bin/env bash
# Real object stores on this machine, for the tests of stores:
#
#   tests/stores/setup.sh && pytest -m stores -rs
#
# Builds MinIO and fake-gcs-server with Go and installs Azurite with npm, and an environment with gcsfs, adlfs and s3fs
# beside the project's own packages, into ~/.cache/beam-gradcam/stores (or $BEAM_GRADCAM_STORES). Some ten minutes, once.
set -euo pipefail
folder=${BEAM_GRADCAM_STORES:-$HOME/.cache/beam-gradcam/stores}
mkdir -p "$folder/bin" "$folder/packages"
export GOBIN=$folder/bin GOFLAGS=-mod=mod

[ -x "$folder/bin/minio" ] || go install github.com/minio/minio@latest
[ -x "$folder/bin/fake-gcs-server" ] || go install github.com/fsouza/fake-gcs-server@latest
[ -x "$folder/node_modules/.bin/azurite-blob" ] || npm install --silent --no-audit --no-fund --prefix "$folder" azurite
# File systems of stores that the project does not need for itself; found by their path.
here=$(cd "$(dirname "$0")/../.." && pwd)
python=$here/.venv/bin/python
clouds="gcsfs adlfs" # without what they need: fsspec and aiohttp are those of the project
needed="decorator google-auth google-auth-oauthlib google-cloud-storage google-cloud-storage-control azure-core azure-identity azure-storage-blob azure-datalake-store"
if [ "$(cat "$folder/packages/.installed" 2>/dev/null)" != "$clouds $needed" ]; then
    rm -rf "${folder:?}/packages"
    # shellcheck disable=SC2086 # lists of names
    "$python" -m pip install --quiet --disable-pip-version-check --constraint "$here/configs/constraints.txt" \
        --target "$folder/packages" --no-deps $clouds
    # shellcheck disable=SC2086
    "$python" -m pip install --quiet --disable-pip-version-check --constraint "$here/configs/constraints.txt" \
        --target "$folder/packages" $needed
    echo "$clouds $needed" >"$folder/packages/.installed"
fi
ls "$folder/bin" "$folder/node_modules/.bin" | grep -E 'minio|fake-gcs|azurite-blob'
