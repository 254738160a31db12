"""How a command's help ends: with examples, a line each."""


def examples(*lines: str) -> str:
    r"""Return what stands below a command's options; the first character keeps Click from filling the lines.

    >>> examples("agentmesh sync")
    '\x08\nExamples:\n  agentmesh sync'
    """
    return "\n  ".join(["\b\nExamples:", *lines])
