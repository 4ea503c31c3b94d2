"""Locks by scripts: over three servers (Redlock), and on one (the lock of redis-py).

    redlock_story.py compete URL URL URL ROUNDS     raises a counter so many times, with the lock held
    redlock_story.py all URL URL URL                the rules of the lock; ends two of the three servers on the way
"""

import contextlib
import logging
import sys
import time

import redis
from pottery import QuorumIsImpossible, Redlock, ReleaseUnlockedLock
from pottery.exceptions import ExtendUnlockedLock, TooManyExtensions
from redis.exceptions import LockError, LockNotOwnedError

PATIENCE_S = 40

logging.disable(logging.CRITICAL)
servers = [redis.Redis.from_url(url, socket_timeout=5) for url in sys.argv[2:5]]


def lock(key, **settings):
    return Redlock(key=key, masters=set(servers), **settings)


@contextlib.contextmanager
def refused_with(kind):
    try:
        yield
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


def holders(key):
    return [one for one in servers if one.exists(key)]


def compete(rounds):
    """What is read and written back in two steps comes out right only if nobody else does so meanwhile."""
    for _ in range(rounds):
        one = lock("counter")
        assert one.acquire(timeout=PATIENCE_S)
        value = int(servers[0].get("count") or 0)
        time.sleep(0.002)
        servers[0].set("count", value + 1)
        one.release()


def one_holder():
    mine, other = lock("door", auto_release_time=20), lock("door", auto_release_time=20)
    assert mine.acquire(blocking=False)
    assert not other.acquire(blocking=False) and not other.acquire(timeout=0.5)
    assert 15 < mine.locked() <= 20 and not other.locked()
    # Who does not have it can neither give nor keep it.
    with refused_with(ReleaseUnlockedLock):
        other.release()
    with refused_with(ExtendUnlockedLock):
        other.extend()
    assert mine.locked()
    mine.release()
    # The library goes on as soon as two of the three have answered; the third may have it for a moment more.
    assert len(holders("redlock:door")) <= 1
    assert other.acquire(blocking=False)
    other.release()
    deadline = time.monotonic() + PATIENCE_S
    while holders("redlock:door"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def extensions():
    one = lock("extended", auto_release_time=4, num_extensions=2)
    assert one.acquire()
    began = time.monotonic()
    for _ in range(2):
        time.sleep(2.5)
        one.extend()
        assert one.locked() > 2
    # Longer than it could have lasted without.
    assert time.monotonic() - began > 4
    with refused_with(TooManyExtensions):
        one.extend()
    one.release()


def abandonment():
    """A lock whose holder is silent is free after its time."""
    began = time.monotonic()
    assert lock("abandoned", auto_release_time=1).acquire()
    other = lock("abandoned", auto_release_time=20)
    assert other.acquire(timeout=PATIENCE_S) and 0.9 < time.monotonic() - began
    other.release()


def lock_on_one_server():
    one = servers[0].lock("single", timeout=5)
    other = servers[0].lock("single", timeout=5, blocking_timeout=0.3)
    assert one.acquire() and one.owned() and not other.acquire()
    one.extend(10)
    assert 10_000 < servers[0].pttl("single") <= 15_000
    one.reacquire()
    assert servers[0].pttl("single") <= 5_000
    servers[0].set("single", "another's")
    with refused_with(LockNotOwnedError):
        one.release()
    servers[0].delete("single")
    with refused_with(LockError):
        other.release()


def lost_servers():
    """Two of three are enough, one is not."""
    servers[2].shutdown(nosave=True)
    mine, other = lock("quorum", auto_release_time=20), lock("quorum", auto_release_time=20)
    assert mine.acquire(blocking=False) and not other.acquire(blocking=False)
    mine.extend()
    assert mine.locked() > 15
    mine.release()
    servers[1].shutdown(nosave=True)
    assert not other.acquire(blocking=False)
    with refused_with(QuorumIsImpossible):
        other.acquire(blocking=False, raise_on_redis_errors=True)
    # What it had been given by the one that is left, it has given back.
    assert not servers[0].exists("redlock:quorum")


if sys.argv[1] == "compete":
    compete(int(sys.argv[5]))
else:
    for part in (one_holder, extensions, abandonment, lock_on_one_server, lost_servers):
        began = time.monotonic()
        part()
        print(f"{part.__name__}: {time.monotonic() - began:.1f} s", flush=True)
print("all is well")
