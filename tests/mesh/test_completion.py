"""What Tab does, in real shells: the scripts of `agentmesh completion`, typed at in real panes."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from agentmesh.agent.arguments import actions
from agentmesh.core.job import JobState
from tests.core.examples import a_job
from tests.eventually import eventually
from tests.mesh.local import LocalHost

pytestmark = pytest.mark.tmux

SHELLS = {"bash": ("bash", "--norc", "-i"), "zsh": ("zsh", "-f", "-i"), "fish": ("fish", "--no-config", "--private")}

Tab = Callable[..., None]
"""Types a line's beginning and Tab, and sees the pane show what is to come of it."""


@pytest.fixture(scope="module")
def settled(host: LocalHost) -> LocalHost:
    """Return a host with something to complete."""
    pane = host.open("review", "cat")
    for option, value in (("@agent-role", "second-reader"), ("@agent-name", "critic")):
        host.tmux.run("set-option", "-w", "-t", pane, option, value)
    eventually(lambda: "critic" in (host.agents / "registry.toml").read_text(), "the registry names it")
    (host.agents / "peers.conf").write_text("worker-1 # the big one\n")
    (host.home / ".ssh").mkdir()
    (host.home / ".ssh" / "config").write_text("Host worker-1 worker-2 *.example.org\n  HostName 127.0.0.1\n")
    (host.home / "notes of mine.txt").write_text("")
    return host


@pytest.fixture(params=SHELLS)
def tab(settled: LocalHost, request: pytest.FixtureRequest) -> Tab:
    """Return what types into a shell that has read its script."""
    return a_shell(settled, request.param)


def a_shell(host: LocalHost, shell: str) -> Tab:
    script = host.home / f"completion.{shell}"
    if not script.exists():
        made = host.run("agentmesh", "completion", shell)
        assert (made.returncode, made.stderr) == (0, "")
        script.write_text(made.stdout)
    pane = host.tmux.new_window("asking", *SHELLS[shell])
    host.tmux.run("resize-window", "-t", pane, "-x", "200", "-y", "50")
    host.tmux.run("send-keys", "-t", pane, "-l", f". {script}; cd {host.home}; clear; echo re''ady")
    host.tmux.run("send-keys", "-t", pane, "Enter")

    def screen() -> str:
        return host.tmux.screen(pane)

    eventually(lambda: "ready" in screen().split(), f"{shell} has read its script", screen)

    def tab(typed: str, *shown: str, times: int = 1) -> None:
        host.tmux.run("send-keys", "-t", pane, "-l", typed)
        eventually(lambda: typed.rstrip() in screen(), f"{shell} has taken what was typed", screen)
        for _ in range(times):
            host.tmux.run("send-keys", "-t", pane, "Tab")
        eventually(lambda: all(text in screen() for text in shown), f"{shell} shows {shown}", screen)

    return tab


def test_tab_completes_an_address(tab: Tab) -> None:
    tab("notify-pane solo-dev-r", "notify-pane solo-dev-review")


def test_tab_completes_the_ending_of_an_address(tab: Tab) -> None:
    tab("notify-pane eview", "notify-pane solo-dev-review")


def test_tab_completes_a_handle(tab: Tab) -> None:
    tab("notify-pane crit", "notify-pane critic")


def test_tab_completes_the_second_of_two_recipients(tab: Tab) -> None:
    tab("notify-pane solo-dev-first,solo-dev-r", "notify-pane solo-dev-first,solo-dev-review")


def test_tab_completes_a_role(tab: Tab) -> None:
    tab("notify-pane @role:sec", "notify-pane @role:second-reader")


def test_tab_completes_an_address_after_options_with_values(tab: Tab) -> None:
    tab("notify-pane --wait --expires 2h --reply-to boss solo-dev-r", "boss solo-dev-review")


def test_tab_completes_the_address_that_an_option_takes(tab: Tab) -> None:
    tab("notify-pane first hi --reply-to solo-dev-r", "--reply-to solo-dev-review")


def test_tab_completes_a_file(tab: Tab) -> None:
    tab("notify-pane first --file notes", "--file notes\\ of\\ mine.txt")


def test_tab_offers_every_option_of_notify_pane(tab: Tab) -> None:
    every = [option for action in actions() for option in action.option_strings if option.startswith("--")]
    assert len(every) > 10
    tab("notify-pane --", *every, times=2)


def test_tab_offers_every_command(settled: LocalHost, tab: Tab) -> None:
    listed = settled.run("agentmesh", "--help").stdout.partition("Commands:\n")[2].splitlines()
    commands = [line.split()[0] for line in listed if line.startswith("  ") and line[2] != " "]
    assert {"peers", "show", "completion"} <= set(commands)
    tab("agentmesh ", *commands, times=2)


def test_tab_completes_a_command_of_a_command(tab: Tab) -> None:
    tab("agentmesh peers auth", "agentmesh peers authorize")


def test_tab_completes_a_commands_option(tab: Tab) -> None:
    tab("agentmesh show solo-dev-review --js", "--json")


def test_tab_completes_the_address_that_a_command_takes(tab: Tab) -> None:
    tab("agentmesh show solo-dev-r", "agentmesh show solo-dev-review")


def test_tab_completes_a_peer(tab: Tab) -> None:
    tab("agentmesh peers remove w", "agentmesh peers remove worker-1")


def test_tab_offers_the_hosts_of_the_ssh_configuration_as_new_peers(tab: Tab) -> None:
    tab("agentmesh peers add worker-", "worker-1", "worker-2", times=2)


def test_tab_completes_the_words_of_a_choice(tab: Tab) -> None:
    tab("agentmesh completion f", "agentmesh completion fish")


def test_tab_completes_a_session(tab: Tab) -> None:
    tab("agent-register-hook on de", "agent-register-hook on dev")


def test_tab_completes_what_goes_on_and_for_retry_what_has_ended(settled: LocalHost, tab: Tab) -> None:
    for name, state in (("solo-1111111111111111", "started"), ("solo-2222222222222222", "error")):
        record = settled.agents / "jobs" / name / "job.json"
        record.parent.mkdir(parents=True, exist_ok=True)
        job = a_job(id=name, state=JobState(state), title="the plan", brief='\n  "state": "registered",\n')
        record.write_bytes(msgspec.json.format(msgspec.json.encode(job)))
    (settled.agents / "reviews" / "solo-3333333333333333").mkdir(parents=True, exist_ok=True)
    tab("agentmesh job wait solo-", "agentmesh job wait solo-1111111111111111")
    tab("; agentmesh job retry solo-", "agentmesh job retry solo-2222222222222222")
    tab("; agentmesh review gate solo-", "agentmesh review gate solo-3333333333333333")


def test_tab_completes_an_option_of_the_old_names(tab: Tab) -> None:
    tab("agent-self-identify --sc", "agent-self-identify --scope")


def test_tab_completes_a_program_called_by_its_path(tab: Tab) -> None:
    tab("/nowhere/bin/notify-pane --que", "/nowhere/bin/notify-pane --queue")


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_knows_a_window_as_soon_as_the_registry_does(settled: LocalHost, shell: str) -> None:
    tab = a_shell(settled, shell)
    settled.open(f"opened-for-{shell}", "cat")
    address = f"solo-dev-opened-for-{shell}"
    eventually(lambda: address in (settled.agents / "registry.toml").read_text(), "it is in registry.toml")
    tab(f"notify-pane opened-for-{shell}", address)


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_asks_nobody(fresh: LocalHost, shell: str) -> None:
    (fresh.agents / "registry.toml").write_text('[agents.hub-dev-lead]\nhost = "hub"\n')
    a_shell(fresh, shell)("notify-pane hub", "notify-pane hub-dev-lead")


@pytest.mark.parametrize("shell", SHELLS)
def test_what_stands_in_the_registry_is_never_run(fresh: LocalHost, shell: str) -> None:
    # Roles are other hosts' words.
    trap = "$(touch trapped)`touch trapped`;touch trapped;'\\\\\\\""
    (fresh.agents / "registry.toml").write_text(
        f'[agents.hub-dev-lead]\nhost = "hub"\nrole = "{trap}"\n\n[agents.hub-dev-last]\nhost = "{trap}"\nrole = "x"\n'
    )
    a_shell(fresh, shell)("notify-pane hub-dev-", "hub-dev-lead", "hub-dev-last", times=3)
    assert not list(Path(fresh.home).rglob("trapped"))
