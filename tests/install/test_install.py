"""install and uninstall, in a home with things of the user's own, beside a tmux server that runs."""

from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.install.person import Person

pytestmark = pytest.mark.tmux

LEFT = {".agents", ".agents/install.json", ".agents/key", ".agents/key.pub", ".agents/mesh.db"}
"""What stays until a person gives it up."""


def steps(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith(("- ", "! "))]


def test_a_dry_run_prints_what_install_does_and_does_nothing(person: Person) -> None:
    person.start_tmux()
    before, hooks = person.look(), person.hooks()
    planned = person.call("agentmesh", "install", "--dry-run", "--guide", "CLAUDE.md")
    assert (person.look(), person.hooks()) == (before, hooks)
    assert steps(planned) == steps(person.call("agentmesh", "install", "--guide", "CLAUDE.md"))


def test_after_install_a_message_gets_through(person: Person) -> None:
    person.start_tmux()
    person.call("agentmesh", "install")
    launcher = str(person.home / ".local" / "bin" / "notify-pane")
    assert "→" in person.call(launcher, "first", "hello")
    assert "@agentmesh-home" in person.hooks()
    assert "display-message mine" in person.hooks()


def test_a_server_that_starts_later_loads_the_hooks_by_its_configuration(person: Person) -> None:
    person.call("agentmesh", "install")
    person.call("agentmesh", "stop")
    person.start_tmux()
    assert "@agentmesh-home" in person.hooks()
    assert "display-message mine" in person.hooks()


def test_installing_twice_changes_nothing(person: Person) -> None:
    person.start_tmux()
    person.call("agentmesh", "install", "--guide", "CLAUDE.md")
    moving = {".agents/log/agent.log", ".agents/mesh.db-wal", ".agents/mesh.db-shm"}
    pid = person.call("agentmesh", "status", "--json").partition('"pid":')[2].partition(",")[0]
    before = {name: seen for name, seen in person.look().items() if name not in moving}
    again = person.call("agentmesh", "install", "--guide", "CLAUDE.md")
    assert "Everything is in place already." in again
    assert not [line for line in steps(again) if line.startswith("- ")]
    assert {name: seen for name, seen in person.look().items() if name not in moving} == before
    assert f'"pid":{pid},' in person.call("agentmesh", "status", "--json")


def test_uninstall_leaves_no_trace(person: Person) -> None:
    person.start_tmux()
    before, hooks = person.look(), person.hooks()
    person.call("agentmesh", "install", "--guide", "notes/CLAUDE.md")
    person.call("notify-pane", "first", "hello")
    person.call("agentmesh", "session", "create", "one", "--program", "shell", "--workspace", "api")
    person.call("agentmesh", "session", "stop", "one")
    planned = person.call("agentmesh", "uninstall", "--dry-run", "--yes")
    assert steps(planned) == steps(person.call("agentmesh", "uninstall", "--yes"))
    assert person.look() == before
    assert person.hooks() == hooks
    assert person.call("tmux", "show-options", "-gqv", "@agentmesh-home") == ""


def test_messages_and_keys_stay_until_they_are_given_up(person: Person) -> None:
    person.start_tmux()
    before = person.look()
    person.call("agentmesh", "install")
    (person.agents / "peers.conf").write_text("worker-1\n")
    told = person.call("agentmesh", "uninstall")
    assert set(person.look()) - set(before) == {*LEFT, ".agents/peers.conf"}
    assert "agentmesh uninstall --yes" in told
    person.call("agentmesh", "uninstall", "--yes")
    assert person.look() == before


def test_what_the_user_has_written_since_stays(person: Person) -> None:
    person.call("agentmesh", "install", "--guide", "CLAUDE.md")
    for name in (".tmux.conf", "CLAUDE.md"):
        with (person.home / name).open("a") as file:
            file.write("# mine, and new\n")
    before = (person.home / ".tmux.conf").read_text()
    person.call("agentmesh", "install")
    assert (person.home / ".tmux.conf").read_text() == before
    person.call("agentmesh", "uninstall", "--yes")
    text = "set -g mouse on\nset-hook -g window-renamed 'display-message mine'\n# mine, and new\n"
    assert (person.home / ".tmux.conf").read_text() == text
    assert (person.home / "CLAUDE.md").read_text() == "# mine, and new\n"


def test_a_program_of_the_user_s_own_stays(person: Person) -> None:
    own = person.home / ".local" / "bin" / "notify-pane"
    own.parent.mkdir(parents=True)
    own.write_text("#!/bin/sh\necho mine\n")
    before = person.look()
    told = person.call("agentmesh", "install")
    assert "~/.local/bin/notify-pane is another program and stays" in told
    assert own.read_text() == "#!/bin/sh\necho mine\n"
    person.call("agentmesh", "uninstall", "--yes")
    assert person.look() == before


def test_a_configuration_that_is_a_link_stays_one(person: Person) -> None:
    path = person.configure("set -g mouse on\n")
    dotfiles = person.home / "dotfiles"
    dotfiles.mkdir()
    path.rename(dotfiles / "tmux.conf")
    path.symlink_to("dotfiles/tmux.conf")
    before = person.look()
    person.call("agentmesh", "install")
    assert str(path.readlink()) == "dotfiles/tmux.conf"
    assert "agentmesh" in path.read_text()
    person.call("agentmesh", "uninstall", "--yes")
    assert person.look() == before


def test_the_configuration_that_tmux_reads_is_the_one_that_is_edited(person: Person) -> None:
    path = person.home / ".config" / "tmux" / "tmux.conf"
    path.parent.mkdir(parents=True)
    (person.home / ".tmux.conf").rename(path)
    before = person.look()
    person.call("agentmesh", "install")
    assert not (person.home / ".tmux.conf").exists()
    person.call("agentmesh", "stop")
    person.start_tmux()
    assert "@agentmesh-home" in person.hooks()
    person.call("agentmesh", "uninstall", "--yes")
    assert person.look() == before


def test_the_home_is_closed_to_others_and_opened_again(person: Person) -> None:
    person.agents.mkdir()
    person.agents.chmod(0o755)
    (person.agents / "peers.conf").write_text("# nobody yet\n")
    before = person.look()
    person.call("agentmesh", "install")
    modes = {path.stat().st_mode & 0o777 for path in (person.agents, *person.agents.rglob("*")) if path.is_dir()}
    assert modes == {0o700}
    assert (person.agents / "key").stat().st_mode & 0o777 == 0o600
    person.call("agentmesh", "uninstall", "--yes")
    assert person.look() == before


def test_half_a_block_is_reported_and_nothing_is_done(person: Person) -> None:
    person.configure("# >>> agentmesh >>>\nset -g mouse on\n")
    before = person.look()
    refused = person.run("agentmesh", "install")
    assert refused.returncode == 1
    assert "only one of the two lines" in refused.stderr
    assert person.look() == before


def test_an_agent_that_was_started_by_hand_is_left_running_and_gone_with_uninstall(person: Person) -> None:
    person.start_tmux()
    person.call("tmux", "new-window", "-d", "-n", "agent", "agentmesh run")
    eventually(lambda: person.run("agentmesh", "status").returncode == 0, "the agent answers")
    told = person.call("agentmesh", "install")
    assert "start the agent" not in told
    person.call("agentmesh", "uninstall", "--yes")
    assert not person.agents.exists()


def test_another_home_gets_what_is_its_own_and_nothing_on_the_path(person: Person) -> None:
    other = person.root / "other agents"
    person.environment["AGENTMESH_HOME"] = str(other)
    before = person.look()
    assert "no links on the PATH" in person.call("agentmesh", "install")
    assert not (person.home / ".local").exists()
    person.start_tmux()
    assert person.call("tmux", "show-options", "-gqv", "@agentmesh-home").strip() == str(other)
    person.call("agentmesh", "uninstall", "--yes")
    assert (person.look(), other.exists()) == (before, False)


def test_files_that_were_sent_stay(person: Person) -> None:
    person.start_tmux()
    person.call("agentmesh", "install")
    (person.home / "notes.md").write_text("look")
    person.call("notify-pane", "first", "--file", "notes.md")
    told = person.call("agentmesh", "uninstall", "--yes")
    assert "~/.agent-inbox holds files that were sent to you, and stays" in told
    assert [path.read_text() for path in Path(person.home / ".agent-inbox").rglob("notes.md")] == ["look"]


def test_a_person_is_asked_before_messages_and_keys_are_removed(person: Person) -> None:
    person.start_tmux()
    before = person.look()
    person.call("agentmesh", "install")
    for answer, left in (("n", LEFT), ("y", set[str]())):
        person.call("tmux", "new-window", "-n", "asks", "agentmesh uninstall; exec cat")
        eventually(lambda: "[y/N]" in person.tmux.screen("dev:asks"), "it asks", lambda: person.tmux.screen("dev:asks"))
        person.call("tmux", "send-keys", "-t", "dev:asks", answer, "Enter")
        eventually(lambda: "Uninstalled." in person.tmux.screen("dev:asks"), "it ends")
        person.call("tmux", "kill-window", "-t", "dev:asks")
        assert set(person.look()) - set(before) == left
    assert person.look() == before


def test_keys_that_were_pinned_go_and_the_user_s_own_stay(person: Person) -> None:
    file = person.home / ".ssh" / "authorized_keys"
    file.parent.mkdir(mode=0o700)
    file.write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHW5hs3tl0yR8e0CEx4ku7vJ5GJ2bEkYkHbGv3GsZUJb me@laptop\n")
    file.chmod(0o600)
    before = person.look()
    person.call("agentmesh", "install")
    person.call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(person.root / "peer"))
    person.call("agentmesh", "peers", "authorize", "worker-1", str(person.root / "peer.pub"))
    assert "wire --peer worker-1" in file.read_text()
    person.call("agentmesh", "uninstall", "--yes")
    assert person.look() == before


def test_a_new_version_of_a_file_of_ours_takes_the_place_of_the_old_one(person: Person) -> None:
    """What install wrote, it writes anew; what it finds as somebody else left it, it doesn't."""
    person.start_tmux()
    before = person.look()
    person.call("agentmesh", "install")
    launcher = person.agents / "bin" / "notify-pane"
    current = launcher.read_bytes()
    launcher.write_bytes(b"#!/old/python\n")
    hooks = person.agents / "hooks.tmux.conf"
    hooks.write_text("# old\n")
    told = person.call("agentmesh", "install")
    assert len([line for line in steps(told) if line.startswith("- ")]) == 2
    assert launcher.read_bytes() == current
    assert "set-hook" in hooks.read_text()
    person.call("agentmesh", "uninstall", "--yes")
    assert person.look() == before
