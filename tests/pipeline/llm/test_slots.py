"""Slots for questions in flight: as many as the limit says, in turn, and none is lost when a question is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.llm.slots import Slots


async def _ask(slots: Slots, done: list[str], name: str, answered: asyncio.Event) -> None:
    async with slots:
        done.append(name)
        await answered.wait()


async def _settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_those_who_wait_are_served_in_turn_and_never_more_than_the_limit():
    async def scene() -> None:
        slots, asked = Slots(2), []
        answers = [asyncio.Event() for _ in range(4)]
        tasks = [asyncio.create_task(_ask(slots, asked, str(i), answers[i])) for i in range(4)]
        await _settled()
        assert asked == ["0", "1"]
        answers[1].set()
        await _settled()
        assert asked == ["0", "1", "2"]
        for answer in answers:
            answer.set()
        await asyncio.gather(*tasks)
        assert asked == ["0", "1", "2", "3"]

    asyncio.run(scene())


@pytest.mark.parametrize("when", ["waiting", "with a slot that it has not taken", "asking"])
def test_a_cancelled_question_takes_no_slot_with_it(when):
    async def scene() -> None:
        slots, asked = Slots(1), []
        first, last = asyncio.Event(), asyncio.Event()
        last.set()
        one = asyncio.create_task(_ask(slots, asked, "first", first))
        await _settled()
        two = asyncio.create_task(_ask(slots, asked, "cancelled", asyncio.Event()))
        await _settled()
        three = asyncio.create_task(_ask(slots, asked, "last", last))
        await _settled()
        if when == "waiting":
            two.cancel()
            first.set()
        elif when == "asking":
            first.set()
            await _settled()
            two.cancel()
        else:
            first.set()
            while not one.done():  # its end gives the slot to the second, which has not run since
                await asyncio.sleep(0)
            assert "cancelled" not in asked
            two.cancel()
        await asyncio.wait_for(asyncio.gather(one, three), 5)
        assert asked == (["first", "cancelled", "last"] if when == "asking" else ["first", "last"])
        assert two.cancelled()

    asyncio.run(scene())


def test_a_slot_that_a_loop_which_ends_does_not_take_any_more_is_given_back():
    """Another thread gives a slot to a question that is cancelled, whose loop then ends without looking at it."""

    async def scene() -> None:
        slots, asked, loop = Slots(1), [], asyncio.get_running_loop()
        first, last = asyncio.Event(), asyncio.Event()
        last.set()
        one = asyncio.create_task(_ask(slots, asked, "first", first))
        await _settled()
        two = asyncio.create_task(_ask(slots, asked, "cancelled", asyncio.Event()))
        await _settled()
        loop.call_soon_threadsafe = lambda *_: None
        first.set()
        await one
        del loop.call_soon_threadsafe
        two.cancel()
        await asyncio.wait_for(_ask(slots, asked, "last", last), 1)
        assert asked == ["first", "last"]

    asyncio.run(scene())


def test_an_overloaded_server_gets_half_as_many_and_after_answers_more_again():
    async def scene() -> None:
        slots, asked = Slots(4), []
        slots.overloaded(since=1e12)
        answers = asyncio.Event()
        tasks = [asyncio.create_task(_ask(slots, asked, str(i), answers)) for i in range(4)]
        await _settled()
        assert asked == ["0", "1"]
        for _ in range(6):
            slots.answered()
        tasks.append(asyncio.create_task(_ask(slots, asked, "4", answers)))  # whoever comes lets in who waits
        await _settled()
        assert asked == ["0", "1", "2", "3"]
        answers.set()
        await asyncio.gather(*tasks)

    asyncio.run(scene())
