#!/usr/bin/env bash
# The whole product on one machine. Makes .venv beside this file and installs into it; downloads nothing but packages.
#
#   ./run_local.sh                                         explain the bundled photos (configs/demo.yaml)
#   ./run_local.sh test [pytest arguments]                 run the tests
#   ./run_local.sh run my.yaml --set input.limit=100       any beam-gradcam command
#
# PYTHON names the interpreter (3.11 to 3.13); the default is python3.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$here/.venv

install() { # the extra to install; does nothing when that has been done for these very files
    local extra=$1 stamp=$venv/.installed-$1
    local wanted
    wanted=$(cat "$here/pyproject.toml" "$here/configs/constraints.txt" | sha256sum)
    if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then return; fi
    if [ ! -x "$venv/bin/python" ]; then
        local python=${PYTHON:-python3}
        "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || {
            echo "beam-gradcam needs Python 3.11 to 3.13; $python is $("$python" --version). Set PYTHON." >&2
            exit 2
        }
        "$python" -m venv "$venv"
    fi
    echo "installing beam-gradcam[$extra] into $venv (some minutes the first time)" >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --constraint "$here/configs/constraints.txt" --editable "$here[$extra]"
    echo "$wanted" >"$stamp"
}

case ${1:-demo} in
demo)
    install demo
    "$venv/bin/beam-gradcam" run "$here/configs/demo.yaml"
    ;;
test)
    install dev
    shift
    cd "$here"
    # In the order of their names: the longest files come early, so that neither process waits for the other at the end.
    exec "$venv/bin/python" -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder "$@"
    ;;
*)
    install demo
    exec "$venv/bin/beam-gradcam" "$@"
    ;;
esac
