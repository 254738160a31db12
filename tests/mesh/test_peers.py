"""`agentmesh peers` between agents that listen by themselves: who is let in under which name, and who belongs."""

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import asyncssh
import msgspec
import pytest

from agentmesh.adapters.keys import HostKey, fingerprint
from agentmesh.adapters.ssh import SUBSYSTEM
from agentmesh.core.model import Letter, Standing
from agentmesh.core.outcome import Added, Authorized, Failed, Pinged, Removed, Revoked
from agentmesh.core.wire import Bye, Decoder, Deliver, Frame, Hello, SliceNews, encode, slice_text
from tests.core.examples import a_message, a_pane, a_slice
from tests.eventually import eventually
from tests.mesh.local import LocalHost, know

pytestmark = pytest.mark.tmux

Pair = tuple[LocalHost, LocalHost]
T = TypeVar("T")


@pytest.fixture
def two(root: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Yield two hosts, ``hub`` and ``worker``, that know each other's address and host key, and nothing more."""
    folder = root / f"{abs(hash(request.node.name)) % 10**6}"
    with ExitStack() as life:
        hosts = LocalHost("hub", folder), LocalHost("worker", folder)
        for host in hosts:
            life.callback(host.end)
            host.start()
        for host, other in (hosts, reversed(hosts)):
            know(host, other)
        yield hosts


@pytest.fixture
def pinned(two: Pair) -> Pair:
    """Yield both as peers, each with the other's key pinned."""
    hub, worker = two
    for host, other in ((hub, worker), (worker, hub)):
        assert host.run("agentmesh", "peers", "authorize", other.name, str(other.agents / "key.pub")).returncode == 0
    for host, other in ((hub, worker), (worker, hub)):
        assert host.run("agentmesh", "peers", "add", other.name).returncode == 0
    eventually(lambda: hub.all_up() and worker.all_up(), "they have links", lambda: (hub.log, worker.log))
    return two


def peers(host: LocalHost) -> dict[str, Standing]:
    answer = host.run("agentmesh", "peers", "--json")
    assert answer.returncode == 0, answer.stderr
    return {peer.host: peer for peer in msgspec.json.decode(answer.stdout, type=list[Standing])}


def inbox(host: LocalHost) -> list[Letter]:
    return msgspec.json.decode(host.run("agentmesh", "inbox", "--json").stdout, type=list[Letter])


async def call(host: LocalHost, key: Path, *frames: Frame) -> list[Frame]:
    """Call a host with a key, say something, and return what it answers to the end of the conversation."""
    port = int(host.status().listening.rpartition(":")[2])
    async with asyncssh.connect("127.0.0.1", port, known_hosts=None, client_keys=[str(key)], config=None) as connection:
        writer, reader, _ = await connection.open_session(subsystem=SUBSYSTEM, encoding=None)
        writer.write(b"".join(map(encode, frames)))
        decoder, heard = Decoder(), []
        async with asyncio.timeout(20):
            while data := await reader.read(2**16):
                heard += decoder.feed(data)
                if any(isinstance(frame, Bye) for frame in heard):
                    break
        return heard


def eventually_logged(host: LocalHost, text: str) -> None:
    eventually(lambda: text in host.log, f"{host.name} has logged: {text}", lambda: host.log)


def byes(frames: list[Frame]) -> str:
    return " ".join(frame.reason for frame in frames if isinstance(frame, Bye))


def test_a_stranger_becomes_a_peer_whose_messages_say_where_they_are_from(two: Pair) -> None:
    hub, worker = two
    (hub.agents / "peers.conf").write_text("# mine\n\nelsewhere # far away")
    refused = hub.run("agentmesh", "peers", "add", "worker")
    assert refused.returncode == 4
    assert "takes none of our keys" in refused.stderr
    assert (hub.agents / "peers.conf").read_text() == "# mine\n\nelsewhere # far away"

    authorized = worker.run("agentmesh", "peers", "authorize", "hub", str(hub.agents / "key.pub"))
    assert re.match(r"hub: SHA256:\S+ is now pinned, in ~/.agents/authorized_keys\n", authorized.stdout)
    assert "hub: not a peer yet; run `agentmesh peers add hub`" in authorized.stdout
    added = hub.run("agentmesh", "peers", "add", "worker")
    assert re.match(r"worker: added; agentmesh \S+, protocol 1 to \d+, key SHA256:\S+\n", added.stdout), added
    assert (hub.agents / "peers.conf").read_text() == "# mine\n\nelsewhere # far away\nworker\n"
    assert hub.run("agentmesh", "peers", "add", "worker").returncode == 0
    assert (hub.agents / "peers.conf").read_text().count("worker") == 1

    eventually(lambda: peers(hub)["worker"].state == "up", "hub has a link", lambda: peers(hub))
    eventually(lambda: "worker-dev-first" in hub.addresses(), "hub knows the pane", hub.addresses)
    assert peers(hub)["worker"].identity == "host key"
    assert peers(worker)["hub"].identity == "pinned"
    assert "agentmesh peers add hub" in peers(worker)["hub"].reason
    assert hub.notify("worker-dev-first", "who am I?").returncode == 0
    (letter,) = inbox(worker)
    assert (letter.origin.host, letter.origin.identity) == ("hub", "pinned")
    assert "(submitted; from hub, pinned)" in worker.run("agentmesh", "inbox").stdout
    eventually_logged(worker, "identity=pinned")


def test_the_key_can_be_asked_of_a_host_that_is_dialled(two: Pair) -> None:
    hub, worker = two
    assert worker.run("agentmesh", "peers", "authorize", "hub", str(hub.agents / "key.pub")).returncode == 0
    told = hub.run("agentmesh", "peers", "authorize", "worker")
    assert told.returncode == 0, told
    key = HostKey(worker.agents / "key").public
    assert f'wire --peer worker" {key} agentmesh:worker\n' in (hub.agents / "authorized_keys").read_text()
    again = hub.run("agentmesh", "peers", "authorize", "worker", str(worker.agents / "key.pub"))
    assert "is already pinned" in again.stdout


def test_a_ping_shows_the_round_trip_and_who_answers(pinned: Pair) -> None:
    hub, _ = pinned
    answer = hub.run("agentmesh", "peers", "ping")
    assert re.match(
        r"worker: \d+\.\d ms, \S+( key)?, agentmesh \S+, protocol 1 to \d+, key SHA256:\S+, clock [+-]\d+\.\d s\n$",
        answer.stdout,
    ), answer
    assert peers(hub)["worker"].latency is not None
    assert hub.run("agentmesh", "peers", "ping", "nobody").returncode == 2


def test_what_became_of_each_peer_is_told_as_json(pinned: Pair) -> None:
    hub, worker = pinned

    def told(form: type[T], *words: str, code: int = 0) -> T:
        done = hub.run("agentmesh", "peers", *words, "--json")
        assert done.returncode == code, done
        return msgspec.json.decode(done.stdout, type=form, strict=True)

    key = fingerprint(HostKey(worker.agents / "key").public)
    ping, failed = told(tuple[Pinged, Failed], "ping", "worker", "nobody", code=2)
    assert (ping.host, ping.key, ping.identity != "") == ("worker", key, True)
    assert 0 < ping.latency < 10
    assert (failed.host, failed.exit_code) == ("nobody", 2)
    assert "No peer is called nobody" in failed.error
    assert [added.key for added in told(list[Added], "add", "worker")] == [key]
    again = told(Authorized, "authorize", "worker", str(worker.agents / "key.pub"))
    assert again == Authorized(host="worker", key=key, is_new=False, file="~/.agents/authorized_keys", is_peer=True)
    assert told(Revoked, "revoke", "worker") == Revoked(host="worker", keys=1, is_peer=True)
    (removed,) = told(list[Removed], "remove", "worker", "--everywhere")
    assert (removed.host, removed.ended) == ("worker", 0)


def test_a_revoked_key_is_cut_off_at_once(pinned: Pair) -> None:
    hub, worker = pinned
    assert hub.run("agentmesh", "peers", "remove", "worker").returncode == 0  # so that worker's dialling alone is left
    eventually(lambda: peers(worker)["hub"].state != "up", "worker is shut out", lambda: peers(worker))
    assert hub.run("agentmesh", "peers", "authorize", "worker", str(worker.agents / "key.pub")).returncode == 0
    worker.asking.sync()
    eventually(lambda: "worker" in peers(hub), "worker has called", lambda: (peers(hub), worker.log))
    assert peers(hub)["worker"].identity == "pinned"
    revoked = hub.run("agentmesh", "peers", "revoke", "worker")
    assert (revoked.returncode, revoked.stdout) == (0, "worker: revoked; what its key had open is cut\n")
    assert "worker" not in peers(hub)
    eventually_logged(hub, "the key that was pinned to worker has been revoked")
    assert hub.run("agentmesh", "peers", "revoke", "worker").returncode == 2
    worker.asking.sync()
    eventually(lambda: "none of our keys" in peers(worker)["hub"].reason, "its key is refused", lambda: peers(worker))


def test_an_edit_of_the_file_revokes_too(pinned: Pair) -> None:
    hub, worker = pinned
    assert hub.run("agentmesh", "peers", "remove", "worker").returncode == 0
    assert hub.run("agentmesh", "peers", "authorize", "worker", str(worker.agents / "key.pub")).returncode == 0
    worker.asking.sync()
    eventually(lambda: "worker" in peers(hub), "worker has called", lambda: (peers(hub), worker.log))
    (hub.agents / "authorized_keys").write_text("# nobody\n")
    eventually(lambda: "worker" not in peers(hub), "worker is cut off", lambda: (peers(hub), hub.log))


async def test_a_pinned_key_speaks_for_its_name_alone(pinned: Pair) -> None:
    hub, worker = pinned
    heard = await call(hub, worker.agents / "key", Hello(host="other", version="1"))
    assert "its key is pinned to worker, and it calls itself other" in byes(heard)
    eventually_logged(hub, "its key is pinned to worker, and it calls itself other")
    assert "other" not in peers(hub)


async def test_a_name_with_a_pin_can_not_be_claimed(pinned: Pair, tmp_path: Path) -> None:
    hub, _ = pinned
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(tmp_path / "login")
    with (hub.agents / "authorized_keys").open("ab") as file:
        file.write(key.export_public_key())
    heard = await call(hub, tmp_path / "login", Hello(host="worker", version="1"))
    assert "a key is pinned to worker, and it called with another" in byes(heard)


async def test_require_pinned_refuses_claims_and_says_what_to_do(two: Pair) -> None:
    hub, worker = two
    hub.kill()
    with (hub.agents / "config.toml").open("a") as config:
        config.write("[identity]\nrequire_pinned = true\n")
    (hub.agents / "authorized_keys").write_text((worker.agents / "key.pub").read_text())
    hub.start()
    heard = await call(hub, worker.agents / "key", Hello(host="worker", version="1"), Deliver(a_message(), 0))
    assert "run `agentmesh peers authorize worker KEY.pub` here" in byes(heard)
    assert inbox(hub) == []
    refused = hub.run("agentmesh", "peers", "authorize", "worker", str(worker.agents / "key.pub"))
    assert refused.returncode == 1
    assert "it may log in here already, by line 1 of" in refused.stderr


async def test_a_pinned_peer_can_not_make_up_the_slice_of_another(pinned: Pair, root: Path) -> None:
    hub, worker = pinned
    third = LocalHost("third", root / "third")
    try:
        third.start()
        know(hub, third)
        know(third, hub)
        for host, other in ((hub, third), (third, hub)):
            key = str(other.agents / "key.pub")
            assert host.run("agentmesh", "peers", "authorize", other.name, key).returncode == 0
        (hub.agents / "peers.conf").write_text("worker\nthird\n")
        forged = a_slice(a_pane("third-dev-bank", host="third"), host="third", epoch=99)
        own = HostKey(worker.agents / "key").seal(slice_text(forged))
        hello = Hello(host="worker", version="1")
        eventually(lambda: "third" in peers(hub), "third is a peer of hub's", lambda: peers(hub))
        await call(hub, worker.agents / "key", hello, SliceNews(forged), SliceNews(forged, own), Bye("done"))
        eventually(lambda: hub.log.count("slice refused") == 2, "both are refused", lambda: hub.log)
        assert "it isn't signed with a key that is pinned to third" in hub.log
        assert "third-dev-bank" not in hub.addresses()
    finally:
        third.end()


def test_a_message_that_bears_another_host_s_address_shows_both(pinned: Pair) -> None:
    hub, worker = pinned
    eventually(lambda: "worker-dev-first" in hub.addresses(), "hub knows the pane")
    assert hub.notify("worker-dev-first", "--reply-to", "worker-dev-first", "as if it were yours").returncode == 0
    assert "[from worker-dev-first (hub) @ " in worker.tmux.screen("dev:first")
    assert hub.notify("worker-dev-first", "--reply-to", "hub-dev-first", "my own").returncode == 0
    assert "[from hub-dev-first @ " in worker.tmux.screen("dev:first")


def test_an_edit_of_peers_conf_is_picked_up_and_a_broken_one_changes_nothing(pinned: Pair) -> None:
    hub, _ = pinned
    file = hub.agents / "peers.conf"
    file.write_text("worker\nno alias!\n")
    eventually_logged(hub, "an edit has no effect")
    assert peers(hub).keys() == {"worker"}
    file.unlink()
    eventually_logged(hub, "the peers known before stand")
    assert peers(hub).keys() == {"worker"}
    file.write_text("worker\nelsewhere\n")
    eventually(lambda: "elsewhere" in peers(hub), "it is a peer", lambda: peers(hub))
    file.write_text("worker\n")
    eventually(lambda: "elsewhere" not in peers(hub), "it is none", lambda: peers(hub))


def test_a_removed_host_is_forgotten_and_what_waits_for_it_ends(pinned: Pair) -> None:
    hub, worker = pinned
    eventually(lambda: "worker-dev-first" in hub.addresses(), "hub knows the pane")
    worker.kill()
    eventually(lambda: peers(hub)["worker"].state != "up", "the link is gone", lambda: peers(hub))
    assert hub.notify("worker-dev-first", "--queue", "for later").returncode == 0
    removed = hub.run("agentmesh", "peers", "remove", "worker")
    assert removed.returncode == 0, removed
    assert removed.stdout == (
        "worker: removed; 1 pinned key revoked; 1 message for it ended, see `agentmesh outbox --all`.\n"
    )
    assert hub.run("agentmesh", "outbox", "--json").stdout == "[]\n"
    (letter,) = msgspec.json.decode(hub.run("agentmesh", "outbox", "--all", "--json").stdout, type=list[Letter])
    assert (letter.receipt.state, "was removed from the mesh" in letter.receipt.detail) == ("unreachable", True)
    assert peers(hub) == {}
    assert "worker-dev-first" not in hub.addresses()
    assert "worker" not in hub.registry()["slices"]
    assert (hub.agents / "peers.conf").read_text() == ""
    assert (hub.agents / "authorized_keys").read_text() == ""
    assert hub.run("agentmesh", "peers", "remove", "worker").returncode == 2


def test_a_host_that_calls_itself_otherwise_is_not_added(two: Pair) -> None:
    hub, worker = two
    assert worker.run("agentmesh", "peers", "authorize", "hub", str(hub.agents / "key.pub")).returncode == 0
    config = hub.home / ".ssh" / "config"
    config.write_text(config.read_text().replace("Host worker\n", "Host w1 worker\n"))
    clash = hub.run("agentmesh", "peers", "add", "w1")
    assert clash.returncode == 1
    assert "w1 calls itself worker" in clash.stderr
    assert "write `Host worker` into ~/.ssh/config" in clash.stderr
    assert hub.run("agentmesh", "peers", "add", "worker").returncode == 0
    assert "a peer already, under its name" in hub.run("agentmesh", "peers", "add", "w1").stderr
    assert peers(hub).keys() == {"worker"}


async def test_a_clock_that_is_wrong_is_said_when_its_host_is_added(host: LocalHost) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    hello = Hello(host="odd", version="1", time=time.time() - 3600)

    async def greet(stdin: asyncssh.SSHReader[bytes], stdout: asyncssh.SSHWriter[bytes], _err: object) -> None:
        await stdin.read(2**16)
        stdout.write(encode(hello))
        stdout.close()

    listener = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[key],
        authorized_client_keys=str(host.agents / "key.pub"),
        session_factory=greet,
        encoding=None,
    )
    async with listener:
        port = listener.get_port()
        folder = host.home / ".ssh"
        folder.mkdir(exist_ok=True)
        (folder / "config").write_text(f"Host odd\n  HostName 127.0.0.1\n  Port {port}\n")
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {key.export_public_key().decode()}")
        added = await asyncio.to_thread(host.run, "agentmesh", "peers", "add", "odd")
        assert re.search(r"odd: its clock is 3[56]\d\d s behind this host's; set one of them right", added.stdout), (
            added
        )
        await asyncio.to_thread(host.run, "agentmesh", "peers", "remove", "odd")


@pytest.mark.parametrize("with_agent", [True, False], ids=["with an agent", "without one"])
def test_what_can_not_be_pinned_is_refused_with_a_remedy(two: Pair, *, with_agent: bool) -> None:
    hub, worker = two
    if not with_agent:
        hub.kill()
    key, own = worker.agents / "key.pub", hub.agents / "key.pub"

    def refused(*words: str | Path) -> str:
        answer = hub.run("agentmesh", "peers", *map(str, words))
        assert answer.returncode in {1, 2}, answer
        return answer.stderr

    assert "it is this host's own name" in refused("authorize", "hub", key)
    assert "it is this host's own; give the key.pub of worker" in refused("authorize", "worker", own)
    assert "give its .pub file" in refused("authorize", "worker", worker.agents / "key")
    assert "no public key" in refused("authorize", "worker", hub.agents / "self.conf")
    assert "use letters" in refused("authorize", "a/b", key)
    assert "Can't send" not in refused("authorize", "worker", "nowhere")
    assert "No key is pinned to worker" in refused("revoke", "worker")
    assert hub.run("agentmesh", "peers", "authorize", "worker", "-", stdin=key.read_bytes()).returncode == 0
    assert "run `agentmesh peers revoke worker` first" in refused("authorize", "other", key)
    assert hub.run("agentmesh", "peers", "revoke", "worker").returncode == 0
