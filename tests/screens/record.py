"""Record ordinary programs as the agent sees them: `python -m tests.screens.record [NAME…]`.

Needs zsh-autosuggestions, fish, IPython, Node.js, vim, man, git and fzf; what is not installed is passed over.
"""

import asyncio
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from agentmesh.adapters import tty
from agentmesh.adapters.tmux import TmuxServer
from agentmesh.config import Paths, load_profiles
from agentmesh.core.capture import FACTS, SCREEN, recording
from agentmesh.core.screen import PaneFacts
from tests.eventually import eventually
from tests.screens.recordings import FOLDER
from tests.tmux import RealTmux

BASH = "PS1='$ ' exec bash --norc --noprofile"
QUESTION = "read -p 'Really delete all of it, and all of the sub-folders? [y/N] ' x"
ZSH = "PS1='$ ' exec zsh -f"
ZSH_SUGGESTS = "source /usr/share/zsh-autosuggestions/zsh-autosuggestions.zsh"


class Scene(NamedTuple):
    """How a program is brought to show what is recorded."""

    command: str
    shown: str
    """What is on the screen, without blanks, when it is done."""
    keys: Sequence[str] = ()
    """What is typed: texts, and keys as tmux names them after a ``^``."""
    width: int = 120


PROGRAMS = {"apt": "apt-get", "input": "python3", "menu": "sh"}
"""What must be installed, where it isn't the first part of a scene's name."""
SCENES = {
    "bash-half": Scene(BASH, "$echohel", ("echo hel",)),
    "bash-wrapped": Scene(BASH, "folders", ("echo a half-typed line, longer than a row, its sub-folders",), 40),
    "bash-behind": Scene(BASH, "$ehel", ("echo hel", "^Home", "^Right", "^DC", "^DC", "^DC", "^DC")),
    "bash-arrow": Scene(BASH.replace("$", "❯"), "❯"),
    "bash-question": Scene(BASH, "[y/N]", (QUESTION, "^Enter"), 40),
    "bash-key": Scene(BASH, "goon", ("read -n1 -p 'any key to go on' x", "^Enter")),
    "bash-secret": Scene(BASH, "Token:", ("read -s -p 'Token: ' x", "^Enter")),
    "bash-two-rows": Scene(BASH.replace("$", "work main\\n>"), "main>ec", ("ec",)),
    "zsh-suggested": Scene(ZSH, "$echohello", (ZSH_SUGGESTS, "^Enter", "echo hello", "^Enter", "ech")),
    "zsh-right-prompt": Scene("RPROMPT='12:00' PS1='> ' exec zsh -f", "12:00", ("ec",)),
    "fish-idle": Scene("exec fish --private", "#"),
    "fish-suggested": Scene("exec fish", "echohello", ("echo hello", "^Enter", "ec")),
    "ipython-idle": Scene("exec ipython --no-banner --no-confirm-exit", "In[1]:"),
    "ipython-half": Scene("exec ipython --no-banner --no-confirm-exit", "In[2]:", ("print('a')", "^Enter", "pri")),
    "node-idle": Scene("exec node", ">"),
    "node-half": Scene("exec node", ">Math.ab", ("Math.ab",)),
    "vim-insert": Scene("vim -u NONE -N +set\\ showmode note", "--INSERT--", ("i",)),
    "man-idle": Scene("man man", "Manualpage"),
    "fzf-idle": Scene("printf 'one\\ntwo\\n' | fzf", "2/2"),
    "git-add": Scene("git init -q . ; echo a > a; git add a; echo b > a; git add -p", "Stagethishunk"),
    "apt-question": Scene("apt-get install cowsay", "[Y/n]"),
    "input-idle": Scene("python3 -c 'input(\"path: \")'", "path:"),
    "menu-idle": Scene("printf '1) red\\n2) blue\\nChoose a colour: '; read x", "colour:"),
}


def main(wanted: Sequence[str]) -> None:
    """Record the scenes that are wanted, or all."""
    for name in wanted or SCENES:
        scene = SCENES[name]
        if shutil.which(PROGRAMS.get(program := name.partition("-")[0], program)):
            with tempfile.TemporaryDirectory(prefix="am-") as folder:
                _record(name, scene, Path(folder))


def _record(name: str, scene: Scene, folder: Path) -> None:
    home = folder / "home"
    home.mkdir()
    tmux = RealTmux(folder, home)
    tmux.run("new-session", "-d", "-s", "dev", "-x", str(scene.width), "-y", "24", "exec sleep 600")
    try:
        pane = tmux.new_window("shown", "sh", "-c", scene.command)
        for text in scene.keys:
            _steady(tmux, pane)
            tmux.run("send-keys", "-t", pane, *((text[1:],) if text.startswith("^") else ("-l", text)))
        eventually(lambda: scene.shown in "".join(tmux.screen(pane).split()), scene.shown, lambda: tmux.screen(pane))
        _steady(tmux, pane)
        facts = asyncio.run(_look(tmux, pane, folder))
        files = recording(facts, tty.observe(facts, load_profiles(Paths(folder))))
    finally:
        tmux.end()
    for ending in (SCREEN, FACTS):
        nameless = files[ending].replace(str(home), "/home/user").replace(socket.gethostname(), "host")
        (FOLDER / f"{name}{ending}").write_text(nameless)


async def _look(tmux: RealTmux, pane: str, folder: Path) -> PaneFacts:
    server = TmuxServer(tmux.socket, folder)
    try:
        return await server.look(pane)
    finally:
        server.close()


def _steady(tmux: RealTmux, pane: str) -> None:
    """Wait until the screen has stood still for some looks."""
    last: list[str] = []

    def stands() -> bool:
        last.append(tmux.screen(pane))
        return len(last) > 8 and len(set(last[-8:])) == 1 and bool(last[-1].strip())

    eventually(stands, "the screen stands still")


if __name__ == "__main__":
    main(sys.argv[1:])
