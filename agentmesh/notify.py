"""notify-pane: hand the words to the agent and show what it answers. Standard library only; this is the hot path.

It imports next to nothing, because starting Python is most of what a message costs. `agentmesh.adapters.ipc` describes
what is spoken here. With no agent running, the same work is done in this process.
"""

import _socket
import os
import sys

_VARIABLES = ("AGENT_NAME", "AGENT_ROLE", "AGENT_SCOPE", "FORCE_SEND", "SKIP_DISMISS", "TMUX_PANE")


def main() -> None:
    """Run the command and exit with its code."""
    words = ["notify-pane", *sys.argv[1:]]
    connection = _connect(os.environ.get("AGENTMESH_HOME") or os.path.expanduser("~/.agents"))  # noqa: PTH111 (pathlib is slow to import)
    if connection is None:
        _without_agent(words)
        return
    try:
        code = _converse(connection, words)
    except (OSError, EOFError):
        sys.stderr.write("notify-pane: the agent went away before it answered; see `agentmesh status`.\n")
        code = 7
    except KeyboardInterrupt:
        code = 130
    sys.stdout.flush()
    os._exit(code)  # nothing is left to do, and the interpreter's own end takes milliseconds


def _connect(home: str) -> "_socket.socket | None":
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    for path in (_read_pointer, str):
        try:
            connection.connect(path(home + "/agent.sock"))
        except OSError:
            continue
        return connection
    return None


def _read_pointer(path: str) -> str:
    """Return where the socket is when its own path would be too long for one."""
    with open(path + ".path") as file:  # noqa: PTH123 (pathlib is slow to import)
        return file.read().strip()


def _converse(connection: "_socket.socket", words: list[str]) -> int:
    shared = [f"{name}={os.environ[name]}" for name in _VARIABLES if name in os.environ]
    body = os.fsencode("\0".join([_folder(), *shared, "", *words]))
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


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 (as above)
    except FileNotFoundError:
        return "/"  # it was removed under us; only relative paths need it


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
