"""Exercises asyncio: an event loop with tasks and timers, which needs neither sockets nor threads."""

import asyncio
import time


async def tasks_take_turns():
    said = []

    async def say(name, pause):
        for count in range(3):
            said.append(f"{name}{count}")
            await asyncio.sleep(pause)
        return name

    assert await asyncio.gather(say("a", 0), say("b", 0)) == ["a", "b"]
    assert said == ["a0", "b0", "a1", "b1", "a2", "b2"]


async def timers_wait():
    before = time.monotonic()
    await asyncio.gather(asyncio.sleep(0.05), asyncio.sleep(0.02))
    assert 0.05 <= time.monotonic() - before < 1


async def timeouts_end_what_takes_too_long():
    try:
        await asyncio.wait_for(asyncio.sleep(10), 0.01)
    except asyncio.TimeoutError:
        pass
    else:
        raise AssertionError("no TimeoutError")
    if hasattr(asyncio, "timeout"):  # since 3.11
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(10)
        except TimeoutError:
            return
        raise AssertionError("no TimeoutError")


async def queues_and_locks():
    queue, lock, taken = asyncio.Queue(maxsize=1), asyncio.Lock(), []

    async def take():
        while (number := await queue.get()) is not None:
            async with lock:
                taken.append(number)

    taker = asyncio.get_running_loop().create_task(take())
    for number in [1, 2, 3, None]:
        await queue.put(number)
    await taker
    assert taken == [1, 2, 3]


async def errors_cancel_their_group():
    if not hasattr(asyncio, "TaskGroup"):  # before 3.11
        return

    async def fails():
        raise ValueError("on purpose")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(10))
            group.create_task(fails())
    except ExceptionGroup as group:
        assert [str(error) for error in group.exceptions] == ["on purpose"]
        return
    raise AssertionError("no ExceptionGroup")


async def what_needs_the_network_or_processes_fails():
    for attempt in (
        asyncio.open_connection("127.0.0.1", 80),
        asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 80),
        asyncio.create_subprocess_exec("true"),
    ):
        try:
            await attempt
        except (OSError, RuntimeError, NotImplementedError):
            continue
        raise AssertionError(f"{attempt} did not fail")


async def what_needs_a_thread_fails_and_the_loop_ends():
    try:
        await asyncio.get_running_loop().run_in_executor(None, print)
    except RuntimeError:
        return
    raise AssertionError("there was a thread")


CHECKS = [
    tasks_take_turns,
    timers_wait,
    timeouts_end_what_takes_too_long,
    queues_and_locks,
    errors_cancel_their_group,
    what_needs_the_network_or_processes_fails,
    what_needs_a_thread_fails_and_the_loop_ends,
]


def faasm_main():
    for check in CHECKS:
        asyncio.run(check())
        print(f"{check.__name__}: ok")
