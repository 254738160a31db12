"""A real Mosquitto of a test's own: on a free loopback port, with TLS, passwords, an ACL, all below a folder."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.eventually import eventually
from tests.mqtt.certificates import Authority

STOP_SECONDS = 10.0
PEOPLE = ("home", "worker", "observer")
"""Users; each one's password is ``<name>-secret``."""
ACL = """\
user home
topic readwrite python/mqtt/jobs/+/events
user worker
topic write python/mqtt/jobs/+/events
user observer
topic read python/mqtt/jobs/+/events
"""
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


class Mosquitto:
    """The broker runs from ``start`` on; ``end`` stops it, by its pid."""

    def __init__(self, folder: Path, name: str = "broker", **settings: str) -> None:
        self.folder = folder / name
        self.folder.mkdir(mode=0o700)
        self.port = _free_port()
        self.authority = Authority(self.folder / "pki")
        certificate, key = self.authority.issue("server")
        self._settings = {
            "allow_anonymous": "false",
            "password_file": str(self.folder / "passwords"),
            "acl_file": str(self.folder / "acl"),
            "persistence": "false",
            "cafile": str(self.authority.path),
            "certfile": str(certificate),
            "keyfile": str(key),
            **settings,
        }
        self.use_acl(ACL)
        for number, person in enumerate(PEOPLE):
            self._password(person, f"{person}-secret", first=number == 0)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What the broker has said."""
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def use_acl(self, text: str) -> None:
        """Write the ACL, which holds from the next start, or `reload`."""
        (self.folder / "acl").write_text(text)
        (self.folder / "acl").chmod(0o600)

    def set(self, **settings: str) -> None:
        """Change settings, which hold from the next start."""
        self._settings |= settings

    def start(self) -> "Mosquitto":
        """Run it, and wait until it listens."""
        kept = {name: self._settings.pop(name) for name in list(self._settings) if name.startswith("persist")}
        # Everything but what is kept belongs to the one listener.
        lines = [f"{name} {value}" for name, value in kept.items()]
        lines += [f"persistence_location {self.folder}/", "autosave_interval 1"]
        lines += ["user root", "log_type all", f"listener {self.port} 127.0.0.1"]
        lines += [f"{name} {value}" for name, value in self._settings.items() if value]
        self._settings |= kept
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text("\n".join(lines) + "\n")
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [shutil.which("mosquitto", path=PATH) or "mosquitto", "-c", str(configuration)], stdout=log, stderr=log
            )
        eventually(self._listens, "the broker listens", lambda: self.log)
        return self

    def reload(self) -> None:
        """Have it go by the ACL that is written now."""
        seen = self.log.count("Reloading config")
        os.kill(self.pid, signal.SIGHUP)
        eventually(lambda: self.log.count("Reloading config") > seen, "it has read its settings", lambda: self.log)

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(STOP_SECONDS)

    def end(self) -> None:
        """Stop it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            finally:
                self.kill()

    @property
    def pid(self) -> int:
        """The broker's process."""
        assert self._process is not None
        return self._process.pid

    def environment(self, person: str = "home", **others: str) -> dict[str, str]:
        """Return what a user sets to use this broker."""
        return {
            "MQTT_BROKER": "127.0.0.1",
            "MQTT_PORT": str(self.port),
            "MQTT_TLS": "1",
            "MQTT_CA_CERTS": str(self.authority.path),
            "MQTT_USERNAME": person,
            "MQTT_PASSWORD": f"{person}-secret",
            **others,
        }

    def client(self, program: str, person: str, *words: str) -> Sequence[str]:
        """Return the command line of mosquitto_pub or mosquitto_sub."""
        return [
            *(program, "-h", "127.0.0.1", "-p", str(self.port), "--cafile", str(self.authority.path)),
            *("-u", person, "-P", f"{person}-secret", *words),
        ]

    def _password(self, person: str, password: str, *, first: bool) -> None:
        flags = ("-c", "-b") if first else ("-b",)
        subprocess.run(
            ["mosquitto_passwd", *flags, self.folder / "passwords", person, password],
            check=True,
            capture_output=True,
        )

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Environment = Mapping[str, str]
