"""A real web server on the loopback that answers as told."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import socket
import threading


@dataclasses.dataclass(frozen=True)
class Answer:
    body: bytes
    status: int
    headers: tuple[tuple[str, str], ...]
    wait: float  # seconds before the first byte
    drip: float  # seconds between the bytes of the body; 0 sends it at once


def answer(body=b"", status=200, headers=(), wait=0.0, drip=0.0):
    return Answer(body, status, tuple(headers), wait, drip)


_used: set[int] = set()


def _at_a_new_port(handler) -> http.server.ThreadingHTTPServer:
    """A server at a port that this process has not used: what it knows about a host, it knows by name and port."""
    for _ in range(1000):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if (port := server.server_address[1]) not in _used:
            _used.add(port)
            return server
        server.server_close()
    raise AssertionError("no port is left")


RULES = ("/robots.txt", "/.well-known/tdmrep.json")


class Server:
    """`answers`: path -> Answer, or a list of which each request takes one; RULES are not there unless given. `asked`
    holds the other paths in order, `rules` those of RULES, `ports` the client's port of each request, `agents` its
    User-Agent, `most` how many requests there were at once."""

    def __init__(self, answers):
        self.answers, self.asked, self.rules, self.ports, self.agents = answers, [], [], [], []
        self.most, self.now, self.lock = 0, 0, threading.Lock()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                (server.rules if self.path in RULES else server.asked).append(self.path)
                server.ports.append(self.client_address[1])
                server.agents.append(self.headers["User-Agent"])
                found = server.answers.get(self.path, answer(status=404)) if self.path in RULES else None
                found = found or server.answers[self.path]
                found = found.pop(0) if isinstance(found, list) else found
                with server.lock:
                    server.now += 1
                    server.most = max(server.most, server.now)
                server.stopped.wait(found.wait)
                with server.lock:  # before the answer: whoever has it may send the next request
                    server.now -= 1
                try:
                    self.reply(found)
                except (BrokenPipeError, ConnectionResetError):  # the client has had enough
                    self.close_connection = True

            def reply(self, found):
                self.send_response(found.status)
                names = {name.lower() for name, _ in found.headers}
                for name, value in found.headers:
                    self.send_header(name, value)
                if "transfer-encoding" not in names and "content-length" not in names:
                    self.send_header("Content-Length", str(len(found.body)))
                self.end_headers()
                if not found.drip:
                    self.wfile.write(found.body)
                    return
                for byte in found.body:
                    self.wfile.write(bytes([byte]))
                    if server.stopped.wait(found.drip):
                        return

            def log_message(self, *arguments):
                pass

        self.httpd = _at_a_new_port(Handler)
        self.httpd.daemon_threads = True
        self.stopped = threading.Event()

    def url(self, path, host="127.0.0.1"):
        return f"http://{host}:{self.httpd.server_address[1]}{path}"

    def __enter__(self):
        threading.Thread(target=self.httpd.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.httpd.shutdown()
        self.httpd.server_close()


@contextlib.contextmanager
def no_web_server():
    """The address of something that greets one caller, but speaks no HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()
