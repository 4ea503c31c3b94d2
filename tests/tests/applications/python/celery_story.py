"""What an application does with Celery: results, chains, chords, retries, errors, ETAs, revoked tasks, control and events.

    celery_story.py all            beside one worker
    celery_story.py hang           starts a task that hangs, and ends when a worker has it
    celery_story.py hung           waits until that task was done all the same
"""

import sys
import time
from datetime import datetime, timedelta, timezone

from celery import chain, chord, group
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult

from celery_app import Refused, add, app, hang_once, notes, refuse, started_at, third_time_lucky, total, work_for

PATIENCE_S = 40


def until(what, yes):
    end = time.monotonic() + PATIENCE_S
    while not (value := yes()):
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.05)
    return value


def get(result):
    return result.get(timeout=PATIENCE_S)


def results():
    assert get(add.delay(2, 3)) == 5
    result = add.delay("x" * 1_000_000, "y")
    assert len(get(result)) == 1_000_001
    lifetime = notes.ttl(f"celery-task-meta-{result.id}")
    assert 0 < lifetime <= 600, lifetime
    result.forget()
    assert notes.exists(f"celery-task-meta-{result.id}") == 0
    many = [add.delay(n, n) for n in range(200)]
    assert [get(one) for one in many] == [2 * n for n in range(200)]


def errors():
    result = refuse.delay("no")
    try:
        get(result)
    except Refused as error:
        assert str(error) == "no"
    else:
        raise AssertionError("a task that fails has a result")
    assert result.state == "FAILURE" and "Refused" in result.traceback


def canvas():
    assert get(chain(add.s(1, 2), add.s(3), add.s(4))()) == 10
    assert get(group(add.s(n, 1) for n in range(10))()) == list(range(1, 11))
    for size in (1, 2, 50):
        assert get(chord(add.s(n, n) for n in range(size))(total.s())) == size * (size - 1)
    # A chord in a chain, and a chain in a chord.
    nested = chain(add.s(1, 1), group(add.s(n) for n in range(3)), total.s(), add.s(100))
    assert get(nested()) == 2 + 3 + 4 + 100
    assert get(chord(chain(add.s(n, 1), add.s(1)) for n in range(5))(total.s())) == 10 + 10
    # A part that fails, fails all of it.
    result = chord([add.s(1, 1), refuse.s("part")])(total.s())
    try:
        get(result)
    except Exception as error:
        assert "part" in str(error), error
    else:
        raise AssertionError("a chord with a part that fails has a result")


def retries():
    assert get(third_time_lucky.delay("tries")) == 2
    assert notes.get("tries") == "3"


def times():
    asked = time.time()
    at = datetime.now(timezone.utc) + timedelta(seconds=2)
    soon, later = started_at.apply_async(["soon"], countdown=1), started_at.apply_async(["later"], eta=at)
    assert get(soon) >= asked + 1
    assert get(later) >= asked + 1.9
    # What is too old is not done.
    result = started_at.apply_async(["old"], expires=datetime.now(timezone.utc) - timedelta(seconds=1))
    try:
        get(result)
    except TaskRevokedError:
        pass
    assert result.state == "REVOKED" and notes.get("old") is None


def revoked(result):
    try:
        get(result)
    except TaskRevokedError:
        return result.state == "REVOKED"
    raise AssertionError("a revoked task has a result")


def revokes():
    result = started_at.apply_async(["never"], countdown=600)
    until("the worker has the task", lambda: result.id in str(app.control.inspect().scheduled()))
    result.revoke()
    assert revoked(result) and notes.get("never") is None
    running = work_for.delay(600, "working")
    until("the task runs", lambda: notes.get("working"))
    assert running.state == "STARTED"
    running.revoke(terminate=True, signal="SIGKILL")
    assert revoked(running)
    # The pool has another process for the one that was killed.
    assert get(group(add.s(n, 0) for n in range(10))()) == list(range(10))


def control():
    assert [list(reply.values()) for reply in app.control.ping(timeout=5)] == [[{"ok": "pong"}]]
    inspect = app.control.inspect()
    (stats,) = inspect.stats().values()
    assert stats["pool"]["max-concurrency"] == 2
    assert "celery_app.add" in str(inspect.registered())
    app.control.add_consumer("other", reply=True)
    assert get(add.apply_async([1, 1], queue="other")) == 2
    app.control.cancel_consumer("other", reply=True)
    waiting = add.apply_async([1, 1], queue="other")
    until("the message waits", lambda: notes.llen("other") == 1)
    assert app.control.purge() == 0 and waiting.state == "PENDING"
    with app.connection_for_write() as connection:
        assert connection.default_channel.queue_purge("other") == 1


def events():
    """A worker's events come by PUBLISH."""
    seen = []
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": lambda event: seen.append(event["type"])})
        consumer = receiver.itercapture(limit=None, timeout=PATIENCE_S, wakeup=True)
        next(consumer)
        app.control.enable_events()
        add.delay(1, 1)
        until("the events of a task", lambda: (next(consumer), "task-succeeded" in seen)[1])
    app.control.disable_events()


def everything():
    until("a worker answers", lambda: app.control.ping(timeout=1))
    for part in (results, errors, canvas, retries, times, revokes, control, events):
        began = time.monotonic()
        part()
        print(f"{part.__name__}: {time.monotonic() - began:.1f} s", flush=True)


def hang():
    result = hang_once.delay("hung")
    notes.set("hung-task", result.id)
    until("the task hangs", lambda: notes.get("hung"))


def hung():
    result = AsyncResult(notes.get("hung-task"), app=app)
    assert get(result) == "done by another"
    assert notes.get("hung") == "2"


{"all": everything, "hang": hang, "hung": hung}[sys.argv[1]]()
print("all is well")
