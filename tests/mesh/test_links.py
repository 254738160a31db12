"""Links between agents over their own listeners: who is let in, and what a broken or lying peer can do."""

import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import asyncssh
import pytest

from agentmesh.core.wire import Hello, encode
from tests.eventually import eventually
from tests.mesh.local import LocalHost, befriend

pytestmark = pytest.mark.tmux

CLAUDE = Path(__file__).parent / "programs" / "claude.py"

Pair = tuple[LocalHost, LocalHost]


@pytest.fixture
def one(root: Path, request: pytest.FixtureRequest) -> Iterator[LocalHost]:
    """Yield a host with no peers yet."""
    host = LocalHost(f"one{abs(hash(request.node.name)) % 10**6}", root)
    try:
        host.start()
        yield host
    finally:
        host.end()


def test_a_message_and_a_file_cross_the_embedded_listener(pair: Pair) -> None:
    left, right = pair
    eventually(lambda: "right-dev-first" in left.addresses(), "left knows right's pane")
    assert left.notify("right-dev-first", "over the listener").returncode == 0
    assert "[from left @ " in right.tmux.screen("dev:first")
    (left.home / "data.bin").write_bytes(bytes(range(256)) * 5000)
    assert left.notify("right-dev-first", "--file", "data.bin").returncode == 0
    landed = right.home / ".agent-inbox" / "left" / "data.bin"
    assert landed.read_bytes() == (left.home / "data.bin").read_bytes()


def test_the_refusal_of_the_other_host_is_told_with_what_it_saw(pair: Pair) -> None:
    left, right = pair
    right.open("pw", "bash", "-c", "read -s -p 'Password: ' x")
    eventually(lambda: "right-dev-pw" in left.addresses(), "left knows the pane")
    eventually(lambda: "Password:" in right.tmux.screen("dev:pw"), "it asks")
    refused = left.notify("right-dev-pw", "hunter2")
    assert refused.returncode == 3
    assert "password prompt" in refused.stderr
    assert "| Password:" in refused.stderr


def test_a_link_is_back_after_the_other_agent_was_killed(pair: Pair) -> None:
    left, right = pair
    before = right.status().listening
    (right.agents / "config.toml").write_text(f'[listen]\naddress = "{before}"\n')
    right.kill()
    eventually(lambda: not left.all_up(), "the loss is seen")
    right.start()
    assert left.notify("right-dev-first", "after the crash").returncode == 0
    assert "after the crash" in right.tmux.screen("dev:first")


async def lie(host: LocalHost, answer: bytes, awaited: str, code: int = 0) -> None:
    """Be the peer ``liar``, which answers each conversation with these bytes, until the agent says what is awaited."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    connections: list[asyncssh.SSHServerConnection] = []

    class Liar(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            connections.append(conn)

    async def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(answer)
        await asyncio.sleep(0.2)
        process.exit(code)

    listener = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Liar,
        server_host_keys=[key],
        authorized_client_keys=str(host.agents / "key.pub"),
        process_factory=handle,
        encoding=None,
    )
    async with listener:
        port = listener.get_port()
        folder = host.home / ".ssh"
        folder.mkdir(exist_ok=True)
        (folder / "config").write_text(
            f"Host liar\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {host.agents}/key\n"
        )
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {key.export_public_key().decode()}")
        (host.agents / "peers.conf").write_text("liar\n")
        await asyncio.to_thread(host.asking.sync)

        def reason() -> str:
            return " ".join(f"{peer.state}: {peer.reason}" for peer in host.status().peers)

        await asyncio.to_thread(eventually, lambda: awaited in reason(), f"it says: {awaited}", reason)
        (host.agents / "peers.conf").write_text("")
        await asyncio.to_thread(host.asking.sync)  # it dials no more
        for connection in connections:
            connection.close()
            await connection.wait_closed()


@pytest.mark.parametrize(
    ("answer", "awaited", "code"),
    [
        (b"Welcome to Debian!\n", "isn't the agentmesh protocol", 0),
        (b"\xff\xff\xff\xff", "isn't the agentmesh protocol", 0),
        (encode(Hello(host="liar", version="0"))[:-3], "middle of a frame", 0),
        (encode(Hello(host="somebody", version="0")), "refused: The link is refused: liar calls itself somebody", 0),
        (encode(Hello(host="liar", version="9", oldest=7, newest=9)), "no common protocol", 0),
        (b"", "down: it ended the conversation", 0),
        (b"", "refused: agentmesh isn't installed there", 127),
    ],
    ids=["banner", "oversized", "truncated", "other-name", "future", "silent", "missing"],
)
async def test_a_peer_that_speaks_garbage_is_down_with_a_reason(
    one: LocalHost, answer: bytes, awaited: str, code: int
) -> None:
    await lie(one, answer, awaited, code)
    assert "Traceback" not in one.log
    assert one.notify("dev-first", "the rest goes on").returncode == 0


def test_a_key_that_is_not_authorized_gets_no_link(root: Path) -> None:
    hosts = LocalHost("inside", root), LocalHost("outside", root)
    inside, outside = hosts
    with ExitStack() as life:
        for host in hosts:
            life.callback(host.end)
            host.start()
        befriend(hosts)
        (inside.agents / "authorized_keys").write_text("")
        outside.kill()
        outside.start()

        def reasons() -> str:
            return " ".join(f"{peer.state}: {peer.reason}" for peer in outside.status().peers)

        eventually(lambda: "refused: it takes none of our keys" in reasons(), "outside is refused", reasons)
        (outside.home / ".ssh" / "known_hosts").write_text("")
        outside.asking.sync()
        eventually(lambda: "refused: its host key is not trusted" in reasons(), "the host key is refused", reasons)


def test_a_cut_after_the_message_left_is_uncertain_and_never_typed_twice(pair: Pair) -> None:
    left, right = pair
    log = right.home / "cut.log"
    pane = right.open("cut", sys.executable, CLAUDE, log, "cut")
    eventually(lambda: "right-dev-cut" in left.addresses(), "left knows the pane")
    with ThreadPoolExecutor(1) as thread:
        sending = thread.submit(left.notify, "right-dev-cut", "longer than the box keeps")
        eventually(lambda: "[from left" in right.tmux.screen(pane), "it was pasted")
        right.kill()
        sent = sending.result()
    assert sent.returncode == 7
    assert "link broke before right told of its end" in sent.stderr
    right.start()
    eventually(left.all_up, "the link is back", left.status)
    assert right.tmux.screen(pane).count("[from left") == 1
    assert not log.exists()
