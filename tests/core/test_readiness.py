"""Readiness: every recorded screen is judged as its name says, and so are the ones that only look alike."""

from collections.abc import Mapping

import msgspec
import pytest

from agentmesh.core.readiness import ACTIONS, ADVICE, Action, Readiness, TtyFacts, action_for, assess
from agentmesh.core.screen import PaneFacts, plain
from tests.core.examples import a_tty
from tests.core.screens import line_screen, overwritten, with_rows
from tests.screens import recordings

FULL_SCREEN = a_tty("x", canonical=False, echo=False, alone=False, reading=False)
"""What the kernel says of Claude Code, Codex, less, vim: they read keys, and their reads are not seen."""
AT_PROMPT = a_tty("bash", canonical=False, echo=False, shell_in_front=True, alone=True, reading=False)
BEHIND_A_SHELL = a_tty("sleep", alone=False, reading=False)

OTHERS: Mapping[str, tuple[TtyFacts | None, str, Readiness]] = {
    "cat-idle": (a_tty("cat", alone=False), "", Readiness.READS_LINES),
    "sleepjob-idle": (BEHIND_A_SHELL, "", Readiness.NOT_READING),
    "passwd-idle": (a_tty("bash", echo=False, shell_in_front=True), "bash", Readiness.PASSWORD),
    "yesno-idle": (a_tty("bash", shell_in_front=True), "bash", Readiness.DIALOG),
    "select-idle": (a_tty("bash", shell_in_front=True), "bash", Readiness.DIALOG),
    "bash-idle": (AT_PROMPT, "bash", Readiness.SHELL),
    "zsh-idle": (AT_PROMPT, "zsh", Readiness.SHELL),
    "less-idle": (FULL_SCREEN, "", Readiness.UNKNOWN),
    "vim-idle": (FULL_SCREEN, "", Readiness.UNKNOWN),
    "python3-idle": (FULL_SCREEN, "python", Readiness.REPL),
    "dead-idle": (None, "", Readiness.DEAD),
}
"""The kernel's word on each other recording (PANES.md, section 2), its profile, and what it is."""

TYPING = {Action.FILL_BOX, Action.TYPE_LINE}
TYPED_INTO = {readiness for readiness in Readiness if action_for(readiness, force=False) in TYPING}

ORDINARY: Mapping[str, Readiness] = {
    "apt-question": Readiness.DIALOG,
    "bash-arrow": Readiness.SHELL,
    "bash-behind": Readiness.SHELL,
    "bash-half": Readiness.SHELL,
    "bash-key": Readiness.DIALOG,
    "bash-question": Readiness.DIALOG,
    "bash-secret": Readiness.PASSWORD,
    "bash-two-rows": Readiness.SHELL,
    "bash-wrapped": Readiness.SHELL,
    "fish-idle": Readiness.SHELL,
    "fish-suggested": Readiness.SHELL,
    "fzf-idle": Readiness.UNKNOWN,
    "git-add": Readiness.DIALOG,
    "input-idle": Readiness.READS_LINES,
    "ipython-half": Readiness.REPL,
    "ipython-idle": Readiness.REPL,
    "man-idle": Readiness.UNKNOWN,
    "menu-idle": Readiness.DIALOG,
    "node-half": Readiness.REPL,
    "node-idle": Readiness.REPL,
    "vim-insert": Readiness.UNKNOWN,
    "zsh-right-prompt": Readiness.SHELL,
    "zsh-suggested": Readiness.SHELL,
}
"""What each recording is that has the kernel's word with it."""

BOXED = [name for name in recordings.names() if recordings.state_of(name)]


def judge(facts: PaneFacts, tty: TtyFacts | None, profile: str = "", registered: str = "") -> Readiness:
    return assess(facts, tty, recordings.profile(profile) if profile else None, registered)


def expected(name: str) -> set[Readiness]:
    """Return what a program with a known box may be taken for, by the state in its recording's name."""
    state, box = recordings.state_of(name), recordings.profile(recordings.program_of(name)).box
    assert box
    if state in recordings.IDLE:
        return {Readiness.EMPTY_BOX}
    if state in recordings.WORKING:
        return {Readiness.QUEUES} if box.queues else {Readiness.BUSY, Readiness.UNKNOWN}
    if state in recordings.DIALOGS:
        return {Readiness.DIALOG}
    if state in recordings.PANELS:
        return {Readiness.PANEL} if box.panels else {Readiness.DIALOG, Readiness.UNKNOWN}
    if state in recordings.DRAFTS:
        return {Readiness.DRAFT, Readiness.UNKNOWN}
    assert state in recordings.OTHERS
    return {Readiness.DIALOG, Readiness.UNKNOWN, Readiness.BUSY}


def test_every_recording_is_judged_here() -> None:
    assert sorted([*BOXED, *OTHERS, *ORDINARY]) == recordings.names()
    assert len(BOXED) > 35


@pytest.mark.parametrize("name", BOXED)
def test_a_known_box_is_what_its_recording_says(name: str) -> None:
    program = recordings.program_of(name)
    assert judge(recordings.load(name), FULL_SCREEN, program, registered=program) in expected(name)


@pytest.mark.parametrize("name", BOXED)
@pytest.mark.parametrize(("echo", "readiness"), [(True, Readiness.BUSY), (False, Readiness.PASSWORD)])
def test_a_box_is_not_typed_into_while_its_terminal_collects_lines(
    name: str, readiness: Readiness, *, echo: bool
) -> None:
    tty = msgspec.structs.replace(FULL_SCREEN, canonical=True, echo=echo)
    assert judge(recordings.load(name), tty, recordings.program_of(name)) is readiness


def test_a_program_that_is_busy_and_shows_no_box_is_busy() -> None:
    facts = with_rows(CODEX, title="⠋ codex")
    assert judge(facts, FULL_SCREEN, "codex") is Readiness.BUSY


@pytest.mark.parametrize("name", OTHERS)
def test_an_ordinary_program_is_what_its_recording_says(name: str) -> None:
    tty, profile, readiness = OTHERS[name]
    assert judge(recordings.load(name), tty, profile) is readiness


@pytest.mark.parametrize("name", [name for name in recordings.names() if name != "dead-idle"])
def test_what_the_kernel_does_not_confirm_is_unknown(name: str) -> None:
    profile = recordings.program_of(name) if name in BOXED else ""
    assert judge(recordings.load(name), None, profile) is Readiness.UNKNOWN


@pytest.mark.parametrize("name", ORDINARY)
def test_a_program_is_known_by_its_process_and_terminal(name: str) -> None:
    tty = recordings.tty(name)
    assert tty
    assert assess(recordings.load(name), tty, recordings.profile_of(tty)) is ORDINARY[name]


@pytest.mark.parametrize("name", [name for name in ORDINARY if name.startswith(("bash-", "fish-", "zsh-"))])
@pytest.mark.parametrize("other", recordings.BOXED)
def test_a_shell_that_looks_like_a_box_is_a_shell(name: str, other: str) -> None:
    tty = recordings.tty(name)
    assert judge(recordings.load(name), tty, other, registered=other) not in TYPED_INTO


# Screens that only look alike, made from recordings.

CLAUDE, CODEX = recordings.load("claude-after-submit"), recordings.load("codex-after-submit")
CLAUDE_DIALOG = recordings.load("claude-approval").rows[27:39]
CODEX_DIALOG = recordings.load("codex-approval").rows[25:40]


@pytest.mark.parametrize(
    ("facts", "profile", "first", "dialog"),
    [(CLAUDE, "claude", 0, CLAUDE_DIALOG[2:10]), (CODEX, "codex", 15, CODEX_DIALOG)],
)
def test_a_chat_that_quotes_a_dialog_above_a_live_box_is_ready(
    facts: PaneFacts, profile: str, first: int, dialog: tuple[str, ...]
) -> None:
    quoted = overwritten(facts, first, *(plain(row) for row in dialog))
    assert any("1. Yes" in row for row in quoted.rows[: facts.cursor_y - 1])
    assert judge(quoted, FULL_SCREEN, profile) is Readiness.EMPTY_BOX


@pytest.mark.parametrize(
    ("facts", "profile", "option"),
    [
        (CLAUDE, "claude", " ❯ 1. Yes"),
        (CLAUDE, "claude", "❯ 1. Yes"),
        (CODEX, "codex", "› 1. Yes, proceed (y)"),
        (CODEX, "codex", "\x1b[1m›\x1b[0m 1. Yes, proceed (y)"),
    ],
)
def test_a_dialog_below_the_box_is_a_dialog(facts: PaneFacts, profile: str, option: str) -> None:
    asked = overwritten(facts, facts.cursor_y + 2, option, "  2. No")
    assert judge(asked, FULL_SCREEN, profile) is Readiness.DIALOG


def test_the_words_of_the_placeholder_in_ordinary_style_are_a_draft() -> None:
    words = "Ask Codex to do anything"
    assert words in plain(CODEX.rows[CODEX.cursor_y])
    typed = f"\x1b[1m›\x1b[0m {words}"
    for cursor_x in (2, 2 + len(words)):
        facts = overwritten(CODEX, CODEX.cursor_y, typed, cursor_x=cursor_x)
        assert judge(facts, FULL_SCREEN, "codex") is Readiness.DRAFT


@pytest.mark.parametrize(("text", "cursor_x"), [("r\x1b[2meview the diff\x1b[0m", 3), ("r", 3), ("r", 2)])
def test_one_typed_character_is_a_draft(text: str, cursor_x: int) -> None:
    facts = overwritten(CODEX, CODEX.cursor_y, f"\x1b[1m›\x1b[0m {text}", cursor_x=cursor_x)
    assert judge(facts, FULL_SCREEN, "codex") is Readiness.DRAFT


@pytest.mark.parametrize(
    ("facts", "profile", "readiness"),
    [
        (msgspec.structs.replace(CLAUDE, cursor_visible=True), "claude", Readiness.UNKNOWN),
        (msgspec.structs.replace(CLAUDE, cursor_y=CLAUDE.cursor_y - 3), "claude", Readiness.UNKNOWN),
        (msgspec.structs.replace(CLAUDE, cursor_x=30), "claude", Readiness.UNKNOWN),
        (overwritten(CLAUDE, CLAUDE.cursor_y - 1, ""), "claude", Readiness.UNKNOWN),
        (overwritten(CLAUDE, CLAUDE.cursor_y + 1, ""), "claude", Readiness.UNKNOWN),
        (overwritten(CLAUDE, CLAUDE.cursor_y + 2, *["a sub-agent"] * 9), "claude", Readiness.UNKNOWN),
        (overwritten(CLAUDE, CLAUDE.cursor_y + 2, "  esc to interrupt"), "claude", Readiness.QUEUES),
        (msgspec.structs.replace(CLAUDE, title="⠂ Claude Code"), "claude", Readiness.QUEUES),
        (msgspec.structs.replace(CODEX, cursor_visible=False), "codex", Readiness.UNKNOWN),
        (overwritten(CODEX, CODEX.cursor_y, "› Ask"), "codex", Readiness.UNKNOWN),
        (msgspec.structs.replace(CODEX, title="[ . ] Action Required | codex"), "codex", Readiness.DIALOG),
        (msgspec.structs.replace(CODEX, title="⠋ codex"), "codex", Readiness.BUSY),
        (with_rows(CODEX), "codex", Readiness.UNKNOWN),
    ],
)
def test_a_box_is_ready_only_when_every_sign_agrees(facts: PaneFacts, profile: str, readiness: Readiness) -> None:
    assert judge(facts, FULL_SCREEN, profile) is readiness


# Flags of tmux.

FLAGS = {
    "dead": Readiness.DEAD,
    "denied": Readiness.DENIED,
    "in_mode": Readiness.MODE,
    "synchronized": Readiness.SYNCHRONIZED,
    "input_off": Readiness.INPUT_OFF,
}


@pytest.mark.parametrize(("flag", "readiness"), FLAGS.items())
@pytest.mark.parametrize(
    ("name", "tty", "profile"),
    [
        ("claude-idle", FULL_SCREEN, "claude"),
        ("cat-idle", a_tty("cat"), ""),
        ("passwd-idle", a_tty("bash", echo=False), "bash"),
        ("bash-idle", AT_PROMPT, "bash"),
    ],
)
def test_a_flag_beats_whatever_the_screen_shows(
    name: str, tty: TtyFacts, profile: str, flag: str, readiness: Readiness
) -> None:
    facts = msgspec.structs.replace(recordings.load(name), **{flag: True})
    assert judge(facts, tty, profile) is readiness


def test_a_dead_pane_is_dead_whatever_else_it_is() -> None:
    assert judge(line_screen("", **dict.fromkeys(FLAGS, True)), None) is Readiness.DEAD


# Programs that read lines.


@pytest.mark.parametrize("prompt", ["", "path: ", "> ", "in[3]: ", "name=", "you> ", "user@host:~$ "])
def test_an_empty_line_or_a_neutral_prompt_reads_lines(prompt: str) -> None:
    assert judge(line_screen(prompt), a_tty("reader")) is Readiness.READS_LINES


@pytest.mark.parametrize(
    "prompt",
    [
        "Do you want to continue? [Y/n] ",
        "Delete everything (y/N): ",
        "Are you sure you want to continue connecting (yes/no/[fingerprint])? ",
        "(1/1) Stage this hunk [y,n,q,a,d,e,?]? ",
        "Package [Y/n/c/e/a/?]: ",
        "What is your name? ",
        "overwrite x: ",
        "Press Enter: ",
        "Continue: ",
        "--More--",
        "#? ",
        "Password: ",
        "Enter passphrase for key: ",
        "PIN: ",
        "Proceed [yes]: ",
        "Enter 'yes' to confirm: ",
        "Confirm: ",
        "Choice [1-3]: ",
        "Delete it [y]: ",
        "(Y)es/(N)o [Yes]: ",
        "Verification code: ",
        "OTP: ",
        "Login: ",
        "Username: ",
        "Enter a value: ",
        "Secret key> ",
    ],
)
def test_a_prompt_that_asks_is_a_dialog_even_forced(prompt: str) -> None:
    readiness = judge(line_screen(prompt), a_tty("reader"))
    assert readiness is Readiness.DIALOG
    assert action_for(readiness, force=True) is Action.REFUSE


def test_a_question_that_is_wrapped_in_a_narrow_pane_is_a_dialog() -> None:
    rows = ("Really delete everything in this folder? [y/", "N] ")
    facts = with_rows(line_screen(""), *rows, width=len(rows[0]), cursor_x=3, cursor_y=1)
    assert judge(facts, a_tty("reader")) is Readiness.DIALOG


def test_a_question_in_an_earlier_line_is_answered_already() -> None:
    facts = with_rows(line_screen(""), "Continue? [y/N] y", "", cursor_x=0, cursor_y=1)
    assert judge(facts, a_tty("reader")) is Readiness.READS_LINES


@pytest.mark.parametrize(
    ("facts", "readiness"),
    [
        (line_screen("hello wor"), Readiness.DRAFT),
        (line_screen("path: /tm"), Readiness.DRAFT),
        (line_screen("path: /tmp", cursor_x=6), Readiness.UNKNOWN),
        (line_screen("", alternate=True), Readiness.UNKNOWN),
    ],
)
def test_a_half_typed_line_is_not_ready(facts: PaneFacts, readiness: Readiness) -> None:
    assert judge(facts, a_tty("reader")) is readiness


@pytest.mark.parametrize(
    ("tty", "readiness"),
    [
        (a_tty("cat", alone=False, reading=True), Readiness.READS_LINES),
        (a_tty("sleep", alone=True, reading=False), Readiness.READS_LINES),
        (a_tty("sleep", alone=False, reading=False), Readiness.NOT_READING),
        (a_tty("bash", shell_in_front=True, alone=True, reading=True), Readiness.READS_LINES),
        (a_tty("bash", shell_in_front=True, alone=True, reading=False), Readiness.NOT_READING),
    ],
)
def test_what_no_program_reads_must_not_reach_a_shell_later(tty: TtyFacts, readiness: Readiness) -> None:
    assert judge(line_screen(""), tty) is readiness


# Shells.


@pytest.mark.parametrize(
    ("changes", "tty", "registered", "readiness"),
    [
        ({}, AT_PROMPT, "", Readiness.SHELL),
        ({}, AT_PROMPT, "claude", Readiness.EXITED),
        ({"shell_is_agent": True}, AT_PROMPT, "claude", Readiness.READS_LINES),
        ({"alternate": True, "shell_is_agent": True}, AT_PROMPT, "", Readiness.UNKNOWN),
        ({}, msgspec.structs.replace(AT_PROMPT, echo=True), "", Readiness.DIALOG),
        ({}, msgspec.structs.replace(AT_PROMPT, canonical=True), "", Readiness.PASSWORD),
    ],
)
def test_a_shell_in_front(changes: dict[str, bool], tty: TtyFacts, registered: str, readiness: Readiness) -> None:
    facts = msgspec.structs.replace(recordings.load("bash-idle"), **changes)
    assert judge(facts, tty, "bash", registered) is readiness


# What is done in each.


def test_every_readiness_has_its_action_and_every_refusal_its_advice() -> None:
    assert set(ACTIONS) == set(Readiness)
    turned_away = {Action.REFUSE, Action.DENY, Action.FAIL, Action.DISMISS}
    assert set(ADVICE) == {readiness for readiness, (plainly, _) in ACTIONS.items() if plainly in turned_away}


@pytest.mark.parametrize("readiness", [Readiness.DIALOG, Readiness.PASSWORD, Readiness.SYNCHRONIZED, Readiness.DEAD])
def test_force_types_into_no_dialog_password_or_dead_pane(readiness: Readiness) -> None:
    assert action_for(readiness, force=True) in {Action.REFUSE, Action.FAIL}


def test_plainly_only_empty_boxes_and_line_readers_are_typed_into() -> None:
    typed = {readiness for readiness in Readiness if action_for(readiness, force=False) in TYPING}
    assert typed == {Readiness.EMPTY_BOX, Readiness.QUEUES, Readiness.READS_LINES}


def test_force_types_wherever_only_a_draft_or_a_program_is_in_the_way() -> None:
    typed = {readiness for readiness in Readiness if action_for(readiness, force=True) in TYPING}
    plainly = {Readiness.EMPTY_BOX, Readiness.QUEUES, Readiness.READS_LINES}
    in_the_way = {Readiness.BUSY, Readiness.DRAFT, Readiness.REPL, Readiness.UNKNOWN}
    assert typed == plainly | in_the_way | {Readiness.SHELL, Readiness.NOT_READING}


def test_a_message_at_a_shell_prompt_is_shown_and_not_typed() -> None:
    assert action_for(Readiness.SHELL, force=False) is Action.DISPLAY
