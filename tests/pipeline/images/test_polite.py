"""What is asked of whom, how often, and what is not: against a server on the loopback."""

from __future__ import annotations

import concurrent.futures
import email.utils
import gzip
import json
import os
import time

import pytest

from pipeline.images import connections, hosts
from pipeline.images import fetch as module
from pipeline.images.faults import FetchFault
from pipeline.images.fetch import Http, agent, fetch
from tests.pipeline.web import RULES, Server, answer

HERE = Http(allow_private_hosts=True, retries=0)
TDM = "/.well-known/tdmrep.json"


def end(url, http=HERE):
    """`fetched`, or the fault's kind."""
    try:
        fetch(url, 1000, http)
    except FetchFault as fault:
        return fault.kind
    return "fetched"


def test_a_hosts_rules_are_asked_for_once_and_before_its_images():
    with Server({f"/{n}.jpg": answer(b"x") for n in range(5)}) as server:
        with concurrent.futures.ThreadPoolExecutor(5) as threads:
            ends = list(threads.map(lambda n: end(server.url(f"/{n}.jpg")), range(5)))
        assert ends == ["fetched"] * 5 and server.rules == list(RULES)


def test_robots_txt_is_obeyed():
    robots = b"User-agent: *\nDisallow: /private/\n"
    with Server({"/robots.txt": answer(robots), "/a.jpg": answer(b"x"), "/private/a.jpg": answer(b"x")}) as server:
        assert end(server.url("/a.jpg")) == "fetched"
        assert end(server.url("/private/a.jpg")) == "robots"
        assert server.asked == ["/a.jpg"]


def test_what_a_host_sends_compressed_without_being_asked_is_decompressed():
    """As stores of static files do: a robots.txt that looked like noise allowed everything."""
    gz = [("Content-Encoding", "gzip")]
    answers = {"/robots.txt": answer(gzip.compress(b"User-agent: *\nDisallow: /no/"), headers=gz),
               "/a.jpg": answer(gzip.compress(b"x"), headers=gz), "/plain.jpg": answer(b"as it is", headers=gz),
               "/bomb.jpg": answer(gzip.compress(bytes(1001)), headers=gz)}  # fmt: skip
    with Server(answers) as server:
        assert end(server.url("/no/a.jpg")) == "robots"
        assert fetch(server.url("/a.jpg"), 1000, HERE) == b"x"
        assert fetch(server.url("/plain.jpg"), 1000, HERE) == b"as it is"
        assert end(server.url("/bomb.jpg")) == "too_many_bytes"
    for name, body in (("gzip", b"\xff\xfe"), ("of-its-own", b"#")):
        rules = answer(body, headers=[("Content-Encoding", name)])
        with Server({"/robots.txt": rules, "/a.jpg": answer(b"x")}) as server:
            assert end(server.url("/a.jpg")) == "rules_unreachable" and server.asked == []
    rules = answer(b"User-agent: *\nDisallow: /no/", headers=[("Content-Encoding", "utf-8")])
    with Server({"/robots.txt": rules, "/a.jpg": answer(b"x")}) as server:
        assert (end(server.url("/a.jpg")), end(server.url("/no/a.jpg"))) == ("fetched", "robots")


def test_rules_that_break_their_reader_end_the_image_alone(monkeypatch):
    endless = answer(b"User-agent: *\nRequest-rate: 5/" + b"9" * 400)
    with Server({"/robots.txt": endless, "/a.jpg": answer(b"x")}) as server:
        assert end(server.url("/a.jpg")) == "robots" and server.asked == []
    monkeypatch.setattr(module.reservations, "rules", lambda robots, tdm: {}["a bug of the parser"])
    with Server({"/a.jpg": answer(b"x")}) as server:
        assert end(server.url("/a.jpg")) == "rules_unreachable" and server.asked == []


def test_a_redirect_does_not_lead_around_robots_txt_or_the_opt_out_list(tmp_path):
    with Server({"/robots.txt": answer(b"User-agent: *\nDisallow: /b.jpg"), "/b.jpg": answer(b"x")}) as other:
        moved = answer(status=302, headers=[("Location", other.url("/b.jpg"))])
        listed = answer(status=302, headers=[("Location", other.url("/c.jpg", "localhost"))])
        (tmp_path / "list").write_text("localhost\n")
        with Server({"/a.jpg": moved, "/l.jpg": listed}) as server:
            assert end(server.url("/a.jpg")) == "robots"
            http = Http(allow_private_hosts=True, retries=0, opt_outs=str(tmp_path / "list"))
            assert end(server.url("/l.jpg"), http) == "opt_out_list"
        assert other.asked == []


def test_a_robots_txt_that_moved_is_followed_and_one_that_is_not_there_allows():
    moved = answer(status=301, headers=[("Location", "/new-robots.txt")])
    with Server({"/robots.txt": moved, "/new-robots.txt": answer(b"User-agent: *\nDisallow: /")}) as server:
        assert end(server.url("/a.jpg")) == "robots"
    for status in (403, 404, 410):
        with Server({"/robots.txt": answer(status=status), "/a.jpg": answer(b"x")}) as server:
            assert end(server.url("/a.jpg")) == "fetched"


def test_of_a_long_robots_txt_the_beginning_counts():
    long = b"User-agent: *\nDisallow: /private/\n" + b"# nothing\n" * 60_000
    with Server({"/robots.txt": answer(long), "/a.jpg": answer(b"x")}) as server:
        assert end(server.url("/private/a.jpg")) == "robots"
        assert end(server.url("/a.jpg")) == "fetched"


@pytest.mark.parametrize("path", RULES)
@pytest.mark.parametrize("failing", [answer(status=503), answer(status=429), answer(b"x", wait=30)])
def test_where_rules_cannot_be_had_the_setting_decides(path, failing):
    refusing = Http(allow_private_hosts=True, retries=0, read_timeout=1.0)
    willing = Http(allow_private_hosts=True, retries=0, read_timeout=1.0, without_rules=True)
    with Server({path: failing, "/a.jpg": answer(b"x")}) as server:
        assert [end(server.url("/a.jpg"), refusing) for _ in range(2)] == ["rules_unreachable"] * 2
        assert server.asked == [] and server.rules.count(path) == 1
        assert end(server.url("/a.jpg"), willing) == "fetched"


def test_rules_that_fail_for_a_moment_are_asked_for_again(monkeypatch):
    monkeypatch.setattr(module, "_BACKOFF", 0.01)
    with Server({"/robots.txt": [answer(status=503), answer(b"")], "/a.jpg": answer(b"x")}) as server:
        assert end(server.url("/a.jpg"), Http(allow_private_hosts=True, retries=1)) == "fetched"


def test_tdmreps_file_is_obeyed():
    rules = [{"location": "/free/*", "tdm-reservation": 0}, {"location": "/*.jpg$", "tdm-reservation": 1}]
    with Server(
        {TDM: answer(json.dumps(rules).encode()), "/free/a.jpg": answer(b"x"), "/a.png": answer(b"x")}
    ) as server:
        assert end(server.url("/free/a.jpg")) == end(server.url("/a.png")) == "fetched"
        assert end(server.url("/a.jpg")) == "opted_out"
        assert "/a.jpg" not in server.asked


def test_the_opt_out_list_keeps_every_request_from_a_host(tmp_path):
    (tmp_path / "list").write_text("127.0.0.1\n")
    with Server({"/a.jpg": answer(b"x")}) as server:
        http = Http(allow_private_hosts=True, opt_outs=str(tmp_path / "list"))
        assert end(server.url("/a.jpg"), http) == "opt_out_list"
        assert server.asked == server.rules == []


def test_the_agent_says_who_we_are_and_how_to_reach_us():
    http = Http(allow_private_hosts=True, user_agent=agent("crawl@example.org"))
    with Server({"/a.jpg": answer(b"x")}) as server:
        assert end(server.url("/a.jpg"), http) == "fetched"
        assert set(server.agents) == {agent("crawl@example.org")}
    assert agent("crawl@example.org").startswith("LeafInstruct ") and "crawl@example.org" in agent("crawl@example.org")


@pytest.mark.parametrize("per_host", [1, 3])
def test_a_host_gets_so_many_requests_at_once_and_another_is_not_held_up(per_host):
    http = Http(allow_private_hosts=True, retries=0, per_host=per_host)
    answers = {f"/{n}.jpg": answer(b"x", wait=0.1) for n in range(9)}
    with Server(answers) as slow, Server({"/a.jpg": answer(b"x")}) as quick:
        with concurrent.futures.ThreadPoolExecutor(10) as threads:
            ends = [threads.submit(end, slow.url(f"/{n}.jpg"), http) for n in range(9)]
            assert end(quick.url("/a.jpg"), http) == "fetched"
            assert not all(one.done() for one in ends)
            assert [one.result() for one in ends] == ["fetched"] * 9
        assert slow.most == per_host


def test_waiting_for_ones_turn_takes_no_time_of_the_deadline():
    http = Http(allow_private_hosts=True, retries=0, per_host=1, deadline=2.0)
    with Server({f"/{n}.jpg": answer(b"x", wait=0.5) for n in range(6)}) as server:
        with concurrent.futures.ThreadPoolExecutor(6) as threads:
            ends = list(threads.map(lambda n: end(server.url(f"/{n}.jpg"), http), range(6)))
        assert ends == ["fetched"] * 6


class StillClock:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now, self.slept = 1000.0, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.slept.append(round(seconds, 3))


@pytest.mark.parametrize("robots, pause", [(b"", 0.2), (b"User-agent: *\nCrawl-delay: 0.3", 0.3)])
def test_there_is_a_pause_between_two_requests_the_longer_one_of_ours_and_the_hosts(monkeypatch, robots, pause):
    still = StillClock()
    monkeypatch.setattr(hosts, "time", still)
    with Server({f"/{n}.jpg": answer(b"x") for n in range(3)} | {"/robots.txt": answer(robots)}) as server:
        for n in range(3):
            assert end(server.url(f"/{n}.jpg"), Http(allow_private_hosts=True, retries=0, delay=0.2)) == "fetched"
    assert [seconds for seconds in still.slept if seconds] == [pause, pause]


def test_a_host_that_wants_longer_pauses_than_the_deadline_is_not_asked():
    with Server({"/robots.txt": answer(b"User-agent: *\nCrawl-delay: 3600")}) as server:
        assert end(server.url("/a.jpg")) == "robots" and server.asked == []


@pytest.mark.parametrize("date", [False, True])
def test_retry_after_is_waited_for_where_there_is_time(date):
    wait = email.utils.formatdate(time.time() + 3, usegmt=True) if date else "1"
    busy = answer(status=429, headers=[("Retry-After", wait)])
    with Server({"/a.jpg": [busy, answer(b"x")], "/b.jpg": answer(b"x")}) as server:
        began = time.monotonic()
        assert end(server.url("/a.jpg"), Http(allow_private_hosts=True, retries=1)) == "fetched"
        assert time.monotonic() - began >= 0.9


def test_a_long_retry_after_ends_the_asking_of_that_host_at_once():
    """The image fails, and so do the host's others, without a request; one of another host does not."""
    busy = answer(status=503, headers=[("Retry-After", "3600")])
    http = Http(allow_private_hosts=True, retries=2)
    with Server({"/a.jpg": busy, "/b.jpg": answer(b"x")}) as server, Server({"/c.jpg": answer(b"x")}) as other:
        assert end(server.url("/a.jpg"), http) == "server_error"
        assert end(server.url("/b.jpg"), http) == "too_many_requests"
        assert end(other.url("/c.jpg"), http) == "fetched"
        assert server.asked == ["/a.jpg"]


@pytest.mark.parametrize("odd", ["soon", "-5", "1e9", "", "²", "Fri, 99 Foo 2030 25:00:00 GMT"])
def test_a_retry_after_that_means_nothing_is_none(odd, monkeypatch):
    monkeypatch.setattr(module, "_BACKOFF", 0.01)
    busy = answer(status=429, headers=[("Retry-After", odd.encode().decode("latin-1"))])
    with Server({"/a.jpg": [busy, answer(b"x")]}) as server:
        assert end(server.url("/a.jpg"), Http(allow_private_hosts=True, retries=1)) == "fetched"


def test_a_private_host_is_not_even_asked_for_its_rules():
    with Server({"/a.jpg": answer(b"x")}) as server:
        assert end(server.url("/a.jpg"), Http(retries=0)) == "refused_host"
        assert server.rules == server.asked == []


def test_no_image_waits_for_a_connection_while_its_own_time_goes_by():
    """An engine has 12 threads a process, and each of them `images.workers` for stages: a third of 96 were timeouts."""
    assert connections.pool(True, os.getpid())._max_connections >= 12 * 2 * 32
