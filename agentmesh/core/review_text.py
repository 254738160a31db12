"""What is sent about a review: to who is asked, and to who has made the diff. Pure."""

from hashlib import sha256

from agentmesh.core.model import MessageId
from agentmesh.core.review import Ask, Review, ReviewState, Verdict, opinion


def message_id(what: str) -> MessageId:
    """Return the id of the one message that says something: sent again after a crash, it is the same message.

    >>> message_id("brief of hub-00112233aabbccdd")[:8]
    'acb459f3'
    """
    return sha256(what.encode()).hexdigest()[:32]


def ask_text(review: Review, ask: Ask) -> str:
    """Return what a reviewer reads beside the diff."""
    number = review.present.number
    lines = [
        f"Review {review.id}, round {number} of {review.most_rounds}: please review this diff by {review.worker}.",
        *([review.brief] if review.brief else []),
        f"Claim it: agentmesh job claim {ask.job}",
        f"Answer: agentmesh review verdict {ask.job} pass | not-pass --feedback TEXT",
    ]
    return "\n".join(lines)


def feedback_text(review: Review, home: str) -> str:
    """Return what the worker reads when not all have passed. What others say is indented, and can't pass for ours."""
    present = review.present
    asks = [ask for reviewer in review.reviewers if (ask := opinion(review, reviewer, present.sha256))]
    passed = sum(ask.verdict is Verdict.PASS for ask in asks)
    head = f"Review {review.id}, round {present.number} of {review.most_rounds}"
    lines = [f"{head}: NOT PASS ({passed} of {len(asks)} passed)."]
    for ask in asks:
        said = "no verdict" if ask.verdict is Verdict.NONE else str(ask.verdict)
        lines += [f"--- {ask.reviewer.address}: {said}", *(f"    {line}" for line in ask.feedback.splitlines())]
    if review.state is ReviewState.FAILED:
        lines.append("No rounds are left.")
    elif review.worker_host == home:
        lines.append(f"When it is mended: agentmesh review update {review.id}")
    else:
        lines.append(f"When it is mended, tell {review.submitter}, who submits it again on {home}.")
    return "\n".join(lines)
