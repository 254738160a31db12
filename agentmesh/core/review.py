"""The life of a review, as a table, and what verdicts mean for a diff. Pure.

::

    asking ──▶ passed
     │  ▲  │      │
     │  │  └──▶ failed (no rounds are left)
     │  ├─────────┘ a changed diff
     ▼  │
    revising          each but failed: ──▶ cancelled

A verdict is of one content: it holds for a diff with the same SHA-256, and for no other.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

import msgspec

from agentmesh.core.address import Address
from agentmesh.core.event import JobId
from agentmesh.core.model import HERE, Origin, UnixTime
from agentmesh.errors import BadReview


class Verdict(StrEnum):
    """What a reviewer says of a diff."""

    PASS = "pass"  # noqa: S105 (no password)
    NOT_PASS = "not-pass"  # noqa: S105 (no password)
    NONE = "none"
    """The review job ended without a verdict: nobody can be asked any more."""


class ReviewState(StrEnum):
    """How far a review is."""

    ASKING = "asking"
    """Verdicts of the present round are awaited."""
    REVISING = "revising"
    """Not all have passed the diff: the worker has their feedback, and a changed diff begins the next round."""
    PASSED = "passed"
    FAILED = "failed"
    """Not all have passed the diff of the last round."""
    CANCELLED = "cancelled"


class Turn(StrEnum):
    """What happens to a review."""

    PASS = "pass"  # noqa: S105 (no password)
    RETURN = "return"
    """Not all passed: the worker is to change the diff."""
    FAIL = "fail"
    CHANGE = "change"
    """A diff is submitted again."""
    CANCEL = "cancel"


TRANSITIONS: Mapping[tuple[ReviewState, Turn], ReviewState] = {
    (ReviewState.ASKING, Turn.PASS): ReviewState.PASSED,
    (ReviewState.ASKING, Turn.RETURN): ReviewState.REVISING,
    (ReviewState.ASKING, Turn.FAIL): ReviewState.FAILED,
    (ReviewState.ASKING, Turn.CHANGE): ReviewState.ASKING,
    (ReviewState.REVISING, Turn.CHANGE): ReviewState.ASKING,
    (ReviewState.PASSED, Turn.CHANGE): ReviewState.ASKING,
    (ReviewState.ASKING, Turn.CANCEL): ReviewState.CANCELLED,
    (ReviewState.REVISING, Turn.CANCEL): ReviewState.CANCELLED,
    (ReviewState.PASSED, Turn.CANCEL): ReviewState.CANCELLED,
}
ENDS = frozenset({ReviewState.PASSED, ReviewState.FAILED, ReviewState.CANCELLED})
"""What `agentmesh review wait` waits for; a changed diff takes a review that has passed on from there."""


class Standing(StrEnum):
    """What the verdicts of a review mean for some content."""

    PASSED = "passed"
    """Every reviewer has passed exactly this."""
    AWAITED = "awaited"
    """Not all have said what they think of it."""
    NOT_PASSED = "not passed"
    CANCELLED = "cancelled"
    CHANGED = "changed"
    """It isn't what was reviewed: the verdicts are void."""


EXIT_CODES: Mapping[Standing, int] = {
    Standing.PASSED: 0,
    Standing.AWAITED: 5,
    Standing.NOT_PASSED: 8,
    Standing.CANCELLED: 9,
    Standing.CHANGED: 10,
}
"""What `agentmesh review wait` and `review gate` exit with."""


class Reviewer(msgspec.Struct, frozen=True):
    """Who must pass the diff."""

    address: Address
    host: str


class Ask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reviewer's part in a round."""

    reviewer: Reviewer
    job: JobId
    """The review job, which is this reviewer's alone."""
    is_sent: bool = False
    """Whether the diff is on the reviewer's host, and the brief on its way to the pane."""
    verdict: Verdict | None = None
    feedback: str = ""
    """Without a verdict: why none may come."""
    received: UnixTime = 0
    """When the verdict was accepted, by the clock of the review's home."""
    origin: Origin = HERE
    """The host that told of the verdict, and how that is known."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """A diff, and what was said of it."""

    number: int
    """1 for the first."""
    sha256: str
    """Of the diff, in hex."""
    size: int
    """Of the diff, in bytes."""
    began: UnixTime
    asks: tuple[Ask, ...]
    is_told: bool = False
    """Whether the worker has been sent the feedback."""


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """A diff that reviewers must pass, as its home knows it: the host that it was started on."""

    id: JobId
    submitter: str
    worker: Address
    worker_host: str
    reviewers: tuple[Reviewer, ...]
    diff: str
    """The file or range of commits, as it was named."""
    folder: str
    """Where it was named."""
    brief: str
    most_rounds: int
    state: ReviewState = ReviewState.ASKING
    rounds: tuple[Round, ...] = ()
    revision: int = 0
    """How often this has changed."""

    @property
    def present(self) -> Round:
        """The newest round."""
        return self.rounds[-1]


def after(review: Review, turn: Turn) -> Review:
    """Return the review after something happened to it. Raises BadReview when that can't be now."""
    if (review.state, turn) not in TRANSITIONS:
        raise BadReview(id=review.id, reason=f"it is {review.state}")
    return msgspec.structs.replace(review, state=TRANSITIONS[review.state, turn])


def begun(review: Review, digest: str, size: int, jobs: Iterator[str], now: int) -> Review:
    """Return the review with a round more, for those whose verdict on this content isn't known.

    Raises BadReview when nothing has changed, or no rounds are left.
    """
    reviewers = [reviewer for reviewer in review.reviewers if _verdict(review, reviewer, digest) is None]
    if review.rounds and review.present.sha256 == digest and (review.state is ReviewState.ASKING or not reviewers):
        raise BadReview(id=review.id, reason="the diff is as it was. Change it first")
    changed = after(review, Turn.CHANGE)
    if len(review.rounds) == review.most_rounds:
        raise BadReview(id=review.id, reason=f"its {review.most_rounds} rounds are over. Start another one")
    asks = tuple(Ask(reviewer=reviewer, job=next(jobs)) for reviewer in reviewers)
    number = len(review.rounds) + 1
    added = Round(number=number, sha256=digest, size=size, began=now, asks=asks)
    return closed(msgspec.structs.replace(changed, rounds=(*review.rounds, added)))


def closed(review: Review) -> Review:
    """Return the review after its round, when all that were asked in it have answered; else as it is."""
    if review.state is not ReviewState.ASKING or any(ask.verdict is None for ask in review.present.asks):
        return review
    if standing(review, review.present.sha256) is Standing.PASSED:
        return after(review, Turn.PASS)
    return after(review, Turn.FAIL if review.present.number == review.most_rounds else Turn.RETURN)


def noted(review: Review, changed: Ask) -> Review:
    """Return the review with what is new of one reviewer's part."""
    rounds = tuple(
        msgspec.structs.replace(each, asks=tuple(changed if ask.job == changed.job else ask for ask in each.asks))
        for each in review.rounds
    )
    return closed(msgspec.structs.replace(review, rounds=rounds))


def told(review: Review, number: int) -> Review:
    """Return the review whose worker has the feedback of a round."""
    rounds = tuple(
        msgspec.structs.replace(each, is_told=True) if each.number == number else each for each in review.rounds
    )
    return msgspec.structs.replace(review, rounds=rounds)


def awaited(review: Review) -> list[Ask]:
    """Return the parts of the present round that have no verdict yet."""
    if review.state is not ReviewState.ASKING:
        return []
    return [ask for ask in review.present.asks if ask.verdict is None]


def overtaken(review: Review) -> list[Ask]:
    """Return the parts without a verdict that nobody waits for any more: the diff has changed, or all is cancelled."""
    waiting = awaited(review)
    asks = (ask for each in review.rounds for ask in each.asks)
    return [ask for ask in asks if ask.verdict is None and ask not in waiting]


def has_part(review: Review, host: str) -> bool:
    """Tell whether a host is that of the worker, or of a reviewer."""
    return host in {review.worker_host, *(reviewer.host for reviewer in review.reviewers)}


def owes_feedback(review: Review) -> bool:
    """Tell whether the worker has yet to hear what came of the present round."""
    return review.state in {ReviewState.REVISING, ReviewState.FAILED} and not review.present.is_told


def is_settled(review: Review) -> bool:
    """Tell whether there is nothing to be done for a review before somebody asks for something."""
    return not (awaited(review) or overtaken(review) or owes_feedback(review))


def latest(review: Review) -> UnixTime:
    """Return when something was said of a diff of the review last, or a round began."""
    return max(moment for each in review.rounds for moment in (each.began, *(ask.received for ask in each.asks)))


def standing(review: Review, digest: str) -> Standing:
    """Return what the verdicts mean for content with this SHA-256."""
    if review.state is ReviewState.CANCELLED:
        return Standing.CANCELLED
    verdicts = {_verdict(review, reviewer, digest) for reviewer in review.reviewers}
    if Verdict.NOT_PASS in verdicts:
        return Standing.NOT_PASSED
    if verdicts == {Verdict.PASS}:
        return Standing.PASSED
    if review.present.sha256 != digest:
        return Standing.CHANGED
    return Standing.AWAITED if review.state is ReviewState.ASKING else Standing.NOT_PASSED


def best(reviews: Iterable[Review], digest: str) -> Review | None:
    """Return, of those that are of content with this SHA-256, a review that it has passed, else the newest."""
    of_it = [review for review in reviews if any(each.sha256 == digest for each in review.rounds)]
    passed = [review for review in of_it if standing(review, digest) is Standing.PASSED]
    return next(reversed(passed or of_it), None)


def opinion(review: Review, reviewer: Reviewer, digest: str) -> Ask | None:
    """Return what a reviewer said last of content, or at least was asked; None if that never was."""
    asks = [ask for each in review.rounds if each.sha256 == digest for ask in each.asks if ask.reviewer == reviewer]
    given = [ask for ask in asks if ask.verdict in {Verdict.PASS, Verdict.NOT_PASS}]
    return next(reversed(given or asks), None)


def _verdict(review: Review, reviewer: Reviewer, digest: str) -> Verdict | None:
    """Return the newest verdict of a reviewer on content; None when there is none."""
    found = opinion(review, reviewer, digest)
    return found.verdict if found and found.verdict is not Verdict.NONE else None
