"""The jobs of the story about RQ."""

import os
import time

import redis

notes = redis.Redis.from_url(os.environ["STORY_URL"], decode_responses=True)


def add(a, b):
    return a + b


def refuse(text):
    raise ValueError(text)


def third_time_lucky(key):
    tries = notes.incr(key)
    if tries < 3:
        raise ValueError(f"try {tries}")
    return tries


def refuse_while_told(key):
    if notes.get(key):
        raise ValueError("told to")
    return "not told to"


def started_at():
    return time.time()


def work_for(seconds, key):
    notes.incr(key)
    time.sleep(seconds)


def note_success(job, connection, result):
    connection.set("success of " + job.id, result)


def note_failure(job, connection, kind, value, trace):
    connection.set("failure of " + job.id, str(value))
