"""A short run of the soak: three hosts with a real sshd, random faults, and no promise broken."""

import pytest

from tests.e2e.hosts import Network, obstacle
from tests.faults.job_soak import JobSoak
from tests.faults.soak import Soak

pytestmark = [pytest.mark.hosts, pytest.mark.tmux]


@pytest.mark.timeout(300)  # it has 200 s to settle, and needs some to set up and to end
def test_under_random_faults_nothing_is_lost_comes_twice_or_out_of_order() -> None:
    if reason := obstacle():
        pytest.skip(reason)
    with Network() as network:
        result = Soak(network, "1").run(messages=100, rate=20, seconds=200)
        assert not result.bad, f"{result.table}\n{network.diagnose()}"


@pytest.mark.timeout(240)
def test_under_random_faults_no_event_of_a_job_is_lost_or_comes_twice() -> None:
    if reason := obstacle():
        pytest.skip(reason)
    with Network() as network:
        result = JobSoak(network, "1").run(jobs=60, seconds=150)
        assert not result.bad, f"{result.table}\n{network.diagnose()}"
        assert result.counts["jobs"] == 60
        assert result.counts["faults"] > 3
