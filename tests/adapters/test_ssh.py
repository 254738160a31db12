"""SSH: our listener and our dialling, in one process, each with its own keys."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from agentmesh.adapters.keys import make_key
from agentmesh.adapters.ssh import SUBSYSTEM, SshReader, SshWriter, dialled, listening
from agentmesh.errors import BadConfiguration, Unreachable


async def shout(reader: SshReader, writer: SshWriter, pinned: str) -> None:
    """Answer in capitals until the other side ends, and say who speaks where a key says so."""
    name = f"{pinned}: " if pinned else ""
    while data := await reader.read(1024):
        writer.write(name.upper().encode() + data.upper())
        await writer.drain()
    writer.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a home with a key that the listener takes; what dials finds it as OpenSSH would."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir(mode=0o700)
    make_key(tmp_path / ".ssh" / "id_ed25519")
    make_key(tmp_path / "host_key")
    make_key(tmp_path / "key")
    public = (tmp_path / ".ssh" / "id_ed25519.pub").read_text()
    (tmp_path / "authorized_keys").write_text(f"# who may call\n{public}")
    return tmp_path


@asynccontextmanager
async def listener(home: Path) -> AsyncIterator[int]:
    """Listen on a free port, which the alias ``worker`` then means."""
    async with listening("127.0.0.1:0", home / "host_key", home / "authorized_keys", shout) as address:
        port = int(address.rpartition(":")[2])
        configure(home, port)
        yield port


def configure(home: Path, port: int) -> None:
    key = (home / "host_key.pub").read_text()
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}")
    (home / ".ssh" / "config").write_text(f"Host worker\n  HostName 127.0.0.1\n  Port {port}\n  User anybody\n")


async def test_conversations_are_held_on_one_connection(home: Path) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(listener(home))
        connection = await stack.enter_async_context(dialled("worker", home / "key"))
        conversations = [await connection.open_conversation() for _ in range(3)]
        for number, (_, writer) in enumerate(conversations):
            writer.write(f"hello {number}\0\xff".encode())
            await writer.drain()
        for number, (reader, _) in enumerate(conversations):
            assert await reader.read(100) == f"HELLO {number}\0\xff".encode().upper()
        reader, writer = conversations[0]
        writer.close()
        assert await reader.read(100) == b""


async def test_a_connection_that_ends_while_a_conversation_is_opened_is_unreachable(home: Path) -> None:
    opened = 0
    async with listener(home):
        for steps in range(40):  # however far it has come
            async with dialled("worker", home / "key") as connection:
                opening = asyncio.ensure_future(connection.open_conversation())
                for _ in range(steps):
                    await asyncio.sleep(0)
                connection.abort()
                with suppress(Unreachable):
                    await opening
                    opened += 1
    assert opened < 40


async def test_a_mebibyte_crosses_whole(home: Path) -> None:
    data = os.urandom(2**20).lower()
    async with listener(home), dialled("worker", home / "key") as connection:
        reader, writer = await connection.open_conversation()
        writer.write(data)
        heard = b""
        while len(heard) < len(data):
            heard += await reader.read(2**16)
        writer.close()
    assert heard == data.upper()


@pytest.mark.parametrize(
    ("own", "cipher"),
    [("", "aes256-gcm@openssh.com"), ("  Ciphers chacha20-poly1305@openssh.com\n", "chacha20-poly1305@openssh.com")],
    ids=["default", "the user's own"],
)
async def test_the_cipher_is_the_quick_one_unless_the_user_says_otherwise(home: Path, own: str, cipher: str) -> None:
    used: list[str] = []

    class Server(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            self.connection = conn

        def auth_completed(self) -> None:
            used.append(self.connection.get_extra_info("recv_cipher"))

    keys = {"server_host_keys": str(home / "host_key"), "authorized_client_keys": str(home / "authorized_keys")}
    async with asyncssh.listen("127.0.0.1", 0, server_factory=Server, **keys) as server:
        configure(home, server.get_port())
        with (home / ".ssh" / "config").open("a") as config:
            config.write(own)
        async with dialled("worker", home / "key"):
            pass
    assert used == [cipher]


@pytest.mark.parametrize(
    "request_of_a_session",
    [
        {"command": "touch harm"},
        {"command": "sh -c 'agentmesh wire'"},
        {"subsystem": "sftp"},
        {"subsystem": "agentmesh "},
        {},
        {"term_type": "xterm"},
    ],
)
async def test_the_listener_has_no_shell_no_command_and_no_other_subsystem(
    home: Path, request_of_a_session: dict[str, str]
) -> None:
    async with listener(home), asyncssh.connect("worker", config=[home / ".ssh" / "config"]) as client:
        with pytest.raises(asyncssh.ChannelOpenError):
            await client.open_session(**request_of_a_session)
        await client.open_session(subsystem=SUBSYSTEM, encoding=None)


async def test_the_listener_forwards_nothing(home: Path) -> None:
    async with listener(home) as port, asyncssh.connect("worker", config=[home / ".ssh" / "config"]) as client:
        with pytest.raises(asyncssh.ChannelOpenError):
            await client.open_connection("127.0.0.1", port)
        with pytest.raises(asyncssh.ChannelListenError):
            await client.forward_remote_port("127.0.0.1", 0, "127.0.0.1", port)


REQUESTS: list[dict[str, str]] = [{"command": "touch harm"}, {"subsystem": "sftp"}, {"subsystem": SUBSYSTEM}, {}]


def pin(home: Path, command: str) -> None:
    """Let the host's own key in with a forced command, beside the user's."""
    with (home / "authorized_keys").open("a") as file:
        file.write(f'restrict,command="{command}" {(home / "key.pub").read_text()}')


@pytest.mark.parametrize("asked", REQUESTS)
async def test_a_pinned_key_gets_the_conversation_whatever_it_asks_for_and_nothing_else(
    home: Path, asked: dict[str, str]
) -> None:
    pin(home, "/x/bin/agentmesh wire --peer hub")
    async with listener(home) as port, asyncssh.connect("worker", **as_pinned(home)) as client:
        writer, reader, _ = await client.open_session(**asked)
        writer.write("who am I?")
        assert await reader.read(100) == "HUB: WHO AM I?"
        with pytest.raises(asyncssh.ChannelOpenError):
            await client.open_connection("127.0.0.1", port)
        with pytest.raises(asyncssh.ChannelListenError):
            await client.forward_remote_port("127.0.0.1", 0, "127.0.0.1", port)


@pytest.mark.parametrize("asked", REQUESTS)
async def test_a_key_with_another_forced_command_gets_nothing(home: Path, asked: dict[str, str]) -> None:
    pin(home, "rsync --server")
    async with listener(home), asyncssh.connect("worker", **as_pinned(home)) as client:
        with pytest.raises(asyncssh.ChannelOpenError):
            await client.open_session(**asked)


def as_pinned(home: Path) -> dict[str, Any]:
    return {"config": [home / ".ssh" / "config"], "client_keys": [str(home / "key")], "agent_path": None}


async def test_the_host_s_own_key_is_offered_before_the_user_s(home: Path) -> None:
    async with listener(home):
        assert await _greet(home) == b"HELLO"
    pin(home, "/x/bin/agentmesh wire --peer hub")
    async with listener(home):
        assert await _greet(home) == b"HUB: HELLO"


async def _greet(home: Path) -> bytes:
    async with dialled("worker", home / "key") as connection:
        reader, writer = await connection.open_conversation()
        writer.write(b"hello")
        return await reader.read(100)


@pytest.mark.parametrize("authorized", ["", "# nobody\n", None])
async def test_a_key_that_is_not_authorized_is_refused_with_a_remedy(home: Path, authorized: str | None) -> None:
    file = home / "authorized_keys"
    file.unlink() if authorized is None else file.write_text(authorized)
    async with listener(home):
        with pytest.raises(Unreachable, match=r"it takes none of our keys .* ssh -o BatchMode=yes worker true"):
            await _dial(home, "worker")


async def test_a_key_of_somebody_else_is_refused(home: Path) -> None:
    make_key(home / "another")
    async with listener(home):
        (home / ".ssh" / "id_ed25519").write_bytes((home / "another").read_bytes())
        (home / ".ssh" / "id_ed25519.pub").write_bytes((home / "another.pub").read_bytes())
        with pytest.raises(Unreachable, match="none of our keys"):
            await _dial(home, "worker")


async def test_an_edit_of_the_authorized_keys_needs_no_restart(home: Path) -> None:
    allowed = (home / "authorized_keys").read_text()
    (home / "authorized_keys").write_text("")
    async with listener(home):
        with pytest.raises(Unreachable):
            await _dial(home, "worker")
        (home / "authorized_keys").write_text(allowed)
        await _dial(home, "worker")


@pytest.mark.parametrize("known", ["nothing", "another key"])
async def test_a_host_key_that_is_not_known_is_refused_with_a_remedy(home: Path, known: str) -> None:
    async with listener(home) as port:
        make_key(home / "another")
        line = "" if known == "nothing" else f"[127.0.0.1]:{port} {(home / 'another.pub').read_text()}"
        (home / ".ssh" / "known_hosts").write_text(line)
        with pytest.raises(Unreachable, match=r"its host key is not trusted .* ssh worker true"):
            await _dial(home, "worker")


async def test_nobody_at_the_port_is_unreachable(home: Path) -> None:
    async with listener(home):
        pass
    with pytest.raises(Unreachable, match="worker can't be reached"):
        await _dial(home, "worker")


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:port", "203.0.113.7:0"])
async def test_an_address_that_can_not_be_listened_on_is_bad_configuration(home: Path, address: str) -> None:
    with pytest.raises(BadConfiguration):
        await _listen(home, address)


async def _dial(home: Path, alias: str) -> None:
    async with dialled(alias, home / "key") as connection:
        await connection.open_conversation()


async def _listen(home: Path, address: str) -> None:
    async with listening(address, home / "host_key", home / "authorized_keys", shout):
        pass
