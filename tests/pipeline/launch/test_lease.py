"""Leases on folders in object stores, on emulators of both; the clock is the test's own."""

from __future__ import annotations

import itertools
import json
import threading

import pytest

from pipeline.launch import lease as leases
from pipeline.launch.lease import EVERY, LIFE, SKEW, Held, Lease, leased
from pipeline.launch.lock import exclusive_lock
from pipeline.storage import remote
from pipeline.storage.files import write_bytes
from schemas.errors import ServiceError, UserError
from tests.pipeline.storage.conftest import store  # noqa: F401

_numbers = itertools.count()


class Clock:
    """A clock that the test sets."""

    def __init__(self, now: float = 1_800_000_000.0):
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(store):  # noqa: F811
    return f"{store}/out-{next(_numbers)}"


@pytest.fixture
def clock():
    return Clock()


def said(folder: str) -> dict:
    return json.loads(remote.get(f"{folder}/.lease"))


def test_a_live_lease_refuses_another_run_and_says_who_holds_it_until_when(folder, clock):
    Lease(folder, "first", clock).take()
    with pytest.raises(
        Held, match=r"run first \(process \d+ on \S+\) is using .*/out-\d+.*until 2027-01-15 08:02:00 UTC"
    ):
        Lease(folder, "second", clock).take()
    assert said(folder)["run"] == "first"


def test_a_lease_is_gone_at_the_end_and_the_folder_free(folder):
    with exclusive_lock(f"{folder}/", folder, run="first") as check:
        check()
        assert said(folder)["run"] == "first"
        with pytest.raises(UserError, match="run first"), exclusive_lock(folder, run="second"):
            raise AssertionError("not alone")
    assert not remote.exists(f"{folder}/.lease")
    with exclusive_lock(folder, run="second"):
        assert said(folder)["run"] == "second"


def test_a_refused_run_leaves_its_other_folder_free(folder):
    work = f"{folder}/work"
    with exclusive_lock(folder, run="first"), pytest.raises(Held):
        with exclusive_lock(work, folder, run="second"):
            raise AssertionError("not alone")
    assert not remote.exists(f"{work}/.lease")


def test_a_renewed_lease_is_never_taken_over(folder, clock):
    first, second = Lease(folder, "first", clock), Lease(folder, "second", clock)
    first.take()
    for _ in range(10):
        clock.now += EVERY
        first.renew()
        with pytest.raises(Held):
            second.take()


def test_a_lease_that_was_not_renewed_is_taken_over_when_clocks_may_not_be_the_reason(folder, clock):
    first, second = Lease(folder, "first", clock), Lease(folder, "second", clock)
    first.take()
    clock.now += LIFE + SKEW - 1
    with pytest.raises(Held):
        second.take()
    clock.now += 1
    second.take()
    assert said(folder)["run"] == "second"


def test_a_launcher_that_wakes_up_after_a_takeover_is_told_and_leaves_the_others_lease_alone(folder, clock):
    first, second = Lease(folder, "first", clock), Lease(folder, "second", clock)
    first.take()
    clock.now += LIFE + SKEW
    second.take()
    for ask in (first.check, first.renew, first.check):
        with pytest.raises(ServiceError, match=r"lost its lease on .*: run second .* has taken it.*nothing more is"):
            ask()
    first.give_back()
    assert said(folder)["run"] == "second"
    second.renew()


def test_a_launcher_that_wakes_up_after_the_other_has_ended_is_told_too(folder, clock):
    first, second = Lease(folder, "first", clock), Lease(folder, "second", clock)
    first.take()
    clock.now += LIFE + SKEW
    second.take()
    second.give_back()
    with pytest.raises(ServiceError, match="lost its lease"):
        first.check()
    assert not remote.exists(f"{folder}/.lease")


def test_a_launcher_that_wakes_up_before_anybody_came_goes_on(folder, clock):
    first = Lease(folder, "first", clock)
    first.take()
    clock.now += 10 * LIFE
    first.check()
    with pytest.raises(Held):
        Lease(folder, "second", clock).take()


def test_a_clock_that_is_far_ahead_costs_the_holder_its_run_but_never_lets_both_publish(folder, clock):
    first, second = Lease(folder, "first", clock), Lease(folder, "second", Clock(clock.now + 3600))
    first.take()
    second.take()
    clock.now += EVERY
    with pytest.raises(ServiceError, match="lost its lease"):
        first.renew()
    second.renew()


def test_a_launcher_whose_clock_stood_still_with_it_is_told(folder, clock, monkeypatch):
    """A machine that was stopped for a while may go on with the time at which it was stopped."""
    first, second = Lease(folder, "first", clock), Lease(folder, "second", Clock(clock.now + LIFE + SKEW))
    first.take()
    first.check()
    second.take()
    first._renewed -= leases.FRESH
    with pytest.raises(ServiceError, match="run second .* has taken it"):
        first.check()


def test_a_renewal_holds_from_when_it_is_written(folder, clock, monkeypatch):
    first = Lease(folder, "first", clock)
    first.take()
    read = first._read

    def slowly():
        clock.now += LIFE
        return read()

    monkeypatch.setattr(first, "_read", slowly)
    first.renew()
    assert said(folder)["until"] == clock.now + LIFE
    first.check()


@pytest.mark.parametrize("expired", [False, True], ids=["a free folder", "an expired lease"])
def test_of_many_launchers_at_once_one_gets_the_folder(folder, clock, expired):
    if expired:
        Lease(folder, "dead", clock).take()
        clock.now += LIFE + SKEW
    got, refused, together = [], [], threading.Barrier(6)

    def launch(run: str) -> None:
        together.wait()
        try:
            Lease(folder, run, clock).take()
            got.append(run)
        except Held:
            refused.append(run)

    threads = [threading.Thread(target=launch, args=(f"run-{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1 and len(refused) == 5
    assert said(folder)["run"] == got[0]


def test_a_takeover_between_reading_and_writing_is_noticed(folder, clock, monkeypatch):
    first, second = Lease(folder, "first", clock), Lease(folder, "second", clock)
    first.take()
    clock.now += LIFE + SKEW
    plain = remote.replace

    def late(url, data, version):
        monkeypatch.setattr(remote, "replace", plain)
        second.take()
        plain(url, data, version)

    monkeypatch.setattr(remote, "replace", late)
    with pytest.raises(ServiceError, match="run second .* has taken it"):
        first.renew()
    assert said(folder)["run"] == "second"


def test_a_write_whose_reply_was_lost_counts(folder, clock, monkeypatch):
    """The client writes again, and the store refuses that: the object is no longer the one that was read."""
    plain = {name: getattr(remote, name) for name in ("put_if_absent", "replace")}

    def twice(name):
        def write(*arguments):
            plain[name](*arguments)
            plain[name](*arguments)

        return write

    for name in plain:
        monkeypatch.setattr(remote, name, twice(name))
    lease = Lease(folder, "first", clock)
    lease.take()
    clock.now += EVERY
    lease.renew()
    lease.check()
    assert said(folder)["until"] == clock.now + LIFE


def test_a_thread_renews_the_lease_and_survives_a_store_that_fails_for_a_while(folder, monkeypatch):
    fails, renewed = threading.Event(), threading.Event()
    plain = remote.replace

    def replace(url, data, version):
        if not fails.is_set():
            fails.set()
            raise ServiceError("the store is down")
        plain(url, data, version)
        renewed.set()

    monkeypatch.setattr(remote, "replace", replace)
    with leased(folder, "first", seconds=0.02) as lease:
        before = said(folder)["until"]
        assert renewed.wait(20)
        lease.check()
        assert said(folder)["until"] > before


def test_a_store_without_conditional_writes_is_named(folder, clock, monkeypatch, caplog):
    monkeypatch.setattr(remote, "put_if_absent", write_bytes)
    Lease(folder, "first", clock).take()
    assert "without conditional writes" in caplog.text


def test_something_else_under_the_name_of_the_lease_is_left_alone(folder, clock):
    write_bytes(f"{folder}/.lease", b"[1]")
    with pytest.raises(UserError, match="is not a lease that this version can read"):
        Lease(folder, "first", clock).take()
    assert remote.get(f"{folder}/.lease") == b"[1]"


def test_changing_hands_all_the_time_is_not_waited_for(folder, clock, monkeypatch):
    def never(*_):
        raise FileExistsError

    monkeypatch.setattr(remote, "put_if_absent", never)
    with pytest.raises(ServiceError, match="changes hands"):
        Lease(folder, "first", clock).take()


def test_a_holder_that_may_still_hold_asks_the_store_nothing(folder, clock, monkeypatch):
    lease = Lease(folder, "first", clock)
    lease.take()
    monkeypatch.setattr(leases, "remote", None)
    clock.now += LIFE - 1
    lease.check()
