"""A mock model server on loopback: answers any of the programs, and records what each was told by its user.

A program: `python -m tests.clis.model_server FOLDER` listens on `PORT` and writes each request to `FOLDER/requests`, a
line of JSON each. Words in the user's newest turn say how it answers; a slow answer and an overload go on until
`FOLDER/hurry` exists. While `FOLDER/follow` exists, it runs the commands that it is told of instead.
"""

import json
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.clis.dialects import DIALECTS, Asked, Call, Dialect, Json, Parts, example_call
from tests.clis.follower import next_command

PORT = 8930
MARK = "tool-was-run"
"""A file that the called tool makes in the program's working directory."""
COMMAND = f"touch {MARK}"
SHELL_TOOLS = ("Bash", "bash", "exec_command", "shell_command", "shell", "run_shell_command")
QUESTION_TOOLS = ("AskUserQuestion", "ask_user_question", "ask_user", "question", "request_user_input")

QUOTED_DIALOG = """\
The screen then showed this:

────────────────────────────────────────
 Bash command

   rm -rf build
   Remove the build folder

 Do you want to proceed?
 ❯ 1. Yes
   2. Yes, and don't ask again for rm commands in this folder
   3. No, and tell it what to do differently (esc)

 Esc to cancel · Tab to amend

and it waited there: Allow once, Allow always, Reject, (Y)es/(N)o [Yes]:"""

_LONGEST_WAIT = 120.0
_PAUSE = 0.25


class Fails(Exception):
    """The server answers with an HTTP error."""

    def __init__(self, status: int) -> None:
        self.status = status


class Model:
    """Decides what is answered."""

    def __init__(self, folder: Path) -> None:
        self._hurry = folder / "hurry"
        self._follow = folder / "follow"

    def answer(self, asked: Asked) -> Parts:
        """Return the parts of an answer; raise Fails where there is to be none."""
        if self._follow.exists():
            command = next_command(asked.told, asked.calls) if asked.tools else ""
            return self._call(asked, SHELL_TOOLS, command) if command else ["All is done."]
        words = " ".join(asked.turns[-1]) if asked.turns else ""
        if asked.is_result:
            return ["The tool has answered."]
        if "please-fail" in words:
            raise Fails(400)
        if "please-be-overloaded" in words and not self._hurry.exists():
            raise Fails(503)
        if "please-be-slow" in words:
            return self._slowly()
        if "please-run-a-tool" in words:
            return self._call(asked, SHELL_TOOLS) or [f"Run this:\n\n```bash\n{COMMAND}\n```\n"]
        if "please-ask-me" in words:
            return self._call(asked, QUESTION_TOOLS) or ["I have no questions."]
        if "please-quote-a-dialog" in words:
            return [QUOTED_DIALOG]
        return ["Noted."]

    def _call(self, asked: Asked, names: tuple[str, ...], command: str = "") -> Parts:
        for name in names:
            if name in asked.tools:
                arguments = example_call(asked.tools[name], command or COMMAND, escalates=not command)
                return [Call(name, arguments)]
        return []

    def _slowly(self) -> Iterator[str]:
        until = time.monotonic() + _LONGEST_WAIT
        yield "Thinking"
        while not self._hurry.exists() and time.monotonic() < until:
            time.sleep(_PAUSE)
            yield "."
        yield " done."


class Server(ThreadingHTTPServer):
    """Listens on loopback alone."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int = PORT) -> None:
        super().__init__(("127.0.0.1", port), Conversation)
        self.model = Model(folder)
        self._requests = folder / "requests"

    def record(self, path: str, asked: Asked) -> None:
        line = json.dumps({"path": path, "turns": asked.turns, "tools": sorted(asked.tools)})
        with self._requests.open("a") as file:
            file.write(f"{line}\n")


class Conversation(BaseHTTPRequestHandler):
    """One connection."""

    server: Server

    def do_GET(self) -> None:
        models = [{"id": "mock", "object": "model", "name": "models/mock"}]
        self._say(200, {"object": "list", "data": models, "models": models})

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        dialect = next((DIALECTS[ending] for ending in DIALECTS if path.endswith(ending)), None)
        if dialect is None:
            self._say(200, {"input_tokens": 1, "totalTokens": 1})
            return
        asked = dialect.read(body)
        self.server.record(path, asked)
        try:
            parts = self.server.model.answer(asked)
        except Fails as error:
            kind = "api_error" if error.status > 500 else "invalid_request_error"
            self._say(error.status, {"type": "error", "error": {"type": kind, "message": "as you asked", "code": kind}})
            return
        if asked.streams:
            self._stream(dialect, parts)
        else:
            self._say(200, dialect.whole("".join(part for part in parts if isinstance(part, str))))

    def _stream(self, dialect: Dialect, parts: Parts) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for event, data in dialect.stream(parts):
            name = f"event: {event}\n" if event else ""
            said = data if isinstance(data, str) else json.dumps(data)
            try:
                self.wfile.write(f"{name}data: {said}\n\n".encode())
                self.wfile.flush()
            except ConnectionError:
                return  # the program was told to stop

    def _say(self, status: int, body: Json) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing: standard error is for what goes wrong."""


if __name__ == "__main__":
    with Server(Path(sys.argv[1])) as server:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        server.serve_forever()
