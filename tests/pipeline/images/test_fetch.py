from __future__ import annotations

import pickle
import socket

import pytest

from pipeline.images import connections
from pipeline.images import fetch as module
from pipeline.images.addresses import is_public
from pipeline.images.faults import PASSING, FetchFault
from pipeline.images.fetch import Http, fetch
from tests.pipeline.web import Server, answer, no_web_server

HERE = Http(allow_private_hosts=True, retries=0)
GUARDED = Http(retries=0)


def fault(url, http=HERE, max_bytes=1000):
    with pytest.raises(FetchFault) as caught:
        fetch(url, max_bytes, http)
    return caught.value


def test_a_good_answer_over_a_kept_connection():
    with Server({"/a.jpg": answer(b"picture"), "/b%20%C3%A9.jpg?x=1": answer(b"other")}) as server:
        assert fetch(server.url("/a.jpg#part"), 7, HERE) == b"picture"
        assert fetch(server.url("/b é.jpg?x=1"), 1000, HERE) == b"other"
        assert len(set(server.ports)) == 1
        assert server.agents[0].startswith("LeafInstruct")


def test_statuses():
    with Server({"/404": answer(status=404), "/204": answer(status=204), "/500": answer(status=500)}) as server:
        for status, kind in (("404", "not_found"), ("204", "http_status"), ("500", "server_error")):
            found = fault(server.url(f"/{status}"))
            assert (found.kind, found.detail) == (kind, status)
            assert found.again == (kind in PASSING) == (status == "500")


def test_more_bytes_than_allowed_are_not_read():
    chunked = b"".join(b"64\r\n" + b"x" * 100 + b"\r\n" for _ in range(50)) + b"0\r\n\r\n"
    with Server(
        {"/told": answer(b"x" * 1001), "/untold": answer(chunked, headers=[("Transfer-Encoding", "chunked")])}
    ) as server:
        assert fault(server.url("/told")).kind == "too_many_bytes"
        assert fault(server.url("/untold")).kind == "too_many_bytes"
        assert fetch(server.url("/untold"), 5000, HERE) == b"x" * 5000


def test_a_slow_server():
    quick = Http(allow_private_hosts=True, retries=0, read_timeout=1.0, without_rules=True)
    with Server({"/slow": answer(b"x", wait=30)}) as server:
        assert fault(server.url("/slow"), quick).kind == "timeout"


def test_a_byte_now_and_then_meets_the_deadline():
    drip = Http(allow_private_hosts=True, retries=2, deadline=1.5)
    with Server({"/drip": answer(b"x" * 500, drip=0.1)}) as server:
        assert fault(server.url("/drip"), drip).kind == "timeout"
        assert server.asked == ["/drip"]  # no time left for another try


def test_retries_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "_BACKOFF", 0.01)
    patient = Http(allow_private_hosts=True, retries=2)
    with Server(
        {
            "/a": [answer(status=503), answer(status=500), answer(b"at last")],
            "/b": answer(status=502),
            "/c": answer(status=404),
        }
    ) as server:
        assert fetch(server.url("/a"), 1000, patient) == b"at last"
        assert fault(server.url("/b"), patient).detail == "502"
        assert fault(server.url("/c"), patient).detail == "404"
        assert server.asked == ["/a"] * 3 + ["/b"] * 3 + ["/c"]


def test_redirects_are_followed_a_few_times():
    hops = {f"/{i}": answer(status=302, headers=[("Location", f"/{i + 1}")]) for i in range(5)}
    with Server(
        {
            **hops,
            "/5": answer(b"end"),
            "/odd": answer(status=302, headers=[("Location", "file:///etc/passwd")]),
            "/bad": answer(status=302, headers=[("Location", "http://[x")]),
        }
    ) as server:
        assert fetch(server.url("/2"), 1000, HERE) == b"end"
        assert fault(server.url("/1")).kind == "too_many_redirects"
        assert fault(server.url("/odd")).kind == "refused_host"
        assert fault(server.url("/bad")).kind in ("refused_host", "unreachable")


def test_private_hosts_are_refused_however_they_are_written():
    with Server({}) as server:
        for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0.0.0.0"):
            assert fault(server.url("/", host), GUARDED).kind == "refused_host"
        assert server.asked == []


def test_a_redirect_to_a_private_host_is_refused(monkeypatch):
    """The first host counts as public here: only the check of the second one can refuse it."""
    monkeypatch.setattr(connections, "is_public", lambda address: address == "127.0.0.1")
    with Server({"/away": answer(status=302, headers=[("Location", "http://127.0.0.2:1/secret")])}) as server:
        found = fault(server.url("/away"), GUARDED)
        assert (found.kind, found.detail) == ("refused_host", "127.0.0.2 is 127.0.0.2, not a public address")
        assert server.asked == ["/away"]


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch):
    """A name that resolves to a public address first and to a private one later gains nothing: it is resolved once."""
    asked = []

    def resolve(host, port, *arguments, **options):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(connections.socket, "getaddrinfo", resolve)
    with Server({"/a": answer(b"picture")}) as server:
        assert fetch(server.url("/a", "rebinding.example"), 1000, HERE) == b"picture"
    assert asked.count("rebinding.example") == 1


def test_a_name_without_an_address_is_unreachable(monkeypatch):
    monkeypatch.setattr(connections.socket, "getaddrinfo", lambda *arguments, **options: [])
    with pytest.raises(FetchFault, match="no address") as caught:
        fetch("http://empty.example/a", 1000, HERE)
    assert caught.value.kind == "unreachable"


@pytest.mark.parametrize(
    "value, refused",
    [
        ("noai", True),
        ("NoImageAI, nofollow", True),
        ("noindex", True),
        ("none", True),
        ("nofollow", False),
        ("otherbot: noai", False),
        ("unavailable_after: 25 Jun 2030 15:00:00 PST, noai", True),
        ("all", False),
    ],
)
def test_opt_out(value, refused):
    with Server({"/a": answer(b"picture", headers=[("X-Robots-Tag", "nofollow"), ("X-Robots-Tag", value)])}) as server:
        if refused:
            assert fault(server.url("/a")).kind == "opted_out"
        else:
            assert fetch(server.url("/a"), 1000, HERE) == b"picture"


def test_a_reservation_for_data_mining_is_an_opt_out():
    with Server({"/a": answer(b"picture", headers=[("TDM-Reservation", "1")])}) as server:
        assert fault(server.url("/a")).kind == "opted_out"


def test_nobody_there_and_no_such_host():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert fault(f"http://127.0.0.1:{free.getsockname()[1]}/").kind == "unreachable"
    assert fault("http://nothing.invalid/a.jpg").kind == "unreachable"
    for odd in (
        "http://exa mple.invalid/",
        f"http://{'a' * 70}.invalid/",
        "http://a..invalid/",
        "http://xn--0/",
        "http://xn--i-7iq.invalid/",
        "http://me:secret@a.invalid/",
    ):
        found = fault(odd)
        assert found.kind in ("unreachable", "refused_host") and "secret" not in found.detail


def test_a_broken_body_is_unreachable():
    with Server({"/a": answer(b"short", headers=[("Content-Length", "10"), ("Connection", "close")])}) as server:
        assert fault(server.url("/a")).kind == "unreachable"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/a",
        "http://",
        "http:///a.jpg",
        "a.jpg",
        "http://x.org/\n",
        "http://x.org:port/",
        "https://",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:-1/",
        "http://user@/",
        "http://127.0.0.1/" + "a" * 70_000,
    ],
)
def test_addresses_that_are_none(url):
    assert fault(url).kind == "refused_host"


@pytest.mark.parametrize(
    "address, public",
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("168.63.129.16", False),
        ("100.100.100.200", False),
        ("192.0.0.192", False),
        ("192.0.0.9", False),
        ("192.88.99.1", False),
        ("fd00:ec2::254", False),
        ("fd20:ce::254", False),
        ("fec0::1", False),
        ("feff::1", False),
        ("64:ff9b:1::7f00:1", False),
        ("64:ff9b:1::5db8:d822", False),
        ("64:ff9b::a83f:8110", False),
        ("::127.0.0.1", False),
        ("::7f00:1", False),
        ("::5db8:d822", False),
        ("::ffff:0:7f00:1", False),
        ("::ffff:0:5db8:d822", False),
        ("::ffff:7f00:1", False),
        ("::ffff:a9fe:a9fe", False),
        ("::ffff:93.184.216.34", True),
        ("0:0:0:0:0:ffff:127.0.0.1", False),
        ("2002:a83f:8110::", False),
        ("2002:5db8:d822::", True),
        ("2001:0:5db8:d822::1", False),
        ("2001:db8::1", False),
        ("3fff::1", False),
        ("5f00::1", False),
        ("ff02::1", False),
        ("4000::1", False),
        ("2606:2800::5efe:7f00:1", False),
        ("2606:2800::200:5efe:a00:1", False),
        ("2606:2800::5efe:5db8:d822", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:7f00:1::", False),
        ("255.255.255.255", False),
    ],
)
def test_public_addresses(address, public):
    assert is_public(address) is public


@pytest.mark.parametrize(
    "host",
    [
        "[::127.0.0.1]",
        "[::ffff:0:7f00:1]",
        "[::ffff:7f00:1]",
        "[fec0::1]",
        "[64:ff9b:1::7f00:1]",
        "[fd00:ec2::254]",
        "168.63.129.16",
        "192.0.0.192",
        "100.100.100.200",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
    ],
)
def test_addresses_that_only_a_cloud_answers_are_not_dialled(monkeypatch, host):
    def dialled(*_, **__):
        raise AssertionError("dialled")

    monkeypatch.setattr(connections.httpcore.SyncBackend, "connect_tcp", dialled)
    assert fault(f"http://{host}/latest/meta-data/", GUARDED).kind == "refused_host"


def test_a_password_goes_nowhere():
    with Server(
        {
            "/a": answer(status=302, headers=[("Location", "/b")]),
            "/b": answer(b"x"),
            "/c": answer(status=302, headers=[("Location", "http://me:secret@127.0.0.1:1/x")]),
        }
    ) as server:
        for url in (server.url("/a", "me:secret@127.0.0.1"), server.url("/c"), server.url("/a", "me@127.0.0.1")):
            found = fault(url)
            assert found.kind == "refused_host" and "secret" not in str(found)
        assert server.asked == ["/c"]


def test_what_a_server_says_is_not_quoted():
    with no_web_server() as url:
        found = fault(url)
        assert found.kind == "unreachable" and "SSH" not in found.detail and len(found.detail) < 300


def test_faults_and_settings_travel():
    found = pickle.loads(pickle.dumps(FetchFault("timeout", "x", again=True, wait=2.0)))
    assert (found.kind, found.detail, found.again, found.wait) == ("timeout", "x", True, 2.0)
    assert pickle.loads(pickle.dumps(HERE)) == HERE
