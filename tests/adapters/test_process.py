"""The process table, by real processes on real terminals."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from agentmesh.adapters.process import (
    Process,
    ancestors,
    in_front,
    is_interactive_shell,
    is_reading,
    names,
    read_process,
    read_table,
    until_ended,
)
from agentmesh.config import Paths, load_profiles
from tests.adapters.terminals import terminal
from tests.eventually import eventually

SHELLS = frozenset({"bash", "zsh", "fish", "sh", "dash"})
BASH = ("bash", "--norc", "-i")


def a_process(*arguments: str, name: str = "") -> Process:
    program = name or os.path.basename(arguments[0])  # noqa: PTH119 (a name, not a path)
    return Process(pid=1, parent=0, group=1, front=1, name=program, arguments=arguments)


def front_of(pid: int) -> list[str]:
    return [process.name for process in in_front(pid)]


def test_a_process_is_read_with_its_words_and_family(tmp_path: Path) -> None:
    with terminal("sleep", "600", home=tmp_path) as pane:
        eventually(lambda: front_of(pane.pid) == ["sleep"], "sleep has started")
        process = read_process(pane.pid)
        assert process is not None
        assert process == read_table()[pane.pid]
        assert (process.name, process.arguments, process.parent) == ("sleep", ("sleep", "600"), os.getpid())
        assert process.group == process.front == pane.pid


def test_a_process_without_a_terminal_or_words_is_read(tmp_path: Path) -> None:
    program = tmp_path / "a (bad) name"
    program.symlink_to(Path("/bin/sleep").resolve())
    with subprocess.Popen([program, "600"], executable=program, start_new_session=True) as child:
        eventually(lambda: (found := read_process(child.pid)) and found.arguments[-1:] == ("600",), "it has started")
        process = read_process(child.pid)
        child.kill()
    assert process is not None
    assert (process.name, process.front) == ("a (bad) name", -1)
    assert read_process(child.pid) is None
    assert in_front(child.pid) == []


def test_the_ancestors_of_a_process_lead_to_us_and_on(tmp_path: Path) -> None:
    with terminal("sh", "-c", "sleep 600; :", home=tmp_path) as pane:
        eventually(lambda: "sleep" in front_of(pane.pid), "sleep has started")
        grandchild = next(process.pid for process in in_front(pane.pid) if process.name == "sleep")
        assert list(ancestors(grandchild))[:3] == [grandchild, pane.pid, os.getpid()]


@pytest.mark.parametrize(
    ("typed", "front"),
    [("", ["bash"]), ("sleep 600\n", ["sleep"]), ("sleep 600 &\n", ["bash"]), ("sleep 600 | cat\n", ["sleep", "cat"])],
)
def test_in_front_stands_what_the_shell_put_there(tmp_path: Path, typed: str, front: list[str]) -> None:
    with terminal(*BASH, home=tmp_path) as pane:
        eventually(lambda: b"$ " in pane.show(), "the shell is at its prompt", pane.show)
        pane.type(typed)
        eventually(lambda: pane.show().count(typed.rstrip().encode()) >= 1, "it is typed", pane.show)
        eventually(lambda: front_of(pane.pid) == front, f"{front} are in front", lambda: front_of(pane.pid))
        assert [process.name for process in in_front(pane.pid, read_table())] == front


def test_only_a_program_in_a_read_of_the_terminal_is_reading(tmp_path: Path) -> None:
    with terminal("cat", home=tmp_path) as pane:
        eventually(lambda: [p for p in in_front(pane.pid) if is_reading(p, pane.path)], "cat reads")
        assert not is_reading(in_front(pane.pid)[0], "/dev/pts/999")
    with terminal("sleep", "600", home=tmp_path) as pane:
        eventually(lambda: front_of(pane.pid) == ["sleep"], "sleep has started")
        assert not is_reading(in_front(pane.pid)[0], pane.path)


async def test_the_end_of_a_process_is_told_at_once() -> None:
    child = await asyncio.create_subprocess_exec("sleep", "600")
    waiting = asyncio.ensure_future(until_ended(child.pid))
    await asyncio.sleep(0)
    assert not waiting.done()
    child.kill()
    async with asyncio.timeout(5):
        await waiting
        await child.wait()
        await until_ended(child.pid)


@pytest.mark.parametrize(
    ("process", "known"),
    [
        (a_process("claude"), ["claude"]),
        (a_process("/usr/bin/node", "/opt/bin/codex.js", "--full-auto", name="node"), ["codex"]),
        (a_process("node", "--no-warnings", "/usr/lib/gemini", name="MainThread"), ["gemini"]),
        (a_process("claude", name="node"), ["claude", "node"]),
        (a_process("2.1.197", name="claude"), ["2.1.197", "claude"]),
        (a_process("/usr/bin/python3.11", "-m", "aider", name="python3.11"), ["aider"]),
        (a_process("python3", name="python3"), ["python3", "python"]),
        (a_process("bash", "/usr/local/bin/claude", name="bash"), ["claude"]),
        (a_process("-zsh", name="zsh"), ["zsh"]),
        (a_process("nodejs", "/usr/bin/qwen", name="node"), ["qwen"]),
        (a_process("shuf", "codex", name="shuf"), ["shuf"]),
        (a_process("perldoc", "claude", name="perldoc"), ["perldoc"]),
        (Process(pid=1, parent=0, group=1, front=1, name="kworker"), ["kworker"]),
    ],
    ids=lambda value: " ".join(value.arguments) if isinstance(value, Process) else "",
)
def test_a_process_is_known_by_its_program_or_the_script_it_runs(process: Process, known: list[str]) -> None:
    assert names(process) == known


@pytest.mark.parametrize(
    ("arguments", "is_shell"),
    [
        (["bash"], True),
        (["-bash"], True),
        (["/bin/bash", "--norc", "-i"], True),
        (["bash", "--rcfile", "own", "-O", "extglob"], True),
        (["zsh", "-l"], True),
        (["fish"], True),
        (["bash", "job.sh"], False),
        (["bash", "-c", "read x"], False),
        (["bash", "-ec", "read x"], False),
        (["bash", "--norc", "job.sh"], False),
        (["cat"], False),
        (["bashtop"], False),
    ],
    ids=str,
)
def test_a_shell_is_interactive_unless_it_runs_something(arguments: list[str], *, is_shell: bool) -> None:
    assert is_interactive_shell(a_process(*arguments), SHELLS) == is_shell


NODE, MODULES = "/usr/bin/node", "/usr/lib/node_modules"


@pytest.mark.parametrize(
    ("process", "profile"),
    [
        (a_process("claude"), "claude"),
        (a_process("/home/u/.local/share/claude/versions/2.1.197"), "claude"),
        (a_process(f"{MODULES}/@anthropic-ai/claude-code/bin/claude.exe", name="claude.exe"), "claude"),
        (a_process("node", f"{MODULES}/@anthropic-ai/claude-code/cli.js"), "claude"),
        (a_process("node", "/usr/bin/codex"), "codex"),
        (a_process(f"{MODULES}/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex"), "codex"),
        (a_process("node", "/usr/bin/gemini"), "gemini"),
        (a_process(NODE, "--max-old-space-size=12052", f"{MODULES}/.bin/gemini"), "gemini"),
        (a_process("node", f"{MODULES}/@google/gemini-cli/bundle/gemini.js"), "gemini"),
        (a_process("node", f"{MODULES}/@google/gemini-cli/dist/index.js", name="MainThread"), "gemini"),
        (a_process("node", "/usr/bin/copilot", name="MainThread"), "copilot"),
        (a_process(f"{MODULES}/@github/copilot-linux-x64/copilot", name="MainThread"), "copilot"),
        (a_process("node", f"{MODULES}/@github/copilot/npm-loader.js"), "copilot"),
        (a_process("node", "/usr/bin/qwen"), "qwen"),
        (a_process("node", "-r", "./patch.js", f"{MODULES}/@qwen-code/qwen-code/cli.js"), "qwen"),
        (a_process("opencode"), "opencode"),
        (a_process(f"{MODULES}/opencode-ai/bin/opencode.exe", name="opencode.exe"), "opencode"),
        (a_process("/usr/lib/opencode/bin/.opencode"), "opencode"),
        (a_process("/usr/bin/python3", "/home/u/.local/bin/aider", name="aider"), "aider"),
        (a_process("python", "-m", "aider", name="python"), "aider"),
        (a_process("python3.12", "-X", "dev", "/usr/lib/python3/site-packages/aider/__main__.py"), "aider"),
        (a_process("python3.12"), "python"),
        (a_process("/usr/bin/python3", "/usr/bin/ipython3", name="ipython3"), "python"),
        (a_process("node"), "node"),
        (a_process("-zsh", name="zsh"), "zsh"),
        (a_process("node", "server.js"), None),
        (a_process("/opt/versions/3.2", name="3.2"), None),
        (a_process("vim", "claude"), None),
        (a_process("python3", "claude_stats.py"), None),
    ],
)
def test_a_program_is_known_by_its_profile_however_it_is_installed(
    process: Process, profile: str | None, tmp_path: Path
) -> None:
    profiles = load_profiles(Paths(tmp_path)).values()
    by_name = {name: profile.name for profile in profiles for name in profile.processes}
    found = [by_name[name] for name in names(process) if name in by_name]
    assert found[:1] == ([profile] if profile else [])
