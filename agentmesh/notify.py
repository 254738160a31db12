"""notify-pane: hand the words to the agent and show what it answers. Standard library only; this is the hot path.

It imports next to nothing, because starting Python is most of what a message costs: the launcher skips ``site``, and
then even ``os`` isn't loaded yet. `agentmesh.adapters.ipc` describes what is spoken here. With no agent running, the
same work is done in this process.
"""

import _socket
import posix
import sys

_VARIABLES = (b"AGENT_NAME", b"AGENT_ROLE", b"AGENT_SCOPE", b"FORCE_SEND", b"SKIP_DISMISS", b"TMUX_PANE")


def main() -> None:
    """Run the command and exit with its code."""
    connection = connect()
    if connection is None:
        _without_agent(["notify-pane", *sys.argv[1:]])
        return
    try:
        code = _converse(connection)
    except (OSError, EOFError):
        sys.stderr.write("notify-pane: the agent went away before it answered; look at the pane.\n")
        code = 7
    except KeyboardInterrupt:
        code = 130
    sys.stdout.flush()
    posix._exit(code)  # noqa: SLF001 (nothing is left to do, and the interpreter's own end takes milliseconds)


def connect() -> "_socket.socket | None":
    """Connect to this host's agent; returns None when none runs."""
    variables = posix.environ
    home = variables.get(b"AGENTMESH_HOME") or variables.get(b"HOME", b"") + b"/.agents"
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    for find in (_pointed, bytes):
        try:
            connection.connect(find(home + b"/agent.sock"))
        except OSError:
            continue
        return connection
    return None


def _pointed(path: bytes) -> bytes:
    """Return where the socket is when its own path would be too long for one."""
    with open(path + b".path", "rb") as file:  # noqa: PTH123 (pathlib is slow to import)
        return file.read().strip()


def _converse(connection: "_socket.socket") -> int:
    shared = [name + b"=" + posix.environ[name] for name in _VARIABLES if name in posix.environ]
    if posix.isatty(2):
        shared.append(b"COLUMNS=%d" % posix.get_terminal_size(2).columns)
    words = [word.encode(sys.getfilesystemencoding(), "surrogateescape") for word in sys.argv[1:]]
    body = b"\0".join([_folder(), *shared, b"", b"notify-pane", *words])
    connection.sendall(b"AMC1" + len(body).to_bytes(4, "big") + body)
    while True:
        kind = _read(connection, 1)
        data = _read(connection, int.from_bytes(_read(connection, 4), "big"))
        if kind == b"o":
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
        elif kind == b"e":
            sys.stderr.buffer.write(data)
            sys.stderr.flush()
        elif kind == b"i":
            given = sys.stdin.buffer.read(int(data))
            connection.sendall(len(given).to_bytes(4, "big") + given)
        elif kind == b"x":
            return int(data)
        else:
            raise EOFError


def _folder() -> bytes:
    try:
        return posix.getcwdb()
    except FileNotFoundError:
        return b"/"  # it was removed under us; only relative paths need it


def _read(connection: "_socket.socket", length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _without_agent(words: list[str]) -> None:
    if sys.flags.no_site:
        import site  # noqa: PLC0415 (the launcher skips it, for speed)

        site.main()
    from agentmesh.agent.alone import run_command  # noqa: PLC0415 (slow, and only needed here)

    sys.exit(run_command(words))


if __name__ == "__main__":
    main()
