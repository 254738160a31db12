"""What agentmesh doctor finds that happens seldom; and that no finding is without a test that quotes it."""

import ast
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from agentmesh.core.finding import Finding
from tests.e2e.hosts import Host, Network
from tests.e2e.mesh import open_window
from tests.eventually import eventually
from tests.findings import BROKEN, findings

pytestmark = [pytest.mark.hosts, pytest.mark.tmux]

TESTS = Path(__file__).parents[1]
DOCTOR = TESTS.parent / "agentmesh" / "doctor"
AGENT = """\
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("ready", flush=True)
while True:
    caller, _ = server.accept()
    caller.recv(1000)
    caller.sendall(sys.argv[2].encode().decode("unicode_escape").encode())
    caller.close()
"""
"""Answers everybody with the same bytes."""
OF_ANOTHER_VERSION = 'o\\0\\0\\0\\23{"version":"0.0.1"}x\\0\\0\\0\\0010'
"""The parts of an answer: output, and exit code 0."""
STRANGERS = {"mumbling": "printf '\\\\377\\\\377\\\\377\\\\377\\\\1'; cat", "curt": "exit 3"}
"""Hosts by what runs there instead of `agentmesh wire`."""


@pytest.fixture(scope="module")
def hub(network: Network) -> Host:
    """Return a host on which no agent runs, with a tmux server, and peers that are itself behind other commands."""
    hub = network.add_host("hub")
    home = hub.outside(".agents")
    home.mkdir(mode=0o700)
    (home / "self.conf").write_text("hub\n")
    hub.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home.name + "/key")
    open_window(hub, "dev", "first", "cat")
    for name, command in STRANGERS.items():
        hub.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f".ssh/{name}")
        key = hub.outside(f".ssh/{name}.pub").read_text()
        with hub.outside(".ssh/authorized_keys").open("a") as keys, hub.outside(".ssh/config").open("a") as config:
            keys.write(f'command="{command}" {key}')
            config.write(
                f"Host {name}\n    HostName {hub.address}\n    HostKeyAlias hub\n"
                f"    IdentitiesOnly yes\n    IdentityFile .ssh/{name}\n"
            )
    return hub


def examined(host: Host, **environment: str) -> dict[str, Finding]:
    done = host.run("agentmesh", "doctor", "--json", check=False, env=environment)
    assert done.returncode in {0, 4}, done
    return findings(done.stdout)


def test_a_peer_that_says_something_else_or_nothing(hub: Host) -> None:
    peers = hub.outside(".agents/peers.conf")
    peers.write_text("".join(f"{name}\n" for name in STRANGERS))
    found = examined(hub)
    peers.unlink()
    mumbling, curt = found["peer mumbling"], found["peer curt"]
    assert (mumbling.state, curt.state) == (BROKEN, BROKEN)
    assert mumbling.remedy == "see whether its agent is well: ssh mumbling agentmesh doctor"
    assert "Is agentmesh installed there?" in curt.seen
    assert curt.remedy == "find out why with: ssh -v -o BatchMode=yes curt true"


@pytest.mark.parametrize(
    ("answer", "seen"),
    [(OF_ANOTHER_VERSION, "it is of another version"), ("", "the agent can't be reached: it went away before it ans")],
)
def test_an_agent_that_gives_no_status(hub: Host, answer: str, seen: str) -> None:
    socket = hub.outside(".agents/agent.sock")
    agent = hub.start("python", "-c", AGENT, hub.home / ".agents/agent.sock", answer)
    try:
        eventually(lambda: "ready" in agent.output.read_text(), "it listens", agent.output.read_text)
        found = examined(hub)["agent"]
        assert found.seen.startswith(seen)
        assert found.remedy == "agentmesh install, which ends it, and starts another"
    finally:
        agent.kill()
        agent.wait(10)
        socket.unlink()


def test_settings_that_hide_the_rest(hub: Host) -> None:
    config, peers = hub.outside(".agents/config.toml"), hub.outside(".agents/peers.conf")
    config.write_text("[nonsense]\n")
    peers.write_text("not an alias\n")
    try:
        found = examined(hub)
    finally:
        config.unlink()
        peers.unlink()
    assert found["peers"].state is BROKEN
    assert "not looked at: " in found["peers"].seen
    assert found["peers"].remedy == "first mend what is said above"


def test_a_tmux_that_does_not_run(hub: Host) -> None:
    program = hub.outside("broken/tmux")
    program.parent.mkdir()
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    found = examined(hub, PATH=f"{hub.home}/broken:{hub.environment['PATH']}")["tmux"]
    assert (found.state, f"{hub.home}/broken/tmux doesn't run: " in found.seen) == (BROKEN, True)
    assert found.remedy == "install it again"


def test_a_tmux_server_that_does_not_answer(hub: Host) -> None:
    server = hub.run("tmux", "display-message", "-p", "#{pid}").stdout.strip()
    hub.run("kill", "-STOP", server)
    doctor = hub.start("agentmesh", "doctor", "--json")
    try:
        assert doctor.wait(30) == 4
    finally:
        hub.run("kill", "-CONT", server)
    found = findings(doctor.output.read_text())["hooks in default"]
    assert "has not answered for " in found.seen
    assert found.remedy.startswith("see whether this answers: tmux -S ")


def sentences() -> Iterator[str]:
    """Yield the longest fixed part of all that doctor can see amiss, as its source has it."""
    for file in sorted(DOCTOR.glob("*.py")):
        for function in ast.walk(ast.parse(file.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from chain.from_iterable(map(_fixed, _seen(function)))


def _seen(function: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions that say what was seen: of a finding's call, of Silent, or put aside before it."""
    for node in ast.walk(function):
        match node:
            case (
                ast.Call(func=ast.Name("warning" | "broken"), args=[_, seen, *_])
                | ast.Call(func=ast.Name("Silent"), args=[seen])
            ):
                yield seen
            case ast.Assign(targets=[ast.Name("seen")], value=seen):
                yield seen
            case ast.Assign(targets=[ast.Tuple([ast.Name("seen"), *_])], value=ast.Tuple([seen, *_])):
                yield seen


def _fixed(seen: ast.expr) -> list[str]:
    """Return the longest part that stands in the source; nothing where the words come from elsewhere."""
    parts = seen.values if isinstance(seen, ast.JoinedStr) else [seen]
    words = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return sorted(words, key=len)[-1:]


def test_each_sentence_that_doctor_can_say_of_something_amiss_is_quoted_by_a_test() -> None:
    quoting = "".join(
        path.read_text() for path in [*sorted(TESTS.rglob("test_doctor*.py")), TESTS / "install/test_tmux_conf.py"]
    )
    said = set(sentences())
    assert len(said) > 30
    assert sorted(sentence for sentence in said if not any(part in quoting for part in pieces(sentence))) == []


def pieces(sentence: str) -> Iterator[str]:
    """Yield every run of ten characters: tests quote parts, with names and numbers of their own between them."""
    yield from (sentence[at : at + 10] for at in range(max(1, len(sentence) - 9)))
