"""Jobs between hosts whose network is cut: what is told of a claim is the truth, on both sides of the cut."""

import json
from collections.abc import Mapping

import pytest

from tests.e2e.hosts import Host, Network
from tests.e2e.mesh import knows, open_window
from tests.eventually import eventually

pytestmark = [pytest.mark.hosts, pytest.mark.tmux]


def job_of(host: Host, job: str) -> Mapping[str, object]:
    """Return what a host is told of a job; nothing when its home can't be asked."""
    done = host.run("agentmesh", "job", "show", job, "--json", check=False)
    return dict(json.loads(done.stdout)["job"]) if done.returncode == 0 else {}


def submit(hub: Host, worker: Host) -> str:
    """Submit a job for a pane on each host, and let the worker's host hear of it."""
    for host in (hub, worker):
        if not knows(hub, f"{host.name}-dev-claimer")():
            open_window(host, "dev", "claimer", "cat")
    eventually(knows(hub, "hub-dev-claimer", "worker-1-dev-claimer"), "the panes are known")
    job = hub.run("agentmesh", "job", "submit", "*-dev-claimer", "--brief", "race").stdout.strip()
    assert job_of(worker, job)["state"] == "registered"
    return job


def test_of_two_claims_on_both_sides_of_a_cut_the_one_at_the_home_wins(
    network: Network, hub: Host, worker: Host
) -> None:
    job = submit(hub, worker)
    network.cut("worker-1")
    try:
        far = worker.run("agentmesh", "job", "claim", job, check=False, env={"AGENT_NAME": "far"})
        assert (far.returncode, far.stdout) == (7, ""), far
        assert "not known yet: hub has not answered" in far.stderr
        assert hub.run("agentmesh", "job", "claim", job, env={"AGENT_NAME": "near"}).stdout == "claimed: accepted\n"
    finally:
        network.mend("worker-1")
    eventually(lambda: job_of(worker, job).get("worker") == "near", "the far side hears who has won", network.diagnose)
    dropped = "dropped: near has claimed the job already"
    eventually(
        lambda: dropped in hub.run("agentmesh", "job", "show", job).stdout, "the far claim was judged", network.diagnose
    )


def test_a_claim_made_while_the_home_was_cut_off_wins_if_nobody_else_came(
    network: Network, hub: Host, worker: Host
) -> None:
    job = submit(hub, worker)
    network.cut("hub")
    try:
        far = worker.run("agentmesh", "job", "claim", job, check=False, env={"AGENT_NAME": "far"})
        assert far.returncode == 7, far
    finally:
        network.mend("hub")
    eventually(lambda: job_of(hub, job)["worker"] == "far", "the claim has come, and won", network.diagnose)
    late = hub.run("agentmesh", "job", "claim", job, check=False, env={"AGENT_NAME": "near"})
    assert (late.returncode, "far has claimed the job already" in late.stderr) == (4, True), late
