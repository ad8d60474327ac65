"""Real engines on this machine, each of its own processes, for the tests and for a first try.

    python tests/cluster/engines.py up flink /tmp/flink        a JobManager, two TaskManagers, two worker pools
    beam-gradcam run configs/flink.yaml -- $(cat /tmp/flink/options)
    python tests/cluster/engines.py down /tmp/flink

``setup.sh`` fetches what this starts. ``up`` leaves the processes running, with their ids and logs in the folder, and
prints the Beam options that lead to them; ``down`` ends them. The tests use the same functions with free ports.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CACHE = Path(os.environ.get("BEAM_GRADCAM_CLUSTER", Path.home() / ".cache" / "beam-gradcam"))
FLINK_JOB_SERVER = CACHE / "jars" / "flink-job-server.jar"
SPARK_JOB_SERVER = CACHE / "jars" / "spark-job-server.jar"
PRISM = CACHE / "prism"
POOLS = (1, 2)  # a worker of the engine each, with an SDK worker pool beside it
START_SECONDS = 300.0  # on a busy machine
SPARK_HOME = {"SPARK_HOME": str(CACHE / "spark"), "SPARK_SCALA_VERSION": "2.12"}  # a worker starts executors from it
# An executor's working directory is <work dir>/<application>/<number>.
SPARK_DRIVER = ["-Dspark.driver.host=localhost", "-Dspark.executor.extraJavaOptions=-Djdk.net.hosts.file=../../hosts"]

# Flink and Spark reach into the JDK; their own start scripts say the same.
_OPENS = [
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in ("java.lang", "java.lang.invoke", "java.lang.reflect", "java.net", "java.nio", "java.text",
                    "java.time", "java.util", "java.util.concurrent", "java.util.concurrent.atomic",
                    "java.util.concurrent.locks", "sun.nio.ch", "sun.nio.cs", "sun.security.action",
                    "sun.util.calendar")
]  # fmt: skip


class EngineError(RuntimeError):
    """An engine did not come up. The message names its log."""


@dataclass
class Engine:
    """Processes that belong together, and the Beam options that lead a job to them."""

    folder: Path
    options: list[str] = field(default_factory=list)
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)
    environments: dict[str, Mapping[str, str] | None] = field(default_factory=dict)

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen:
        """Start one process in a session of its own, so that it ends with all its children."""
        self.environments[name] = environment
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                cwd=self.folder, env={**os.environ, **(environment or {})},
            )  # fmt: skip
        return self.processes[name]

    def kill(self, name: str) -> None:
        """End a process and its children at once, as a lost machine would."""
        process = self.processes.pop(name)
        _kill_group(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        processes, self.processes = self.processes, {}
        for process in processes.values():
            _kill_group(process.pid, signal.SIGTERM)
        for process in processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            _kill_group(process.pid, signal.SIGKILL)
            process.wait()

    def wait(self, what: str, ready: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Raises EngineError where ``ready`` does not become true in time, or a process ends before."""
        deadline = time.monotonic() + seconds
        while not ready():
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise EngineError(f"{what}: {name} ended with {process.returncode}; see {self.folder}/{name}.log")
            if time.monotonic() > deadline:
                raise EngineError(f"{what} did not come up in {seconds:.0f} s; see the logs in {self.folder}")
            time.sleep(0.2)


def missing(*needed: Path) -> str | None:
    """Why an engine cannot be started here; None where it can."""
    if shutil.which("java") is None and any(path != PRISM for path in needed):
        return "there is no java on the PATH"
    absent = [str(path) for path in needed if not path.exists()]
    return f"{', '.join(absent)}: not there; run tests/cluster/setup.sh" if absent else None


def flink_missing() -> str | None:
    return missing(FLINK_JOB_SERVER, CACHE / "flink" / "lib")


def spark_missing() -> str | None:
    return missing(SPARK_JOB_SERVER, CACHE / "spark" / "jars")


def prism_missing() -> str | None:
    return missing(PRISM)


def start_worker_pool(engine: Engine, number: int, port: int, modules: Sequence[Path] = ()) -> None:
    """The worker pool beside the engine's worker of that number, at an address of its own.

    ``modules``: folders with code that the workers import and that is not installed.
    """
    environment = {
        # A worker pool starts a literal "python" from the PATH.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "WORKER_POOL": str(number),
    }
    if modules:
        environment["PYTHONPATH"] = os.pathsep.join(map(str, modules))
    address = f"{_pool_host(number)}:{port}"
    engine.start(
        f"worker-pool-{number}", [sys.executable, str(Path(__file__).with_name("pool.py")), address], environment
    )
    engine.wait(f"worker pool {number}", lambda: _listens(port, _pool_host(number)))


def _pool_host(number: int) -> str:
    return f"127.0.0.{number}"


def _write_hosts(path: Path, number: int) -> str:
    """The JVM option by which one runner worker finds its own pool under the name that the job gives to all."""
    local = f"127.0.0.1 localhost {socket.gethostname()}"
    path.write_text(f"{local}\n{_pool_host(number)} worker-pool\n")
    return f"-Djdk.net.hosts.file={path.absolute()}"


def start_flink(folder: Path, rest_port: int, pool_port: int, modules: Sequence[Path] = ()) -> Engine:
    """A standalone Flink session cluster with a slot for each of two TaskManagers, and as many worker pools."""
    with _coming_up(folder, flink_missing()) as engine:
        rpc_port = free_port()
        settings = {
            "jobmanager.rpc.address": "localhost",
            "jobmanager.rpc.port": rpc_port,
            "rest.port": rest_port,
            "rest.address": "localhost",
            "taskmanager.numberOfTaskSlots": 1,
            "taskmanager.cpu.cores": 1.0,
            # Without Flink's start scripts every part of the memory must be named.
            "taskmanager.memory.framework.heap.size": "128m",
            "taskmanager.memory.framework.off-heap.size": "128m",
            "taskmanager.memory.jvm-metaspace.size": "256m",
            "taskmanager.memory.jvm-overhead.min": "192m",
            "taskmanager.memory.jvm-overhead.max": "192m",
            "taskmanager.memory.task.heap.size": "256m",
            "taskmanager.memory.task.off-heap.size": "64m",
            "taskmanager.memory.network.min": "64m",
            "taskmanager.memory.network.max": "64m",
            "taskmanager.memory.managed.size": "128m",
            "jobmanager.memory.heap.size": "256m",
            # The work of a lost TaskManager is tried again.
            "heartbeat.interval": 5000,
            "heartbeat.timeout": 60000,
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": 5,
            "restart-strategy.fixed-delay.delay": "10 s",
            "io.tmp.dirs": f"{folder}/tmp",
            "web.submit.enable": True,
        }
        (folder / "tmp").mkdir(exist_ok=True)
        (folder / "config.yaml").write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items()))
        (folder / "log4j.properties").write_text(_LOG4J)
        engine.start("job-manager", _flink_java(engine, "256m", "entrypoint.StandaloneSessionClusterEntrypoint"))
        for number in POOLS:
            start_task_manager(engine, number)
            start_worker_pool(engine, number, pool_port, modules)
        engine.wait("Flink", lambda: flink_slots(rest_port) == len(POOLS))
        engine.options = [
            "--runner=FlinkRunner",
            f"--flink_master=localhost:{rest_port}",
            f"--flink_job_server_jar={FLINK_JOB_SERVER}",
            f"--parallelism={len(POOLS)}",
            "--environment_type=EXTERNAL",
            f"--environment_config=worker-pool:{pool_port}",
        ]
    return engine


def start_task_manager(engine: Engine, number: int) -> None:
    hosts = _write_hosts(engine.folder / f"hosts-{number}", number)
    engine.start(f"task-manager-{number}", _flink_java(engine, "384m", "taskexecutor.TaskManagerRunner", hosts))


def start_job_server(engine: Engine, jar: Path, *arguments: str) -> None:
    """A job server that stays, so that a job need not start one of its own."""
    port = free_port()
    ports = ["--job-port", str(port), "--artifact-port", "0", "--expansion-port", "0"]
    folder = ["--artifacts-dir", str(engine.folder / "artifacts")]
    engine.start("job-server", ["java", "-Xmx512m", *_OPENS, "-jar", str(jar), *arguments, *ports, *folder])
    engine.wait("the job server", lambda: _listens(port))
    engine.options.append(f"--job_endpoint=localhost:{port}")


def flink_slots(rest_port: int) -> int:
    """How many slots the cluster has; 0 where it does not answer."""
    return int(rest(rest_port, "/overview").get("slots-total", 0))


def rest(port: int, path: str) -> dict:
    """What Flink's REST interface says; nothing where it does not answer."""
    try:
        with urllib.request.urlopen(f"http://localhost:{port}{path}", timeout=5) as response:
            return json.load(response)
    except (urllib.error.URLError, OSError, ValueError):
        return {}


def start_spark(folder: Path, master_port: int, pool_port: int, modules: Sequence[Path] = ()) -> Engine:
    """A standalone Spark master with two workers of one core each, and as many worker pools."""
    with _coming_up(folder, spark_missing()) as engine:
        web_port = free_port()
        ports = ["--port", str(master_port), "--webui-port", str(web_port)]
        engine.start("master", _spark_java("master.Master", "--host", "localhost", *ports), SPARK_HOME)
        engine.wait("Spark's master", lambda: _listens(master_port))
        for number in POOLS:
            work = engine.folder / f"work-{number}"
            work.mkdir(exist_ok=True)
            _write_hosts(work / "hosts", number)
            ports = ["--webui-port", str(free_port()), "--work-dir", str(work)]
            size = ["--cores", "1", "--memory", "1g"]
            command = _spark_java(
                "worker.Worker", "--host", "localhost", *ports, *size, f"spark://localhost:{master_port}"
            )
            engine.start(f"worker-{number}", command, SPARK_HOME)
            start_worker_pool(engine, number, pool_port, modules)
        engine.wait("Spark's workers", lambda: len(rest(web_port, "/json/").get("workers", ())) == len(POOLS))
        engine.options = [
            "--runner=SparkRunner",
            f"--spark_master_url=spark://localhost:{master_port}",
            f"--spark_job_server_jar={SPARK_JOB_SERVER}",
            *(f"--job_server_jvm_properties={one}" for one in SPARK_DRIVER),
            "--environment_type=EXTERNAL",
            f"--environment_config=worker-pool:{pool_port}",
        ]
    return engine


def spark_web_port(engine: Engine) -> int:
    """Where the master says, under /json/, which applications are at work."""
    command = list(engine.processes["master"].args)
    return int(command[command.index("--webui-port") + 1])


def start_prism(folder: Path, pool_port: int, modules: Sequence[Path] = ()) -> Engine:
    """Prism starts with each job; only the worker pool is made here."""
    with _coming_up(folder, prism_missing()) as engine:
        start_worker_pool(engine, 1, pool_port, modules)
        engine.options = [
            "--runner=PrismRunner",
            f"--prism_location={PRISM}",
            "--environment_type=EXTERNAL",
            f"--environment_config={_pool_host(1)}:{pool_port}",
        ]
    return engine


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def _coming_up(folder: Path, reason: str | None) -> Iterator[Engine]:
    """A new engine; where it does not come up, none of its processes stays."""
    if reason:
        raise EngineError(reason)
    folder.mkdir(parents=True, exist_ok=True)
    engine = Engine(folder.absolute())
    try:
        yield engine
    except BaseException:
        engine.stop()
        raise


def _flink_java(engine: Engine, heap: str, entry_point: str, *jvm_options: str) -> list[str]:
    logging = f"-Dlog4j.configurationFile=file:{engine.folder}/log4j.properties"
    classes = ["-cp", f"{CACHE}/flink/lib/*", f"org.apache.flink.runtime.{entry_point}"]
    return ["java", f"-Xmx{heap}", *_OPENS, logging, *jvm_options, *classes, "--configDir", str(engine.folder)]


def _spark_java(entry_point: str, *arguments: str) -> list[str]:
    classes = ["-cp", f"{CACHE}/spark/jars/*"]
    return ["java", "-Xmx256m", *_OPENS, *classes, f"org.apache.spark.deploy.{entry_point}", *arguments]


def _listens(port: int, host: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _kill_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


_LOG4J = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss} %-5p %c{1} %m%n
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up")
    up.add_argument("engine", choices=("flink", "spark"))
    up.add_argument("folder", type=Path)
    up.add_argument("--port", type=int, help="of the engine (default: 8081 for Flink, 7077 for Spark)")
    up.add_argument("--pool-port", type=int, default=50000)
    commands.add_parser("down").add_argument("folder", type=Path)
    arguments = parser.parse_args()
    ids = arguments.folder / "processes.json"
    if arguments.command == "down":
        for pid in json.loads(ids.read_text()).values():
            _kill_group(pid, signal.SIGTERM)
        ids.unlink()
        return
    if ids.exists():
        sys.exit(f"{ids} is there: run down first")
    start = start_flink if arguments.engine == "flink" else start_spark
    try:
        engine = start(
            arguments.folder, arguments.port or {"flink": 8081, "spark": 7077}[arguments.engine], arguments.pool_port
        )
    except EngineError as error:
        sys.exit(str(error))
    ids.write_text(json.dumps({name: process.pid for name, process in engine.processes.items()}))
    (engine.folder / "options").write_text(" ".join(engine.options))
    print(*engine.options)  # noqa: T201


if __name__ == "__main__":
    main()
