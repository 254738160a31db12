"""The guide for AI agents, followed to the letter: every command in it is run in a pane, and gets where it says."""

import re
from pathlib import Path

import pytest

from agentmesh.install.guide import GUIDE
from tests.eventually import eventually
from tests.install.person import Person

pytestmark = pytest.mark.tmux

COMMANDS = re.findall(r"`((?:notify-pane|agentmesh) [^`]+)`", GUIDE)


class Reader:
    """One who reads the guide in a pane of its own, with a shell to run what it says."""

    def __init__(self, person: Person, window: str) -> None:
        self.person = person
        self.window = window
        person.call("tmux", "new-window", "-d", "-t", "dev:", "-n", window, "exec sh")
        self.run("cd")

    def run(self, command: str) -> tuple[int, str]:
        """Run a command in the pane; return its exit code and all that it prints."""
        output = self.person.home / f"{self.window}.output"
        output.unlink(missing_ok=True)
        line = f"{{ {command}; echo $?; }} >{self.window}.part 2>&1; mv {self.window}.part {output.name}"
        self.person.call("tmux", "send-keys", "-t", f"dev:{self.window}", "-l", line)
        self.person.call("tmux", "send-keys", "-t", f"dev:{self.window}", "Enter")
        eventually(output.exists, f"{command} ends", lambda: self.person.tmux.screen(f"dev:{self.window}"))
        *printed, code = output.read_text().splitlines()
        return int(code), "\n".join(printed)


@pytest.fixture
def reader(person: Person) -> Reader:
    person.start_tmux()
    person.agents.mkdir()
    (person.agents / "self.conf").write_text("hub\n")
    person.call("agentmesh", "install")
    return Reader(person, "lead")


def follow(reader: Reader, begin: str, **words: str) -> str:
    """Run the guide's command that begins so, its placeholders filled in; return what it prints."""
    (command,) = {found for found in COMMANDS if re.match(begin + "$", found)}
    for placeholder, word in words.items():
        command = command.replace(placeholder, word)
    code, printed = reader.run(command)
    assert code == 0, printed
    return printed


def test_a_reader_gets_a_message_a_file_and_a_reply_through(reader: Reader) -> None:
    person = reader.person
    me = follow(reader, "notify-pane --whoami")
    assert me == "hub-dev-lead"
    eventually(lambda: me in follow(reader, "notify-pane --list"), "the reader is listed")
    assert "hub-dev-first" in follow(reader, "notify-pane --list")
    assert "hub-dev-first" in follow(reader, "agentmesh show ADDRESS", ADDRESS="hub-dev-first")
    follow(reader, "agentmesh identify .*")
    assert "reviewer" in person.call("agentmesh", "show", me)

    follow(reader, 'notify-pane ADDRESS "text"', ADDRESS="hub-dev-first", text="please look")
    shown = person.tmux.screen("dev:first")
    (sender,) = set(re.findall(r"^\[from (\S+) @ \S+\] please look$", shown, re.MULTILINE))
    assert sender == me

    (person.home / "notes.md").write_text("the second section")
    follow(reader, "notify-pane ADDRESS --file PATH .*", ADDRESS="hub-dev-first", PATH="notes.md")
    (path,) = set(re.findall(r"file dropped at (\S+)", person.tmux.screen("dev:first")))
    assert Path(path.replace("~", str(person.home))).read_text() == "the second section"

    other = Reader(person, "other")
    follow(other, 'notify-pane ADDRESS "text"', ADDRESS=sender, text="done, thank you")
    eventually(
        lambda: "[from hub-dev-other @ " in person.tmux.screen("dev:lead").replace("\n", ""),
        "the reply is shown",
        lambda: person.tmux.screen("dev:lead"),
    )
    assert "done, thank you" in follow(reader, "agentmesh inbox")


def test_a_text_from_standard_input_and_one_that_waits_get_through(reader: Reader) -> None:
    code, printed = reader.run("echo 'from a pipe' | notify-pane hub-dev-first -")
    assert code == 0, printed
    assert "notify-pane ADDRESS -" in COMMANDS
    follow(reader, "notify-pane ADDRESS --queue .*", ADDRESS="hub-dev-first", text="when you can")
    eventually(lambda: "when you can" in reader.person.tmux.screen("dev:first"), "it is delivered")
    follow(reader, "agentmesh outbox")


def test_the_exit_codes_are_as_it_says(reader: Reader) -> None:
    assert reader.run("notify-pane hub-dev-nobody hello")[0] == 2
    assert reader.run("notify-pane first --file nothing-there")[0] == 1
    reader.person.call("tmux", "new-window", "-d", "-t", "dev:", "-n", "asks", "exec bash -c 'read -s x'")
    eventually(lambda: "hub-dev-asks" in reader.run("notify-pane --list")[1], "it is listed")
    assert reader.run("notify-pane hub-dev-asks hello")[0] == 3
    assert reader.run("notify-pane hub-dev-asks hello --queue")[0] == 0


def test_the_guide_is_short_and_printed(person: Person) -> None:
    assert person.call("agentmesh", "guide") == GUIDE
    assert len(GUIDE) < 3000


def test_the_guide_is_kept_in_a_file_beside_what_is_there(person: Person) -> None:
    file = person.home / "CLAUDE.md"
    file.write_text("# My rules\n\nBe brief.\n")
    person.call("agentmesh", "install", "--guide", "CLAUDE.md")
    assert file.read_text().startswith("# My rules\n\nBe brief.\n<!-- >>> agentmesh >>> -->\n")
    assert GUIDE in file.read_text()
    person.call("agentmesh", "uninstall", "--yes")
    assert file.read_text() == "# My rules\n\nBe brief.\n"
