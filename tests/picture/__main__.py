"""Draw the README's picture: two hosts of this machine, a message, its answer and a file, as their terminals show them.

`make picture` runs it. What is drawn is what tmux captured from real panes; nothing is made up.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import StringIO
from pathlib import Path

from rich.console import Console, Group
from rich.panel import Panel
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.eventually import eventually
from tests.mesh.local import LocalHost, befriend

PICTURE = Path(__file__).with_name("agentmesh.svg")
COLUMNS = 92
"""Of each terminal: what can still be read when the picture is as wide as a page."""
ANSWERING = (
    """/verify/ { split($0, part, /from | @/); system("notify-pane --wait " part[2] " 'verified: 0 rows differ'") }"""
)
"""For awk: a program that reads lines, and answers some."""

# The letters are the page's own, without a download; the window brings its background, for light pages and dark ones.
FORM = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>Two terminals: a message, its answer and a file</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""
_RED, _GREEN, _YELLOW, _BLUE = (224, 108, 117), (152, 195, 121), (229, 192, 123), (97, 175, 239)
_MAGENTA, _CYAN, _WHITE, _BLACK = (198, 120, 221), (86, 182, 194), (171, 178, 191), (59, 66, 82)
PROMPT = r"PS1=\[\e[1;32m\]hub$ \[\e[0m\]"
THEME = TerminalTheme((30, 34, 42), (220, 223, 228), [_BLACK, _RED, _GREEN, _YELLOW, _BLUE, _MAGENTA, _CYAN, _WHITE])


@contextmanager
def two_hosts() -> Iterator[tuple[LocalHost, LocalHost]]:
    """Run two hosts with a terminal each: on hub a shell, on worker-1 a program that answers."""
    # Sockets lie below it, and a socket's path may have 108 bytes (unix(7)).
    folder = Path(tempfile.mkdtemp(prefix="am-"))
    try:
        with ExitStack() as life:
            hub, worker = hosts = LocalHost("hub", folder), LocalHost("worker-1", folder)
            for host in hosts:
                life.callback(host.end)
                host.start()
            befriend(hosts)
            here = f"PATH={hub.agents}/bin:{hub.environment['PATH']}"
            hub.open("lead", "env", here, PROMPT, "bash", "--norc")
            there = f"PATH={worker.agents}/bin:{worker.environment['PATH']}"
            worker.open("review", "env", there, "awk", ANSWERING)
            for host in hosts:
                host.tmux.run("kill-window", "-t", "dev:first")
                host.tmux.run("resize-window", "-t", "dev:", "-x", str(COLUMNS), "-y", "20")
            eventually(
                lambda: hub.addresses() == ["hub-dev-lead", "worker-1-dev-review"], "both are known", hub.addresses
            )
            yield hub, worker
    finally:
        shutil.rmtree(folder)


def play(hub: LocalHost, worker: LocalHost) -> None:
    """Type what is to be seen."""

    def type_in(command: str) -> None:
        hub.tmux.run("send-keys", "-t", "dev:lead", "-l", command)
        hub.tmux.run("send-keys", "-t", "dev:lead", "Enter")

    def see(host: LocalHost, text: str, times: int = 1) -> None:
        def shown() -> bool:
            return host.tmux.screen("dev:").count(text) >= times

        eventually(shown, f"{host.name} shows {text}", lambda: host.tmux.screen("dev:"))

    (hub.home / "diff.patch").write_bytes(bytes(4812))
    see(hub, "hub$")
    type_in("notify-pane --list")
    see(hub, "worker-1-dev-review")
    type_in("notify-pane review 'row 142 has changed, please verify'")
    see(hub, "@ ", 1)
    see(worker, "→ hub-dev-lead")
    type_in("notify-pane review --file diff.patch 'section 3 needs your eyes'")
    see(worker, "section 3 needs your eyes")
    see(hub, "hub$", 4)


def draw(hosts: tuple[LocalHost, ...]) -> str:
    """Return the picture of what the hosts' terminals show."""
    console = Console(width=COLUMNS + 4, record=True, file=StringIO(), force_terminal=True, color_system="truecolor")
    terminals = []
    for host in hosts:
        shown = Text.from_ansi(host.tmux.run("capture-pane", "-e", "-p", "-t", "dev:").rstrip())
        where = host.tmux.ask("dev:", "#{session_name}:#{window_name}")
        terminals.append(
            Panel(shown, title=f"{host.name}, tmux window {where}", title_align="left", border_style="cyan")
        )
    console.print(Group(*terminals))
    return console.export_svg(title="agentmesh", theme=THEME, code_format=FORM, unique_id="agentmesh")


if __name__ == "__main__":
    with two_hosts() as both:
        play(*both)
        PICTURE.write_text(draw(both))
    print(PICTURE)  # noqa: T201 (its whole output)
