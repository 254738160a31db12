"""The optional piece of tmux's status line, and the key that asks whom to tell what, as a client of tmux sees them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.mesh.local import LocalHost
from tests.tmux import RealTmux

pytestmark = pytest.mark.tmux

PIECE = Path(__file__).parents[2] / "hooks" / "agentmesh.status.tmux.conf"


@pytest.fixture(scope="module")
def settled(host: LocalHost) -> LocalHost:
    """Return a host whose tmux server has read the piece."""
    host.tmux.run("set-option", "-g", "status-interval", "1")
    host.tmux.run("set-option", "-g", "status-right", "mine")
    for _ in range(2):  # as when a configuration is read again
        host.tmux.run("source-file", str(PIECE))
    host.open("desk", "cat")
    host.open("review", "cat")
    return host


@pytest.fixture
def terminal(settled: LocalHost, tmux: RealTmux) -> Iterator[str]:
    """Yield the pane of another tmux server, in which a client of the host's server shows its window ``desk``."""
    attach = (
        "env",
        "-u",
        "TMUX",
        f"HOME={settled.home}",
        f"TMUX_TMPDIR={settled.home}",
        "tmux",
        "attach",
        "-t",
        "dev:desk",
    )
    pane = tmux.new_window("terminal", *attach)
    tmux.run("resize-window", "-t", pane, "-x", "120", "-y", "40")
    eventually(lambda: "desk*" in tmux.screen(pane), "the client is there", lambda: tmux.screen(pane))
    yield pane
    tmux.run("kill-pane", "-t", pane)


def test_the_status_line_says_what_is_unread_and_who_is_away(settled: LocalHost, terminal: str, tmux: RealTmux) -> None:
    settled.run("agentmesh", "inbox", "mark", "--all")
    assert settled.notify("--brief").stdout == ""
    settled.notify("review", "hello")
    assert settled.notify("--brief").stdout == "1 unread\n"

    def line() -> str:
        return tmux.screen(terminal).splitlines()[-1]

    eventually(lambda: line().endswith("mine 1 unread"), "it is in the status line", line)


def test_the_key_asks_whom_to_tell_what(settled: LocalHost, terminal: str, tmux: RealTmux) -> None:
    def screen() -> str:
        return tmux.screen(terminal)

    def answer(question: str, *keys: str) -> None:
        eventually(lambda: question in screen(), f"it asks {question}", screen)
        tmux.run("send-keys", "-t", terminal, "--", *keys)

    tmux.run("send-keys", "-t", terminal, "C-b", "N")
    eventually(lambda: "solo-dev-review" in screen(), "it lists the addresses", screen)
    (row,) = (line for line in screen().splitlines() if "solo-dev-review" in line)
    number = row.strip(" │x").split()[0]
    answer("its ending):", number, "Enter")
    answer("Message:", "-n is 'quoted' $HOME", "Enter")
    eventually(lambda: "Press Enter." in screen(), "it has sent it", screen)
    assert "-> solo-dev-review" in screen().replace("→", "->")
    assert "[from solo-dev-desk @" in settled.tmux.screen("dev:review")
    assert "-n is 'quoted' $HOME" in settled.tmux.screen("dev:review")
    tmux.run("send-keys", "-t", terminal, "Enter")
    eventually(lambda: "Press Enter." not in screen(), "the popup closes", screen)


def test_a_host_that_is_away_is_named(pair: tuple[LocalHost, LocalHost]) -> None:
    left, right = pair
    eventually(lambda: not left.notify("--brief").stdout, "nobody is away", left.status)
    right.kill()
    eventually(lambda: left.notify("--brief").stdout == "right away\n", "it is away", left.status)
