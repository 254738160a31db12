"""The shim of a workspace, run by real shells: it finds the real tmux, and names its own server to it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from agentmesh.core.workspace import FOLDER, shim

SHELLS = [shell for name in ("sh", "bash", "dash") if (shell := shutil.which(name))]
SOCKET = "/run/it's a; folder/api"


@pytest.fixture(params=SHELLS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a PATH on which two shims stand before a tmux that tells its arguments."""
    folders = [tmp_path / FOLDER / "api", tmp_path / FOLDER / "other", tmp_path / "empty", tmp_path / "real"]
    for folder in folders:
        folder.mkdir(parents=True)
    for folder in folders[:2]:
        (folder / "tmux").write_text(shim(SOCKET).replace("#!/bin/sh", f"#!{request.param}"))
    (folders[2] / "tmux").write_text("no program")
    (folders[3] / "tmux").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    for folder in (*folders[:2], folders[3]):
        (folder / "tmux").chmod(0o700)
    (tmp_path / "link").symlink_to(folders[0])
    return ":".join(map(str, [folders[0], tmp_path / "link", *folders[1:]])) + f":{os.defpath}"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], ["-S", SOCKET]),
        (["kill-server"], ["-S", SOCKET, "kill-server"]),
        (["-L", "other", "ls"], ["-L", "other", "-S", SOCKET, "ls"]),
        (["-uLother", "-2S", "/x", "ls", "-F", "a b;"], ["-uLother", "-2S", "/x", "-S", SOCKET, "ls", "-F", "a b;"]),
        (["-uN", "new", "-s", "-L"], ["-uN", "-S", SOCKET, "new", "-s", "-L"]),
        (["-c", "echo -L x", "-f", "*", "--", "ls"], ["-c", "echo -L x", "-f", "*", "-S", SOCKET, "--", "ls"]),
        (["-L", "--", "ls", ""], ["-L", "--", "-S", SOCKET, "ls", ""]),
        (["-V"], ["-V", "-S", SOCKET]),
        (["-L"], ["-L"]),
    ],
)
def test_the_server_is_named_last_among_the_options(path: str, words: list[str], told: list[str]) -> None:
    done = subprocess.run(["tmux", *words], env={"PATH": path}, capture_output=True, text=True, timeout=10, check=True)
    assert done.stdout == "".join(f"{word}\n" for word in told)


def test_that_there_is_no_tmux_is_said(path: str) -> None:
    bare = ":".join(folder for folder in path.split(":")[:4])
    done = subprocess.run(["tmux", "ls"], env={"PATH": bare}, capture_output=True, text=True, timeout=10, check=False)
    assert (done.returncode, "no program called tmux" in done.stderr) == (127, True)
