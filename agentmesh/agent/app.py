"""One host's agent, put together: what it consists of, and the tasks that keep it going."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from agentmesh.adapters import files, ipc, keys, mounts, ssh
from agentmesh.adapters.authorized_keys import AuthorizedKeys
from agentmesh.adapters.tmux import socket_folder
from agentmesh.agent import waking
from agentmesh.agent.control import Control
from agentmesh.agent.directory import Directory
from agentmesh.agent.dropping import Dropping
from agentmesh.agent.drops import Drops
from agentmesh.agent.errands import Errands
from agentmesh.agent.handover import Handover
from agentmesh.agent.identities import Identities
from agentmesh.agent.inspection import Inspection
from agentmesh.agent.jobs import Jobs
from agentmesh.agent.launchers import write_launchers
from agentmesh.agent.links import Links
from agentmesh.agent.log import log
from agentmesh.agent.mail import Mail
from agentmesh.agent.membership import Membership
from agentmesh.agent.mirrors import Mirrors
from agentmesh.agent.overhearing import Overhearing
from agentmesh.agent.pane_queues import PaneQueues
from agentmesh.agent.peers import Peers
from agentmesh.agent.postman import Postman
from agentmesh.agent.replication import Replica
from agentmesh.agent.reporting import Reporting
from agentmesh.agent.reports import Reports
from agentmesh.agent.retention import Retention
from agentmesh.agent.review_desk import ReviewDesk
from agentmesh.agent.reviews import Reviews
from agentmesh.agent.scanner import Scanner
from agentmesh.agent.sending import Sending
from agentmesh.agent.session_book import SessionBook
from agentmesh.agent.session_capture import SessionCapture
from agentmesh.agent.session_close import SessionClose
from agentmesh.agent.session_desk import SessionDesk
from agentmesh.agent.session_eyes import SessionEyes
from agentmesh.agent.session_identity import SessionIdentity
from agentmesh.agent.session_life import SessionLife
from agentmesh.agent.session_purge import SessionPurge
from agentmesh.agent.session_recovery import SessionRecovery
from agentmesh.agent.session_rooms import SessionRooms
from agentmesh.agent.session_start import SessionStart
from agentmesh.agent.session_stop import SessionStop
from agentmesh.agent.session_watch import SessionWatch
from agentmesh.agent.submitting import Submitting
from agentmesh.agent.tasks import Tasks
from agentmesh.agent.turns import Turns
from agentmesh.agent.typist import Typist
from agentmesh.agent.view import Keeper
from agentmesh.agent.workers import Workers
from agentmesh.build import code_digest
from agentmesh.config import Config, Paths, load_alias, load_config, load_peers, load_profiles
from agentmesh.errors import AlreadyRunning, BadConfiguration
from agentmesh.store.database import open_database

STOP_SECONDS = 8.0
"""How long a message that is being typed may take to its end when the agent is told to stop."""


class Agent(msgspec.Struct, frozen=True):
    """The parts of one host's agent."""

    config: Config
    replica: Replica
    drops: Drops
    scanner: Scanner
    links: Links
    membership: Membership
    postman: Postman
    control: Control
    reporting: Reporting
    jobs: Jobs
    reports: Reports
    errands: Errands
    workers: Workers
    mirrors: Mirrors
    reviews: Reviews
    retention: Retention
    sessions: SessionBook
    session_watch: SessionWatch
    tasks: Tasks
    stopping: asyncio.Event


@asynccontextmanager
async def assembled(paths: Paths, *, new_epoch: bool = False) -> AsyncIterator[Agent]:
    """Put an agent together, its tmux servers scanned; nothing is watched, dialled or listened on yet.

    ``new_epoch`` is for the host's one agent, which holds the lock.
    Raises BadConfiguration, StoreFailed.
    """
    prepare(paths)
    config, alias, peers, profiles = load_config(paths), load_alias(paths), load_peers(paths), load_profiles(paths)
    stopping = asyncio.Event()
    on_network = bool(await asyncio.to_thread(mounts.network_kind, paths.home))
    async with open_database(paths.database, on_network=on_network) as database, Tasks() as tasks:
        authorized = AuthorizedKeys(paths.sshd_keys, paths.authorized_keys)
        required = config.identity.require_pinned
        identities = Identities(alias, keys.HostKey(paths.key), authorized, require_pinned=required)
        replica = Replica(paths, alias, database, identities)
        await replica.load(peers, new_epoch=new_epoch)
        drops = Drops(config.drops, paths.home)
        scanner = Scanner(paths, config, alias, profiles, replica)
        typist = Typist(profiles, drops)
        turns = Turns(paths.pane_locks, database, replica, scanner, typist)
        queues = PaneQueues(config.queue, database, turns, tasks)
        postman = Postman(alias, database, replica, queues, drops, tasks)
        jobs = Jobs(alias, paths.jobs, database, replica)
        reports = Reports(database, tasks)
        mirrors = Mirrors(alias, paths, database, jobs, tasks)
        errands = Errands(database, jobs, reports, Overhearing(alias, reports, mirrors), tasks)
        links = reports.road = Links(alias, replica, postman, errands, tasks, identities)
        links.set_peers(peers)
        directory = Directory(alias, replica, scanner)
        dropping = Dropping(alias, drops, links, paths.input, config.drops.largest)
        sending = Sending(replica, directory, postman, links, dropping)
        workers = errands.workers = Workers(database, scanner, tasks)
        errands.directory, errands.submitting = directory, Submitting(jobs, directory, sending.run)
        handover = Handover(database, postman, dropping, links)
        reviews = Reviews(paths.reviews, database, jobs, handover, links.wait_for_link, tasks)
        retention = Retention(config.jobs.keep, paths.reviews, database, jobs.records, mirrors)
        review_desk = ReviewDesk(alias, reviews, directory, errands)
        sessions = SessionBook(paths.agent_sessions, database)
        session_eyes = SessionEyes(profiles, scanner, replica, typist)
        session_watch = SessionWatch(
            alias, sessions, session_eyes, scanner, SessionRecovery(sessions, session_eyes, scanner)
        )
        session_stop = SessionStop(sessions, session_eyes, scanner, turns, typist)
        session_desk = SessionDesk(
            sessions,
            session_eyes,
            SessionStart(
                alias,
                sessions,
                session_eyes,
                scanner,
                SessionRooms(paths.workspaces, alias, sessions, scanner, directory),
            ),
            SessionIdentity(session_eyes, turns, typist),
            session_stop,
            session_watch,
            SessionLife(
                sessions,
                session_watch,
                SessionPurge(sessions, session_eyes),
                SessionClose(sessions, session_eyes, session_stop, directory, errands, workers),
                SessionCapture(sessions, session_eyes),
            ),
            scanner,
            directory,
            sending.run,
        )
        mail = Mail(alias, postman, directory, links)
        membership = Membership(paths, replica, links, identities)
        about_peers = Peers(paths, config, alias, replica, links, identities, membership, postman)
        inspection = Inspection(alias, directory, scanner, typist)
        reporting = Reporting(paths, alias, replica, scanner, links, about_peers, postman, mirrors)
        commands = {
            "notify-pane": sending.run,
            "inbox": mail.inbox,
            "outbox": mail.outbox,
            "capture": inspection.capture,
            "peers": about_peers.run,
            "status": reporting.status,
            "job": errands.run,
            "review": review_desk.run,
            "session": session_desk.run,
        }
        control = Control(paths, replica, scanner, links, directory, membership, commands, stopping.set)
        try:
            await scanner.scan()
            yield Agent(
                config,
                replica,
                drops,
                scanner,
                links,
                membership,
                postman,
                control,
                reporting,
                jobs,
                reports,
                errands,
                workers,
                mirrors,
                reviews,
                retention,
                sessions,
                session_watch,
                tasks,
                stopping,
            )
        finally:
            scanner.close()


def prepare(paths: Paths) -> None:
    """See that our folders exist, closed to others, and that the host has its key and its launchers."""
    try:
        files.make_private_folder(socket_folder())  # as tmux would make it: it is watched for new servers
        for folder in (
            paths.home,
            paths.spool,
            paths.pane_locks,
            paths.buffers,
            paths.input,
            paths.bin,
            paths.log.parent,
        ):
            files.make_private_folder(folder)
        paths.event.touch(mode=0o600)
        keys.make_key(paths.key)
        write_launchers(paths.bin)
    except OSError as error:
        raise BadConfiguration(path=paths.home, reason=error) from error


async def run(paths: Paths) -> None:
    """Run the agent until it is told to stop. Raises AlreadyRunning, BadConfiguration, StoreFailed."""
    prepare(paths)
    async with AsyncExitStack() as life:
        try:
            life.enter_context(files.locked(paths.lock, wait=False))
        except BlockingIOError as error:
            raise AlreadyRunning(home=paths.home) from error
        life.enter_context(log.writing(paths.log))
        if kind := await asyncio.to_thread(mounts.network_kind, paths.home):
            log.warning("the home is on a network file system: see agentmesh doctor", home=paths.home, kind=kind)
        for left_by_a_crash in paths.buffers.iterdir():
            left_by_a_crash.unlink()
        agent = await life.enter_async_context(assembled(paths, new_epoch=True))
        agent.reporting.code = code_digest()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, agent.stopping.set)
        # What an earlier run has left goes first: before a command or a peer can bring anything.
        await agent.postman.recover(agent.links)
        await agent.jobs.recover()
        await agent.reports.recover()
        await agent.workers.recover()
        await agent.sessions.recover()
        await agent.mirrors.start()
        await _listen(agent, paths, life)
        agent.tasks.start("write the registry", agent.replica.keep_files())
        agent.tasks.start_supervised("watch the settings", agent.membership.keep_watching(dials=True))
        agent.tasks.start("scan", agent.scanner.keep_scanning(agent.tasks))
        agent.tasks.start("summarise", agent.links.gossip.keep_summarising(agent.config.sync.interval))
        agent.tasks.start("check links", agent.links.vigil.keep_checking())
        agent.tasks.start("notice sleep", waking.keep_noticing(agent.links.wake))
        agent.tasks.start_supervised("write records", agent.jobs.records.recover())
        agent.tasks.start_supervised("watch jobs", agent.jobs.keep_watching())
        agent.tasks.start_supervised("watch workers", agent.workers.keep_watching(agent.errands.say_lost))
        agent.tasks.start_supervised("take reviews on", agent.reviews.keep_going())
        agent.tasks.start_supervised("forget what ended long ago", agent.retention.keep_forgetting())
        agent.tasks.start_supervised("watch sessions", agent.session_watch.keep_watching())
        agent.tasks.start_supervised("sweep the inbox", agent.drops.sweep())
        keeper = Keeper(load_alias(paths), agent.config.mesh.full, agent.links)
        agent.tasks.start("close idle links", keeper.keep_sweeping(agent.config.sync.interval))
        agent.tasks.start("seek hosts", keeper.keep_seeking())
        keeper.follow()
        log.info("agent is running", home=paths.home, pid=os.getpid())
        await agent.stopping.wait()
        log.info("agent stops")
        await agent.postman.close(STOP_SECONDS)


async def _listen(agent: Agent, paths: Paths, life: AsyncExitStack) -> None:
    async def on_request(request: ipc.Request, answer: ipc.Answer) -> None:
        code = await agent.control.answer(request, answer)
        await answer.exit(code)

    files.make_private_folder(paths.socket.parent)
    if paths.socket.parent != paths.home:
        files.replace(paths.socket_pointer, f"{paths.socket}\n".encode())
    try:
        await life.enter_async_context(ipc.listening(paths.socket, on_request, agent.links.serve))
    except OSError as error:  # as on a network file system that has no sockets
        reason = f"no socket can be made there ({error}); set AGENTMESH_HOME to a folder on a disk of this machine"
        raise BadConfiguration(path=paths.socket, reason=reason) from error
    if agent.config.listen.address:

        async def on_streams(reader: ssh.SshReader, writer: ssh.SshWriter, pinned: str) -> None:
            await agent.links.serve(reader, writer, pinned=pinned)

        listening = ssh.listening(agent.config.listen.address, paths.key, paths.authorized_keys, on_streams)
        agent.reporting.listening = await life.enter_async_context(listening)
        log.info("listening for peers", address=agent.reporting.listening)
