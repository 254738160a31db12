"""A workspace: a tmux server of its own, which a program and all that it starts call when they call tmux. Pure.

A shim called ``tmux``, which stands first on their PATH, names the server to the real one. It keeps programs from
other servers by accident; who gives the real program's path and another socket gets there.
"""

import shlex
from collections.abc import Mapping
from typing import Annotated

import msgspec

FOLDER = "tmux-workspaces"
"""Holds a folder for each workspace, with its shim. By this name they are known on a PATH."""
VARIABLE = "TMUX_SERVER_NAME"
"""Tells a program in which workspace it is."""
NONE = "default"
"""The name that means no workspace: tmux's own default server."""

WorkspaceName = Annotated[str, msgspec.Meta(pattern=r"\A(?:[A-Za-z0-9][A-Za-z0-9_-]{0,39})?\Z")]
"""The name of its server's socket, too. Empty: none is named."""

_SHIM = """\
#!/bin/sh
# Written by agentmesh: whatever -L or -S says, every tmux of this workspace is its own server's.
set -f
IFS=:
tmux=
for folder in $PATH; do
    case $folder in */{folder}/*) continue ;; esac
    if [ -f "${{folder:-.}}/tmux" ] && [ -x "${{folder:-.}}/tmux" ] && ! [ "${{folder:-.}}/tmux" -ef "$0" ]; then
        tmux=${{folder:-.}}/tmux
        break
    fi
done
unset IFS
if [ -z "$tmux" ]; then
    echo "tmux: there is no program called tmux on PATH" >&2
    exit 127
fi
# Of several sockets tmux takes the last, so ours comes right after its options (tmux(1)).
command=1
while getopts :2CDL:NS:T:UVc:df:hlquv option; do
    [ "$option" != : ] || exec "$tmux" "$@"
    command=$OPTIND
done
count=$#
word=1
while [ "$word" -le "$count" ]; do
    [ "$word" -ne "$command" ] || set -- "$@" -S {socket}
    set -- "$@" "$1"
    shift
    word=$((word + 1))
done
[ "$word" -ne "$command" ] || set -- "$@" -S {socket}
exec "$tmux" "$@"
"""


def shim(socket: str) -> str:
    """Return the program that stands for tmux where a workspace's server has this socket: for any POSIX shell."""
    return _SHIM.format(folder=FOLDER, socket=shlex.quote(socket))


def outside(path: str) -> str:
    """Return a PATH without the folders of shims: where the real tmux is found.

    >>> outside("/home/me/.agents/tmux-workspaces/api:/usr/bin")
    '/usr/bin'
    """
    return ":".join(folder for folder in path.split(":") if f"/{FOLDER}/" not in f"{folder}/")


def environment(workspace: str, folder: str, path: str) -> Mapping[str, str]:
    """Return what a program's environment has: its PATH, and in a workspace that one's name, and its shim first.

    >>> environment("api", "/w/tmux-workspaces/api", "/usr/bin")
    {'PATH': '/w/tmux-workspaces/api:/usr/bin', 'TMUX_SERVER_NAME': 'api'}
    >>> environment("", "", "/w/tmux-workspaces/api:/usr/bin")
    {'PATH': '/usr/bin'}
    """
    if not workspace:
        return {"PATH": outside(path)}
    return {"PATH": f"{folder}:{outside(path)}", VARIABLE: workspace}
