"""The namespaced hosts keep what they promise: strict keys, private places, cuts, delays, and nothing left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.hosts import CommandError, Host, Network, obstacle
from tests.e2e.namespaces import Namespaces, wait_until

pytestmark = [pytest.mark.hosts, pytest.mark.usefixtures("network")]

_CHECKOUT = Path(__file__).resolve().parents[2]

# A process may end while it is looked at; into some not even root may look, and those are none of ours.
_HIDDEN = (FileNotFoundError, ProcessLookupError, PermissionError)


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    if reason := obstacle():
        pytest.skip(reason)
    with Network() as network:
        network.add_host("hub")
        network.add_host("worker-1")
        yield network


@pytest.fixture
def hub(network: Network) -> Host:
    return network.hosts["hub"]


@pytest.fixture
def worker(network: Network) -> Host:
    return network.hosts["worker-1"]


def test_hosts_reach_each_other_by_name(hub: Host, worker: Host) -> None:
    assert hub.run("ssh", "worker-1", "uname", "-n").stdout == "worker-1\n"
    assert worker.run("ssh", "hub", "uname", "-n").stdout == "hub\n"


def test_an_unknown_host_key_is_refused(hub: Host) -> None:
    refused = hub.run("ssh", "-o", "UserKnownHostsFile=/dev/null", "worker-1", "true", check=False)
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr


def test_a_host_that_shows_the_key_of_another_is_refused(hub: Host, worker: Host) -> None:
    keys = hub.outside(".ssh/known_hosts").read_text().splitlines()
    own_key = next(line for line in keys if line.startswith("hub,")).split(maxsplit=1)[1]
    hub.outside("mistaken").write_text(f"worker-1,{worker.address} {own_key}\n")
    refused = hub.run("ssh", "-o", "UserKnownHostsFile=~/mistaken", "worker-1", "true", check=False)
    assert refused.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in refused.stderr


@pytest.mark.parametrize("folder", ["", "/tmp", "/run", "/dev/shm"])  # noqa: S108 - those of the hosts
def test_a_file_of_one_host_is_in_no_other_place(hub: Host, worker: Host, folder: str) -> None:
    path = hub.home / folder / "hosts-are-private"
    hub.run("sh", "-c", 'echo mine >"$1"', "sh", path)
    assert hub.outside(path).read_text() == "mine\n"
    assert not worker.outside(path).exists()
    assert not path.exists()


def test_a_host_writes_to_nothing_of_the_machine(hub: Host) -> None:
    for folder in (Path("/etc"), Path("/var/log"), Path(sys.prefix), _CHECKOUT):
        refused = hub.run("touch", folder / "hosts-are-private", check=False)
        assert "Read-only file system" in refused.stderr


def test_a_host_sees_its_own_processes_alone(hub: Host, worker: Host) -> None:
    sleeper = hub.start("sleep", "1234")
    assert "sleep 1234" in hub.run("ps", "-e", "-o", "args").stdout
    assert "sleep 1234" not in worker.run("ps", "-e", "-o", "args").stdout
    sleeper.kill()
    sleeper.wait()


def test_an_orphan_that_ended_leaves_no_zombie(hub: Host) -> None:
    orphan = hub.run("sh", "-c", "sleep 0 >/dev/null & echo $!").stdout.strip()
    hub.run("sh", "-c", 'until ! kill -0 "$1"; do sleep 0.01; done', "sh", orphan, timeout=5)


def test_the_python_of_the_tests_runs_in_a_host_and_over_ssh(hub: Host) -> None:
    question = "import sys; print(sys.prefix)"
    here = hub.run("python", "-c", question).stdout
    assert here == f"{sys.prefix}\n"
    assert here == hub.run("ssh", "worker-1", f"python -c '{question}'").stdout
    assert here == hub.run("bash", "-l", "-c", f"python -c '{question}'").stdout


def test_the_environment_of_the_tests_stays_outside(hub: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", "another server")
    inside = dict(line.split("=", 1) for line in hub.run("env").stdout.splitlines())
    assert inside == hub.environment
    assert "TMUX" not in hub.run("ssh", "worker-1", "env").stdout


def test_tmux_in_a_host_is_a_server_of_its_own(hub: Host, worker: Host) -> None:
    hub.run("tmux", "new-session", "-d", "-s", "mine")
    assert hub.run("tmux", "list-sessions", "-F", "#{session_name} #{host}").stdout == "mine hub\n"
    assert worker.run("tmux", "list-sessions", check=False).returncode == 1
    hub.run("tmux", "kill-server")


def test_a_cut_host_is_unreachable_until_it_is_mended(network: Network, hub: Host) -> None:
    greet = ("ssh", "-o", "ConnectTimeout=1", "worker-1", "true")
    network.cut("worker-1")
    assert hub.run(*greet, check=False).returncode == 255
    network.mend("worker-1")
    hub.run("ssh", "worker-1", "true")


def test_a_delay_is_felt_both_ways_until_it_is_cleared(network: Network, hub: Host, worker: Host) -> None:
    prompt = _round_trip(hub, worker)
    network.delay("worker-1", milliseconds=50)
    slow = _round_trip(hub, worker)
    network.clear_delay("worker-1")
    assert 0.1 <= slow < 0.1 + 0.1
    assert prompt < 0.05
    assert _round_trip(hub, worker) < 0.05


def test_large_data_crosses_a_delayed_link_whole(network: Network, hub: Host, worker: Host) -> None:
    sent = hub.outside("large")
    sent.write_bytes(bytes(range(256)) * 8192)
    network.delay("worker-1", milliseconds=1)
    hub.run("scp", "-q", "large", "worker-1:large")
    network.clear_delay("worker-1")
    assert worker.outside("large").read_bytes() == sent.read_bytes()


def test_a_delayed_host_can_be_cut(network: Network, hub: Host) -> None:
    network.delay("worker-1", milliseconds=1)
    network.cut("worker-1")
    assert hub.run("ssh", "-o", "ConnectTimeout=1", "worker-1", "true", check=False).returncode == 255
    network.mend("worker-1")
    hub.run("ssh", "worker-1", "true")
    network.clear_delay("worker-1")


def test_sshd_can_be_stopped_and_started(hub: Host, worker: Host) -> None:
    worker.stop_sshd()
    assert "Connection refused" in hub.run("ssh", "worker-1", "true", check=False).stderr
    worker.start_sshd()
    hub.run("ssh", "worker-1", "true")


def test_a_failure_shows_what_the_command_said(hub: Host) -> None:
    with pytest.raises(CommandError, match=r"(?s)On hub, `sh -c .*` ended with 3\..*stdout:\nout\n.*stderr:\nerr\n"):
        hub.run("sh", "-c", "echo out; echo err >&2; exit 3")


def test_a_late_command_is_killed_and_shows_what_it_said(hub: Host) -> None:
    with pytest.raises(CommandError, match=r"(?s)was killed after 0\.2 s.*stdout:\nout\n"):
        hub.run("sh", "-c", "echo out; exec sleep 1234", timeout=0.2)
    assert "sleep 1234" not in hub.run("ps", "-e", "-o", "args").stdout


def test_a_daemon_left_behind_keeps_nobody_waiting(hub: Host) -> None:
    pid = hub.run("sh", "-c", "sleep 1234 & echo $!", timeout=5).stdout.strip()
    hub.run("kill", pid)


def test_commands_are_given_input_environment_and_a_place(hub: Host) -> None:
    said = hub.run("sh", "-c", 'cat; echo "$COLOUR"; pwd', stdin="hello\n", env={"COLOUR": "red"}, cwd="/run")
    assert said.stdout == "hello\nred\n/run\n"


def test_signals_reach_the_program_itself(hub: Host) -> None:
    farewell = hub.start("sh", "-c", 'trap "echo bye; exit 7" TERM; echo here; while :; do sleep 0.01; done')
    wait_until(lambda: farewell.output.read_text() == "here\n", "the program has set its trap")
    farewell.terminate()
    assert farewell.wait(5) == 7
    assert farewell.output.read_text() == "here\nbye\n"


def test_a_program_can_be_frozen_thawed_and_killed(hub: Host) -> None:
    sleeper = hub.start("sleep", "1234")
    states = ("ps", "-C", "sleep", "-o", "stat=")
    sleeper.send_signal(signal.SIGSTOP)
    assert hub.run(*states).stdout.startswith("T")
    sleeper.send_signal(signal.SIGCONT)
    assert not hub.run(*states).stdout.startswith("T")
    sleeper.send_signal(signal.SIGSTOP)
    sleeper.kill()
    assert sleeper.wait(5) == -signal.SIGKILL


def test_a_diagnosis_names_processes_and_shows_logs(network: Network, hub: Host) -> None:
    speaker = hub.start("sh", "-c", "echo spoken; exec sleep 1234")
    wait_until(lambda: speaker.output.read_text() == "spoken\n", "the program speaks")
    diagnosis = network.diagnose()
    speaker.kill()
    speaker.wait()
    assert "sleep 1234" in diagnosis
    assert "\nspoken\n" in diagnosis
    assert diagnosis.count("Server listening") >= 2


def test_nothing_of_a_network_remains() -> None:
    machine, before = _machine(), _descendants(os.getpid())
    with ExitStack() as hold:
        with Network() as other:
            first, second = other.add_host("first"), other.add_host("second")
            first.run("tmux", "new-session", "-d")
            first.run("setsid", "--fork", "sleep", "1234")
            first.start("ssh", "second", "sleep 1234")
            second.start("sleep", "1234").send_signal(signal.SIGSTOP)
            other.delay("second", milliseconds=5)
            logs = first.start("true").output.parents[1]
            namespaces = hold.enter_context(_held_namespaces(_descendants(os.getpid()) - before))
            assert len(namespaces) == 2 * 4 + 1  # four kinds for each host, and the network of the switch
            assert _machine() == machine
        assert not namespaces & _namespaces_in_use()
    assert _descendants(os.getpid()) <= before
    assert not logs.exists()
    assert _machine() == machine


def test_nothing_remains_when_a_test_fails() -> None:
    before = _descendants(os.getpid())
    with pytest.raises(CommandError):
        _fail_in_a_network()
    assert _descendants(os.getpid()) <= before


def test_nothing_remains_of_namespaces_that_could_not_be_prepared() -> None:
    before = _descendants(os.getpid())
    with pytest.raises(OSError, match="could not be made: the reason"):
        Namespaces(["net", "pid"], ["sleep 1234 &", "echo the reason >&2", "false"])
    assert _descendants(os.getpid()) <= before


def test_nothing_remains_when_the_tests_are_killed(tmp_path: Path) -> None:
    script = """
from tests.e2e.hosts import Network
with Network() as network:
    network.add_host("hub").start("sleep", "1234")
    network.delay("hub", milliseconds=5)
    print("ready", flush=True)
    input()
"""
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=_CHECKOUT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as tests:
        assert tests.stdout is not None
        assert tests.stdout.readline() == b"ready\n"
        with _held_namespaces(_descendants(tests.pid)) as namespaces:
            assert len(namespaces) == 4 + 1
            tests.kill()
            wait_until(lambda: not namespaces & _namespaces_in_use(), "the namespaces of killed tests end")


def _fail_in_a_network() -> None:
    with Network() as network:
        network.add_host("hub").run("false")


def _round_trip(source: Host, target: Host) -> float:
    """Return how many seconds it takes to open a connection: the best of five, for the first must find the way."""
    measure = f"""
import socket, time
for _ in range(5):
    start = time.monotonic()
    with socket.create_connection(({target.address!r}, 22)):
        print(time.monotonic() - start)
"""
    return min(float(line) for line in source.run("python", "-c", measure).stdout.split())


def _descendants(ancestor: int) -> set[int]:
    """Return the processes that this one started, those that they started, and so on."""
    with subprocess.Popen(["ps", "-e", "-o", "pid=,ppid="], stdout=subprocess.PIPE, text=True) as ps:
        table = [(int(pid), int(parent)) for pid, parent in map(str.split, ps.communicate()[0].splitlines())]
    found: set[int] = set()
    while more := {pid for pid, parent in table if parent in {ancestor, *found}} - found:
        found |= more
    return found - {ps.pid}


@contextmanager
def _held_namespaces(pids: set[int]) -> Iterator[set[str]]:
    """Yield the namespaces of these processes other than our own, held open so that no new ones get their numbers."""
    with ExitStack() as hold:
        found = set()
        for entry in _namespace_entries(pids):
            with suppress(*_HIDDEN):
                hold.enter_context(entry.open("rb"))
                found.add(str(entry.readlink()))
        yield found - {str(entry.readlink()) for entry in _namespace_entries({os.getpid()})}


def _namespaces_in_use() -> set[str]:
    found = set()
    for entry in _namespace_entries({int(process.name) for process in Path("/proc").glob("[0-9]*")}):
        with suppress(*_HIDDEN):
            found.add(str(entry.readlink()))
    return found


def _namespace_entries(pids: set[int]) -> list[Path]:
    return [Path(f"/proc/{pid}/ns/{kind}") for pid in pids for kind in ("mnt", "net", "pid", "uts")]


def _machine() -> tuple[str, list[str]]:
    """Return the mounts and the network interfaces that the tests themselves see."""
    return Path("/proc/self/mountinfo").read_text(), sorted(entry.name for entry in Path("/sys/class/net").iterdir())
