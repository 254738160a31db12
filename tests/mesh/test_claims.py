"""A hundred claims race for one job, from twenty processes on three hosts: one wins, and each is told the truth."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.mesh.local import LocalHost, befriend

pytestmark = pytest.mark.tmux
PROCESSES, EACH = 20, 5
CLAIMER = Path(__file__).with_name("programs") / "reporting.py"


@pytest.fixture(scope="module")
def trio(root: Path) -> Iterator[list[LocalHost]]:
    with ExitStack() as life:
        hosts = [LocalHost(name, root) for name in ("north", "south", "west")]
        for host in hosts:
            life.callback(host.end)
            host.start()
        befriend(hosts)
        panes = {f"{host.name}-dev-first" for host in hosts}
        eventually(lambda: all(panes <= set(host.addresses()) for host in hosts), "all panes are known everywhere")
        yield hosts


@pytest.mark.parametrize("attempt", range(3))
def test_of_a_hundred_claims_from_three_hosts_one_wins(trio: list[LocalHost], attempt: int) -> None:
    home = trio[attempt]
    submitted = home.run("agentmesh", "job", "submit", "*-dev-first", "--brief", "who comes first?")
    assert submitted.returncode == 0, submitted
    job = submitted.stdout.strip()
    racing = []
    for number in range(PROCESSES):
        host = trio[number % len(trio)]
        names = [f"{host.name}{number}x{lane}" for lane in range(EACH)]
        racing.append(
            subprocess.Popen(
                [sys.executable, "-IS", CLAIMER, "claim", job, *names],
                env=host.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    for process in racing:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outcomes: dict[str, str] = {}
    for process in racing:
        outcomes |= json.loads(process.communicate(timeout=60)[0])
    assert len(outcomes) == PROCESSES * EACH
    winners = [name for name, code in outcomes.items() if code == "0"]
    # Who wasn't answered in time was told so: such a one may have won, if nobody else was told to have.
    assert set(outcomes.values()) <= {"0", "4", "7"}, outcomes
    seen = [json.loads(host.run("agentmesh", "job", "show", job, "--json").stdout) for host in trio]
    assert {one["job"]["worker"] for one in seen} == set(winners or [seen[0]["job"]["worker"]])
    assert outcomes[seen[0]["job"]["worker"]] in {"0", "7"}
    claims = [entry for entry in seen[attempt]["entries"] if entry["event"]["type"] == "claimed"]
    assert len(claims) == 1
    assert home.run("agentmesh", "job", "verify", job).stdout == f"{job}: 2 events, all as they were accepted\n"
