"""What commands ask of the agent about reviews, as they hand it over. Pure."""

import msgspec

from agentmesh.core.review import Verdict


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A review that is to be started."""

    worker: str
    reviewers: str
    diff: str
    """The file or range of commits, as it was named."""
    content: str
    """The path of a file that has the diff; it may be removed when the command has been answered."""
    rounds: int
    brief: str = ""


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """A diff that is submitted again."""

    review: str
    diff: str
    folder: str
    """Where that is to be understood."""
    content: str
    """As in a proposal."""


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    """A reviewer's answer."""

    of: str
    """A review job, or a review of this host."""
    verdict: Verdict
    feedback: str = ""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """A question for a review."""

    review: str
    beyond: int = -1
    """The revision that is known already."""
    patience: int = 0
    """Seconds that the answer may wait for another one."""
