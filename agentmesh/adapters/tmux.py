"""tmux: scan a server, look at a pane, paste into it, press keys. One execution of tmux for each.

Servers are asked through libtmux; what is done to a pane goes through clients that are started ahead of need. Always
with ``-u`` (tmux's output is UTF-8 whatever our locale) and ``-N`` (a server is never started by asking).
"""

import asyncio
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import libtmux
import msgspec
from libtmux.exc import TmuxCommandNotFound

from agentmesh.adapters.listener import has_listener
from agentmesh.adapters.thread import LoneThread
from agentmesh.adapters.tmux_client import Clients
from agentmesh.core.inventory import PaneRecord
from agentmesh.core.place import Landmark
from agentmesh.core.screen import PaneFacts
from agentmesh.core.workspace import outside
from agentmesh.errors import PaneGone, TmuxFailed

PATIENCE = 5.0
"""Seconds that tmux may take for one execution."""
REPLENISH_SECONDS = 0.01
"""How long after the last commands for a pane clients are started for the next."""
DISMISS_SECONDS = 60.0
"""How long a client that was started ahead may wait: messages often come in bursts."""
_NO_SESSIONS = "no current target"
"""What tmux says when its server runs without a single session: starting, ending, or told to stay (exit-empty off)."""
_NO_TMUX = "there is no program called tmux on PATH; install it"
_FIELD, _RECORD = "␟", "␞"
_YES = "1"
_HOOK_MARK = "@agentmesh-home"
# Lets the terminal echo before the next command looks: reading a file sends tmux's server once through its event loop,
# and an empty file makes no buffer. Measured with 3.3a: the echo of a paste was there 150 times of 150, after 0.3 ms;
# `run-shell -d` takes 3 ms. When it isn't there, the caller looks again.
_LET_ECHO = ("load-buffer", "-b", "agentmesh-none", os.devnull, ";") * 2


def _clean(variable: str) -> str:
    """Return the format for a text that others chose, with our separators taken out by tmux."""
    return f"#{{s/{_FIELD}|{_RECORD}//:{variable}}}"


_RECORD_FORMAT = _FIELD.join(
    [
        "#{pid}",
        "#{start_time}-#{pid}",
        "#{session_id}",
        _clean("session_name"),
        "#{window_id}",
        "#{window_index}",
        _clean("window_name"),
        "#{pane_id}",
        "#{pane_index}",
        "#{pane_pid}",
        "#{pane_tty}",
        "#{pane_active}",
        "#{pane_dead}",
        _clean("pane_current_command"),
        _clean("pane_current_path"),
        _clean("@agent-register"),
        _clean("@agent-name"),
        _clean("@agent-pane"),
        _clean("@agent-role"),
        _clean("@agent-scope"),
    ]
)

_FACTS_FORMAT = _FIELD.join(
    [
        "#{pane_id}",
        "#{pane_pid}",
        "#{pane_tty}",
        _clean("pane_current_command"),
        _clean("pane_title"),
        "#{pane_dead}",
        "#{pane_in_mode}",
        "#{pane_synchronized}",
        "#{pane_input_off}",
        "#{alternate_on}",
        "#{cursor_x}",
        "#{cursor_y}",
        "#{cursor_flag}",
        "#{pane_width}",
        "#{pane_height}",
        "#{history_size}",
        _clean("@agent-deny"),
        _clean("@agent-shell"),
    ]
)


class Scan(msgspec.Struct, frozen=True):
    """What one server said of itself."""

    panes: tuple[PaneRecord, ...]
    hooks: int
    """How many of our hooks are loaded."""


class TmuxServer:
    """One tmux server, by its socket. Its commands run one after another, on a thread of its own."""

    def __init__(self, path: Path, buffers: Path) -> None:
        """Speak to the server at ``path``; texts to paste go through files in the private folder ``buffers``."""
        self.name = path.name if path.parent == socket_folder() else os.fspath(path)
        self.path = path
        self._buffers = buffers
        program = shutil.which("tmux", path=outside(os.environ.get("PATH", os.defpath)))
        self._server = libtmux.Server(socket_path=path, tmux_bin=program)
        self._clients = Clients(program or "tmux", path)
        self._timers: list[asyncio.TimerHandle] = []
        self._thread = LoneThread(f"tmux {self.name}")

    def close(self) -> None:
        """Take no more commands."""
        self._stop_timers()
        self._thread.submit(self._clients.close)
        self._thread.shutdown()

    def dismiss(self) -> None:
        """Keep no client waiting for this server, and start none in place of those that were used."""
        self._stop_timers()
        self._thread.submit(self._clients.dismiss)

    def runs(self) -> bool:
        """Tell whether a server listens at the socket; False is certain, and means that it has no panes."""
        try:
            return has_listener(self.path)
        except OSError as error:
            raise TmuxFailed(reason=f"{self.path}: {error}") from error

    async def scan(self) -> Scan:
        """Return every pane, and how many of our hooks are loaded. Raises TmuxFailed, which tells nothing of panes."""
        output = await self.execute(
            "show-hooks", "-g", ";", "show-hooks", "-gw", ";", "list-panes", "-a", "-F", _RECORD + _RECORD_FORMAT
        )
        hooks, *records = "\n".join(output).split(_RECORD)
        return Scan(tuple(_read_record(record) for record in records), hooks.count(_HOOK_MARK))

    async def load_hooks(self, file: Path, home: Path) -> None:
        """Load our hooks into the live server, to tell the agent whose home this is."""
        await self.execute("set-option", "-g", _HOOK_MARK, os.fspath(home), ";", "source-file", os.fspath(file))

    async def look(self, pane: str, history: int = 0) -> PaneFacts:
        """Return all facts of a pane and its screen, with so many rows of history. Raises PaneGone, TmuxFailed."""
        return _read_facts(await self._act(pane, *_look(pane, history)), pane, history)

    async def paste(self, pane: str, text: str, name: str, seen: PaneFacts, history: int) -> PaneFacts | None:
        """Paste text, in brackets where the program asks for them, and look at the pane just after.

        Returns None, with nothing pasted, when the pane isn't any more what was seen. tmux itself tests that, in the
        same step: tmux 3.3a dies of a paste into a dead pane.
        """
        return await self._paste(pane, text, name, _changed(seen), history, "-p")

    async def press(
        self, pane: str, keys: str, seen: PaneFacts, landmark: Landmark | None, history: int = 0
    ) -> PaneFacts | None:
        """Press keys, as send-keys(1) names them, and look at the pane just after.

        Returns None, with nothing pressed, when the pane isn't any more what was seen, or the landmark is not in its
        row: tmux itself tests that, in the same step, so that no key can hit what came up meanwhile.
        """
        output = await self._act(
            pane,
            *("if-shell", "-F", "-t", pane, _changed(seen, landmark), "display-message -p CHANGED"),
            *(f"send-keys -t {pane} {keys}", ";"),
            *_LET_ECHO,
            *_look(pane, history),
        )
        return _unless_changed(output, pane, history)

    async def press_enter(
        self, pane: str, seen: PaneFacts, landmark: Landmark | None, history: int = 0
    ) -> PaneFacts | None:
        """Press Enter in the same way."""
        return await self.press(pane, "Enter", seen, landmark, history)

    async def give_return(self, pane: str, name: str, seen: PaneFacts, landmark: Landmark | None) -> PaneFacts | None:
        """Give a carriage return through a buffer, for a program that doesn't know tmux's Enter, in the same way."""
        return await self._paste(pane, "\n", name, _changed(seen, landmark), 0, "")

    async def _paste(
        self, pane: str, text: str, name: str, changed: str, history: int, brackets: str
    ) -> PaneFacts | None:
        buffer = self._buffers / name
        buffer.touch(mode=0o600)
        buffer.write_text(text)
        try:
            output = await self._act(
                pane,
                *("load-buffer", "-b", name, os.fspath(buffer), ";"),
                *("if-shell", "-F", "-t", pane, changed, "display-message -p CHANGED"),
                *(f"paste-buffer {brackets} -b {name} -t {pane}", ";"),
                *("delete-buffer", "-b", name, ";"),
                *_LET_ECHO,
                *_look(pane, history),
            )
        finally:
            buffer.unlink(missing_ok=True)  # an agent that starts sweeps the folder
        return _unless_changed(output, pane, history)

    async def leave_mode(self, pane: str) -> None:
        """Leave copy mode, or whatever mode covers the pane."""
        await self.execute("copy-mode", "-q", "-t", pane)

    async def set_window_options(self, pane: str, options: Mapping[str, str]) -> None:
        """Set user options of the window that a pane is in."""
        for name, value in options.items():
            await self.execute("set-option", "-w", "-t", pane, name, value)

    async def set_session_option(self, session: str, name: str, value: str) -> None:
        """Set a user option of a session, by its exact name. Raises PaneGone when there is none."""
        await self.execute("set-option", "-t", f"={session}:", name, value)

    async def _act(self, pane: str, *command: str) -> str:
        """Run commands for a pane by a client that was started ahead; return what they print."""
        loop = asyncio.get_running_loop()
        self._stop_timers()
        try:
            answer = await loop.run_in_executor(self._thread, lambda: self._clients.run(command, PATIENCE))
        except FileNotFoundError as error:
            raise TmuxFailed(reason=_NO_TMUX) from error
        except OSError as error:
            raise TmuxFailed(reason=error) from error
        self._timers = [
            loop.call_later(REPLENISH_SECONDS, self._thread.submit, self._clients.replenish),
            loop.call_later(DISMISS_SECONDS, self.dismiss),
        ]
        if _NO_SESSIONS in answer.complaint:
            raise PaneGone(pane=pane)
        self._check(answer.complaint)
        return answer.output

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _check(self, complaint: str) -> None:
        """Raise what tmux's complaint means."""
        if "can't find" in complaint or "no such session" in complaint:
            raise PaneGone(pane=complaint.rsplit(maxsplit=1)[-1])
        if complaint:
            raise TmuxFailed(reason=f"{complaint} (server {self.name})")

    async def execute(self, *command: str) -> list[str]:
        """Run tmux commands, separated by ``;``; return the lines that they print. Raises PaneGone, TmuxFailed."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE):
                done = await loop.run_in_executor(self._thread, lambda: self._server.cmd("-uN", *command))
        except TimeoutError as error:
            raise TmuxFailed(reason=f"the server {self.name} has not answered for {PATIENCE:g} s") from error
        except TmuxCommandNotFound as error:
            raise TmuxFailed(reason=_NO_TMUX) from error
        except OSError as error:
            raise TmuxFailed(reason=error) from error
        if done.returncode and _NO_SESSIONS not in done.stderr:
            self._check(" ".join(done.stderr) or f"it exited with {done.returncode}")
        return done.stdout


def socket_folder() -> Path:
    """Return the folder where this user's tmux servers have their sockets (tmux(1), option -L)."""
    return Path(os.environ.get("TMUX_TMPDIR") or "/tmp") / f"tmux-{os.getuid()}"  # noqa: S108 (tmux's own default)


def hooks_in(file: Path) -> int:
    """Return how many hooks a file of ours sets: so many are counted by a scan when they are loaded."""
    return file.read_text().count("\nset-hook ")


def find_sockets(named: Sequence[str]) -> list[Path]:
    """Return the sockets of the user's tmux servers: those in tmux's socket folder, and those named."""
    folder = socket_folder()
    found = {path for path in folder.iterdir() if path.is_socket()} if folder.is_dir() else set()
    return sorted(found | {folder / name for name in named})


def _look(pane: str, history: int) -> list[str]:
    return [
        *("list-clients", "-F", f"#{{pane_id}}{_FIELD}#{{client_activity}}", ";"),
        *("display-message", "-p", "-t", pane, _RECORD + _FACTS_FORMAT + _RECORD, ";"),
        *("capture-pane", "-p", "-e", "-t", pane, "-S", str(-history)),
    ]


def _changed(seen: PaneFacts, landmark: Landmark | None = None) -> str:
    """Return the format that is true when a pane must not be touched any more."""
    tests = [
        "#{pane_dead}",
        "#{pane_in_mode}",
        "#{pane_synchronized}",
        "#{pane_input_off}",
        f"#{{!=:#{{pane_pid}},{seen.pid}}}",
        f"#{{!=:#{{cursor_x}} #{{cursor_y}},{seen.cursor_x} {seen.cursor_y}}}",
    ]
    if landmark is not None:
        # The number of the first row that shows it (tmux(1), FORMATS, `C:`).
        tests.append(f"#{{!=:#{{C:{landmark.text}}},{landmark.row}}}")
    if seen.command.isascii() and seen.command.replace("-", "").replace("_", "").replace(".", "").isalnum():
        tests.append(f"#{{!=:#{{pane_current_command}},{seen.command}}}")
    condition = tests.pop()
    while tests:
        condition = f"#{{||:{tests.pop()},{condition}}}"
    return condition


def _unless_changed(output: str, pane: str, history: int) -> PaneFacts | None:
    return None if output.startswith("CHANGED\n") else _read_facts(output, pane, history)


def _read_record(text: str) -> PaneRecord:
    fields = text.rstrip("\n").split(_FIELD)
    names = PaneRecord.__struct_fields__
    if len(fields) != len(names):
        raise TmuxFailed(reason=f"list-panes gave {len(fields)} fields instead of {len(names)}")
    values: dict[str, object] = dict(zip(names, fields, strict=True))
    values |= {name: values[name] == _YES for name in ("active", "dead")}
    return msgspec.convert(values, PaneRecord, strict=False)


def _read_facts(output: str, pane: str, history: int) -> PaneFacts:
    now = time.time()
    clients, _, rest = output.partition(_RECORD)
    head, found, screen = rest.partition(_RECORD)
    fields = head.split(_FIELD)
    if not found or fields[0] != pane:
        raise PaneGone(pane=pane)
    _, pid, tty, command, title, *flags, x, y, cursor, width, height, size, deny, shell = fields
    dead, in_mode, synchronized, input_off, alternate = (flag not in {"", "0"} for flag in flags)
    return PaneFacts(
        pane=pane,
        pid=int(pid),
        tty=tty,
        command=command,
        title=title,
        dead=dead,
        in_mode=in_mode,
        synchronized=synchronized,
        input_off=input_off,
        alternate=alternate,
        cursor_x=int(x),
        cursor_y=int(y),
        cursor_visible=cursor == _YES,
        width=int(width),
        height=int(height),
        denied=deny == "on",
        shell_is_agent=shell == "on",
        rows=tuple(screen.removeprefix("\n").removesuffix("\n").split("\n")),
        history=min(history, int(size)),
        time=now,
        typed=_typed(clients, pane),
    )


def _typed(clients: str, pane: str) -> int:
    """Return when a key was last pressed in a client whose active pane this is; 0 when there is no such client.

    tmux counts keys and clicks, and that the client came; what is sent by commands is not counted. Whole seconds.
    """
    told = (line.partition(_FIELD) for line in clients.splitlines())
    return max((int(activity) for active, _, activity in told if active == pane), default=0)
