"""A run ends when it is told to, whatever it waits for, and says with its exit code how."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from encoded import encode, picture
from example_runs import examples
from synthetic import write_run
from tampering import parts_of

from pipeline.exit_codes import ExitCode
from pipeline.runs.lease import Lease
from pipeline.runs.record import list_runs, run_at
from transforms.storage.state_files import NotAnsweringError, list_files, read_state
from transforms.storage.storage import Storage
from transforms.table.commit import read_totals
from transforms.table.location import TableLocation
from transforms.table.parts import read_footer

COMMAND = [sys.executable, "-m", "pipeline"]


_STARTED: list[subprocess.Popen] = []


@pytest.fixture(autouse=True)
def _nothing_is_left():
    yield
    while _STARTED:
        process = _STARTED.pop()
        process.kill()
        process.wait()


def started(command: list[str], ignored: tuple[int, ...], **options) -> subprocess.Popen:
    """A process that ignores these signals from its start, as a shell's ``&`` makes it do, and no others."""

    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # where the tests themselves run in the background
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)

    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=ignore, **options
    )
    _STARTED.append(process)
    return process


def python(script: str, ignored: tuple[int, ...] = ()) -> subprocess.Popen:
    return started([sys.executable, "-c", textwrap.dedent(script)], ignored)


def send(process: subprocess.Popen, *numbers: int) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)  # from there to the wait
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.3)


WAITS = """
    import time
    from pipeline.interrupts import interruptible
    with interruptible():
        try:
            print("ready", flush=True)
            time.sleep(30)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
"""

# The main thread waits for a lock in C, which no handler of Python's can end: as for a mount that has died.
STUCK = """
    import ctypes
    from pipeline.interrupts import interruptible
    mutex = ctypes.create_string_buffer(256)
    lock = ctypes.CDLL(None).pthread_mutex_lock
    with interruptible():
        lock(mutex)
        print("ready", flush=True)
        lock(mutex)
"""


@pytest.mark.parametrize("ignored", [(), (signal.SIGINT,), (signal.SIGINT, signal.SIGQUIT), (signal.SIGTERM,)])
def test_sigterm_interrupts_though_the_shell_had_signals_ignored(ignored):
    process = python(WAITS, ignored)
    send(process, signal.SIGTERM)
    assert process.communicate(timeout=20)[0] == "interrupted\n"
    assert process.returncode == 0


def test_what_the_shell_had_ignored_stays_ignored():
    process = python(WAITS, (signal.SIGINT,))
    send(process, signal.SIGINT, signal.SIGINT, signal.SIGINT)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[0] == "interrupted\n"


@pytest.mark.parametrize("numbers", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)])
@pytest.mark.parametrize("ignored", [(), (signal.SIGQUIT,)])
def test_a_second_signal_ends_what_the_first_cannot(numbers, ignored):
    process = python(STUCK, ignored)
    send(process, numbers[0])
    assert process.poll() is None  # the first one waits for the main thread
    process.send_signal(numbers[1])
    _, said = process.communicate(timeout=20)
    assert process.returncode == ExitCode.INTERRUPTED
    assert said == "a second signal: ending at once, whatever is still waited for\n"


def test_a_second_signal_ends_a_cleanup_that_hangs():
    process = python(WAITS.replace('print("interrupted", flush=True)', "time.sleep(30)"))
    send(process, signal.SIGTERM, signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == ExitCode.INTERRUPTED


def test_handlers_are_put_back():
    from pipeline.interrupts import interruptible

    before = signal.getsignal(signal.SIGTERM)
    with interruptible():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.set_wakeup_fd(-1) == -1


# State that does not answer


@pytest.fixture
def output(tmp_path):
    return write_run(tmp_path / "out", "r1", examples(corner=False, per_class=1)).parent.parent


def hang(path) -> None:
    """Put a FIFO in the place of a file: opening it waits for a writer that never comes."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


IMPATIENT = Storage(timeout=0.3)


@pytest.mark.parametrize("name", ["run.json", "summary.json", "config.yaml"])
def test_a_file_of_a_run_that_does_not_answer_is_named(output, name):
    hang(output / "runs" / "r1" / name)
    with pytest.raises(NotAnsweringError, match=rf"runs/r1/{name} did not answer within 0\.3 seconds: the mount"):
        run_at(f"{output}/runs/r1", IMPATIENT)
    with pytest.raises(NotAnsweringError):  # no other run may stand in for it
        list_runs(str(output), IMPATIENT)


def test_a_part_that_does_not_answer_is_named(output):
    hang(parts_of(output)[0])
    with pytest.raises(NotAnsweringError, match=r"part-00000-test\.parquet did not answer within 0\.3 seconds"):
        read_footer(str(parts_of(output)[0]), IMPATIENT)


def test_counts_that_do_not_answer_are_named(output):
    table = run_at(f"{output}/runs/r1", Storage()).table
    hang(output / "runs" / "r1" / "totals.json")
    with pytest.raises(NotAnsweringError, match=r"totals\.json did not answer"):
        read_totals(table, IMPATIENT)


def test_a_lease_that_does_not_answer_is_named(output):
    table = TableLocation(str(output), "r1", "f" * 16, token="mine")
    hang(output / "leases" / f"{'f' * 16}.json")
    with pytest.raises(NotAnsweringError, match=r"leases/f+\.json did not answer"):
        Lease(table, IMPATIENT).__enter__()


def test_what_ended_a_run_is_said_though_the_lease_hangs_at_its_end(output, caplog):
    table = TableLocation(str(output), "r1", "f" * 16, token="mine")

    def run() -> None:
        with Lease(table, IMPATIENT):
            hang(output / "leases" / f"{'f' * 16}.json")
            raise KeyError("the reason")

    with pytest.raises(KeyError, match="the reason"):
        run()
    assert "the lease stays behind" in caplog.text


def test_a_folder_that_does_not_answer_is_named():
    class DeadMount(Storage):
        def walk(self, uri):
            threading.Event().wait(5)
            yield ""

    with pytest.raises(NotAnsweringError, match=r"/mnt/statistics did not answer within 0\.1 seconds"):
        list(list_files("/mnt/statistics", DeadMount(timeout=0.01)))


def test_a_store_that_answers_with_an_error_is_not_waited_for():
    with pytest.raises(FileNotFoundError):
        read_state("memory://nothing/run.json", Storage(timeout=60))


def settings(output, **values) -> list[str]:
    chosen = {"model.source": "none", "output.path": str(output), "overlays.policy": "none"} | values
    return [part for key, value in chosen.items() for part in ("--set", f"{key}={value}")]


@pytest.fixture
def photos(tmp_path):
    for number in range(2):
        (tmp_path / f"{number}.jpg").write_bytes(encode(picture(40, 50), "JPEG"))
    manifest = tmp_path / "m.txt"
    manifest.write_text(f"{tmp_path}/0.jpg\n{tmp_path}/1.jpg\n")
    return {"input.manifest": str(manifest)}


@pytest.mark.parametrize("command", ["status", "report", "render"])
def test_commands_end_where_a_part_does_not_answer(output, command):
    hang(parts_of(output)[0])
    config = output.parent / "impatient.yaml"
    config.write_text("input: {timeout: 0.5}")
    done = subprocess.run([*COMMAND, command, output, "--config", config], capture_output=True, text=True, timeout=60)
    assert done.returncode == ExitCode.CRASH
    assert "part-00000-test.parquet did not answer within 0.5 seconds" in done.stderr
    assert "Traceback" not in done.stderr


def start(arguments: list[str], ignored: tuple[int, ...] = (), **options) -> subprocess.Popen:
    return started([*COMMAND, *map(str, arguments)], ignored, **options)


def test_a_run_in_the_background_of_a_script_ends_at_sigterm_while_its_state_hangs(tmp_path, photos):
    lease = tmp_path / "out" / "leases" / "no-model-224x224-stretch.json"
    hang(lease)
    process = start(["run", *settings(tmp_path / "out", **photos)], (signal.SIGINT,))
    writer = os.open(lease, os.O_RDWR)  # who opens it for reading now waits for bytes
    models = tmp_path / "out" / "models" / "no-model-224x224-stretch" / "explanation.json"
    deadline = time.monotonic() + 60
    while not models.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.5)  # from there to the lease
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    outcome, _ = process.communicate(timeout=30)
    os.close(writer)
    assert process.returncode == ExitCode.INTERRUPTED
    assert json.loads(outcome.splitlines()[-1])["exit_code"] == ExitCode.INTERRUPTED


def test_a_run_whose_lease_does_not_answer_ends_by_itself(tmp_path, photos):
    hang(tmp_path / "out" / "leases" / "no-model-224x224-stretch.json")
    process = start(["run", *settings(tmp_path / "out", **photos, **{"input.timeout": "1"})])
    outcome, said = process.communicate(timeout=90)
    assert process.returncode == ExitCode.CRASH
    assert "no-model-224x224-stretch.json did not answer within 1 seconds" in json.loads(outcome)["error"]
    assert "did not answer" in said


def test_a_run_over_images_that_hang_ends_at_one_sigterm(tmp_path):
    asked = threading.Event()

    class Stalls(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/m.txt":
                body = b"a.jpg\nb.jpg\n"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            asked.set()
            threading.Event().wait(40)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Stalls)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    manifest = {"input.manifest": f"http://127.0.0.1:{server.server_port}/m.txt"}
    process = start(["run", *settings(tmp_path / "out", **manifest)], (signal.SIGINT,))
    assert asked.wait(60), process.stderr
    process.send_signal(signal.SIGTERM)
    outcome, _ = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "the same command goes on from there" in json.loads(outcome.splitlines()[-1])["error"]


# Output that nobody reads


def closed_pipe() -> int:
    """The writing end of a pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def with_output(arguments: list[str], output: int | str, stream: str = "stdout") -> subprocess.CompletedProcess:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if output == "closed":  # as with >&- in a shell
        number = {"stdout": 1, "stderr": 2}[stream]
        del streams[stream]
        return subprocess.run(
            [*COMMAND, *map(str, arguments)], timeout=120, preexec_fn=lambda: os.close(number), **streams
        )
    opened = os.open(output, os.O_WRONLY) if isinstance(output, str) else output
    try:
        return subprocess.run([*COMMAND, *map(str, arguments)], timeout=120, **streams | {stream: opened})
    finally:
        os.close(opened)


@pytest.mark.parametrize("kind", ["pipe", "closed", "/dev/full"])
def test_a_run_whose_outcome_nobody_reads_has_an_exit_code_of_its_own(tmp_path, photos, kind):
    arguments = ["run", *settings(tmp_path / "out", **photos)]
    done = with_output(arguments, closed_pipe() if kind == "pipe" else kind)
    assert done.returncode == ExitCode.OUTPUT_CLOSED
    summary = next((tmp_path / "out" / "runs").glob("*/summary.json"))
    assert json.loads(summary.read_text())["explained_now"] == 2  # the work is done


@pytest.mark.parametrize("kind", ["pipe", "/dev/full"])
@pytest.mark.parametrize(
    "arguments", [["status"], ["status", "--json"], ["report"], ["render", "--limit", "1"]], ids=" ".join
)
def test_a_command_whose_outcome_nobody_reads_has_an_exit_code_of_its_own(output, arguments, kind):
    command, *rest = arguments
    done = with_output([command, output, *rest], closed_pipe() if kind == "pipe" else kind)
    assert done.returncode == ExitCode.OUTPUT_CLOSED


def test_a_refusal_that_nobody_reads_has_an_exit_code_of_its_own(tmp_path):
    done = with_output(["status", tmp_path / "nothing"], closed_pipe(), "stderr")
    assert done.returncode == ExitCode.OUTPUT_CLOSED


def test_help_that_nobody_reads_is_no_failure_of_images():
    assert with_output(["--help"], closed_pipe()).returncode == ExitCode.OUTPUT_CLOSED


def test_exit_codes_are_all_different():
    assert len({code.value for code in ExitCode}) == len(ExitCode.__members__)
