"""A pane's terminal: what the kernel says of it, on real terminals, for the states that PANES.md tells of."""

import os
import signal
import sys
import termios
from pathlib import Path

import pytest

from agentmesh.adapters import tty
from agentmesh.config import Paths, load_profiles
from agentmesh.core.readiness import TtyFacts
from agentmesh.errors import TmuxFailed
from tests.adapters.terminals import Terminal, terminal
from tests.core.examples import a_tty
from tests.core.screens import line_screen
from tests.eventually import eventually

PROFILES = load_profiles(Paths(Path("/nonexistent")))
BASH = ["bash", "--norc", "-i"]
AT_PROMPT = a_tty("bash", canonical=False, echo=False, shell_in_front=True, reading=False)
GETPASS = "import getpass; getpass.getpass()"


def seen(pane: Terminal) -> TtyFacts | None:
    pane.show()
    return tty.observe(pane.facts, PROFILES)


@pytest.mark.parametrize(
    ("program", "typed", "facts"),
    [
        (["cat"], "", a_tty("cat")),
        (["cat"], "half", a_tty("cat")),
        (["sleep", "600"], "", a_tty("sleep", reading=False)),
        (["sleep", "600"], "hello\n", a_tty("sleep", reading=False, unread=6)),
        (["bash", "-c", "read -r line"], "", a_tty("read -r line")),
        (BASH, "", AT_PROMPT),
        (BASH, "half", AT_PROMPT),
        (BASH, "read x\n", a_tty("bash", shell_in_front=True)),
        (BASH, "read -s x\n", a_tty("bash", shell_in_front=True, echo=False)),
        (BASH, "sleep 600\n", a_tty("sleep", alone=False, reading=False)),
        (BASH, "cat\n", a_tty("cat", alone=False)),
        ([sys.executable, "-c", GETPASS], "", a_tty("import getpass; getpass", echo=False, reading=False)),
    ],
)
def test_the_kernel_tells_the_states_of_a_terminal_apart(
    tmp_path: Path, program: list[str], typed: str, facts: TtyFacts
) -> None:
    with terminal(*program, home=tmp_path) as pane:
        if program is BASH:
            eventually(lambda: b"$ " in pane.show(), "the shell is at its prompt", pane.show)
        pane.type(typed)
        eventually(lambda: seen(pane) == facts, f"{facts}", lambda: seen(pane))


def test_a_line_is_unread_until_the_program_reads_it(tmp_path: Path) -> None:
    with terminal("sh", "-c", "sleep 600 & read -r go </dev/null; kill -STOP $$; exec cat", home=tmp_path) as pane:
        eventually(lambda: Path(f"/proc/{pane.pid}/stat").read_text().split()[2] == "T", "the program is stopped")
        pane.type("hello\n")
        eventually(lambda: tty.unread(pane.path) == 6, "the line waits", lambda: tty.unread(pane.path))
        os.kill(pane.pid, signal.SIGCONT)
        eventually(lambda: tty.unread(pane.path) == 0, "the line was read", lambda: tty.unread(pane.path))


def test_what_is_written_is_shown_and_not_typed(tmp_path: Path) -> None:
    with terminal("cat", home=tmp_path) as pane:
        tty.write(pane.path, "héllo\n")
        eventually(lambda: pane.show() == "héllo\r\n".encode(), "the text is shown", pane.show)
        assert tty.unread(pane.path) == 0


def test_a_stopped_terminal_is_not_waited_for(tmp_path: Path) -> None:
    with terminal("sleep", "600", home=tmp_path) as pane:
        with Path(pane.path).open("wb") as far:
            termios.tcflow(far, termios.TCOOFF)
            with pytest.raises(TmuxFailed):
                tty.write(pane.path, "hello")
            termios.tcflow(far, termios.TCOON)
        assert pane.show() == b""


def test_a_terminal_that_is_gone_is_no_answer() -> None:
    gone = line_screen("", tty="/dev/pts/9999")
    assert tty.observe(gone, PROFILES) is None
    with pytest.raises(TmuxFailed):
        tty.unread(gone.tty)
    with pytest.raises(TmuxFailed):
        tty.write(gone.tty, "hello")


def test_a_pane_whose_process_is_gone_is_no_answer(tmp_path: Path) -> None:
    with terminal("cat", home=tmp_path) as pane:
        facts = line_screen("", tty=pane.path, pid=2**22 - 1)
        assert tty.observe(facts, PROFILES) is None
