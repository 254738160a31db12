"""The words after ``notify-pane``, read. The agent does it, so that the command itself starts at once."""

import argparse
from typing import Any, NoReturn

import msgspec

from agentmesh.core.duration import parse_duration
from agentmesh.errors import UsageError

PROGRAM = "notify-pane"
LONGEST_WAIT = "24h"
"""How long a message waits when nothing else is said."""
_DESCRIPTION = "Send a message or files to the program in a tmux pane, of this host or another."
_EXAMPLES = """\
examples:
  notify-pane worker-1-api-review "schema changed at row 142, please verify"
  notify-pane review --file diff.patch "section 3 needs your eyes"
  git log -3 | notify-pane review -
  git diff | notify-pane review --file - --name diff.patch "look at this"
  notify-pane review --file src/ "a folder arrives as src.tar"
  notify-pane '@role:reviewer' "please look at the new draft"
  notify-pane review --wait=10m "when you are done with that"
  notify-pane review --queue "next: the migration"

An ADDRESS is <host>-<session>-<window>, or a unique ending of one;
`notify-pane --list` shows all. Several at once: commas, patterns
('worker-*-review'), @role:NAME, @host:ALIAS, @all.

exit codes:
  0 delivered, and seen to be          4 ssh, tmux or agent failure,
  1 usage, unreadable file               host unreachable
  2 unknown or ambiguous address       5 expired or withdrawn
  3 the pane is not ready,             6 denied
    nothing was typed                  7 uncertain: look at the pane
"""


class Words(msgspec.Struct, frozen=True):
    """What notify-pane was asked to do."""

    address: str | None
    body: str | None
    """The text; ``-`` means standard input."""
    files: list[str]
    """Paths of files and folders; ``-`` means standard input."""
    name: str | None
    """What standard input is called as a file."""
    wait: int
    """Seconds that this command waits for the pane and the host; 0: not at all."""
    queue: int
    """Seconds that the message may wait after this command has returned; 0: not at all."""
    force: bool
    reply_to: str | None
    json: bool
    list: bool
    whoami: bool
    brief: bool
    help: bool
    version: bool


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(reason=f"{message[:1].upper()}{message[1:]}.", program=PROGRAM)


def _parser() -> _Parser:
    parser = _Parser(
        prog=PROGRAM,
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    add: Any = parser.add_argument
    add("address", metavar="ADDRESS", nargs="?", help="who gets it")
    add("body", metavar="BODY", nargs="?", help="the text; - reads it from standard input")
    add(
        "--file",
        metavar="PATH",
        action="append",
        default=[],
        dest="files",
        help="drop a file or a folder (may be repeated)",
    )
    add("--name", metavar="NAME", help="with --file -, which drops standard input: what that file is called")
    add("--wait", metavar="TIME", nargs="?", help="wait until it is delivered, so long at most (30s, 5m, 2h)")
    add("--queue", action="store_true", help="return when it is safely stored; it is delivered when that can be")
    add("--expires", metavar="TIME", help=f"how long a queued message may wait ({LONGEST_WAIT})")
    add(
        "--force",
        action="store_true",
        help="type also at shell prompts, into drafts, into unknown screens (or set FORCE_SEND=1)",
    )
    add("--reply-to", metavar="ADDRESS", help="the sender to show instead of this pane")
    add("--json", action="store_true", help="print the receipt of each recipient as a line of JSON")
    add("--list", action="store_true", help="print every address of the mesh, a line each")
    add("--whoami", action="store_true", help="print the name under which this pane sends")
    add("--brief", action="store_true", help="print how many messages are unread and which hosts are away, if any")
    add("--version", action="store_true", help="print the version")
    add("-h", "--help", action="store_true", help="print this help")
    parser.usage = parser.format_usage().removeprefix("usage: ").rstrip()  # or argparse makes it for each command
    return parser


_PARSER = _parser()


def read_words(words: list[str]) -> Words:
    """Read the words after the program's name. Raises UsageError.

    >>> read_words(["review", "hi"]).body
    'hi'
    >>> read_words(["review", "--", "-5 degrees"]).body
    '-5 degrees'
    """
    end = words.index("--") if "--" in words else len(words)
    # A value is given with an equals sign alone, so that the address isn't taken for one.
    exact = [f"--wait={LONGEST_WAIT}" if word == "--wait" else word for word in words[:end]]
    values = vars(_PARSER.parse_intermixed_args(exact))
    literal = words[end + 1 :]  # argparse doesn't take these where options may stand anywhere
    for name in ("address", "body"):
        if literal and values[name] is None:
            values[name] = literal.pop(0)
    if literal:
        _PARSER.error(f"unrecognized arguments: {' '.join(literal)}")
    expires = values.pop("expires")
    if values["queue"] and values["wait"]:
        raise UsageError(reason="A message is waited for or queued: give --wait or --queue.", program=PROGRAM)
    if expires and not values["queue"]:
        raise UsageError(reason="Only a queued message expires: give --queue with --expires.", program=PROGRAM)
    values["wait"] = parse_duration(values["wait"], PROGRAM) if values["wait"] else 0
    values["queue"] = parse_duration(expires or LONGEST_WAIT, PROGRAM) if values["queue"] else 0
    given = Words(**values)
    if given.help or given.version or given.list or given.whoami or given.brief:
        return given
    if given.address is None:
        raise UsageError(reason="Name an address to send to.", program=PROGRAM)
    if given.body is None and not given.files:
        raise UsageError(reason="There is nothing to send: give a text, - or --file.", program=PROGRAM)
    _check_input(given)
    return given


def _check_input(given: Words) -> None:
    """See that standard input is used once, and has a name where it becomes a file. Raises UsageError."""
    inputs = given.files.count("-")
    if inputs + (given.body == "-") > 1:
        raise UsageError(reason="Standard input can be read once: as the text, or as one --file.", program=PROGRAM)
    if inputs and not given.name:
        raise UsageError(reason="Standard input has no name of its own: say --file - --name NAME.", program=PROGRAM)
    if given.name is not None and not inputs:
        raise UsageError(reason="--name says what standard input is called, with --file -.", program=PROGRAM)


def actions() -> list[argparse.Action]:
    """Return every option and argument, for those who complete or describe them."""
    return list(_PARSER._actions)  # noqa: SLF001 (argparse keeps the list of them to itself)


def help_text() -> str:
    """Return what ``--help`` prints."""
    return _PARSER.format_help()
