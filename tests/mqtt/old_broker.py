"""A broker of the time before MQTT 5: a real Mosquitto behind a door that refuses what it doesn't know.

Mosquitto 2.0 has no setting for that. The door answers a CONNECT of another protocol level than 4 by CONNACK 1, as the
standard of 3.1.1 demands (MQTT-3.1.2-2), and passes everything else on. Without TLS: it must see what is said.
"""

import select
import socket
import threading
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Self

LEVEL_3_1_1 = 4
_REFUSED = bytes([0x20, 2, 0, 1])


class OldBroker:
    """The door stands open inside the block."""

    def __init__(self, port: int) -> None:
        class Door(BaseRequestHandler):
            request: socket.socket

            def handle(self) -> None:
                first = self.request.recv(4096)
                start = next(place for place in range(1, 5) if first[place] < 0x80) + 1  # after the length (2.2.3)
                if first[start + 6] != LEVEL_3_1_1:
                    self.request.sendall(_REFUSED)
                    return
                with socket.create_connection(("127.0.0.1", port)) as broker:
                    broker.sendall(first)
                    self._pass_on(broker)

            def _pass_on(self, broker: socket.socket) -> None:
                other = {self.request: broker, broker: self.request}
                while True:
                    for each in select.select(list(other), [], [])[0]:
                        if not (data := each.recv(65536)):
                            return
                        other[each].sendall(data)

        self._server = ThreadingTCPServer(("127.0.0.1", 0), Door)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def port(self) -> int:
        """Where it is to be found."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
