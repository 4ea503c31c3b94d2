"""The tasks of the stories about Celery, and how its workers are set up. Broker and results are one server's."""

import os
import time

import redis
from celery import Celery

URL = os.environ["STORY_URL"]
# A message that a worker took this long ago, and has not acknowledged, is another worker's.
VISIBILITY_S = float(os.environ.get("STORY_VISIBILITY_S", "3600"))

app = Celery("stories", broker=URL, backend=URL)
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": VISIBILITY_S},
    result_backend_transport_options={"visibility_timeout": VISIBILITY_S},
    result_expires=600,
    task_track_started=True,
    task_send_sent_event=True,
)
notes = redis.Redis.from_url(URL, decode_responses=True)


class Refused(Exception):
    """What a task fails with on purpose."""


@app.task
def add(a, b):
    return a + b


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def refuse(text):
    raise Refused(text)


@app.task(bind=True, max_retries=5)
def third_time_lucky(self, key):
    if notes.incr(key) < 3:
        raise self.retry(countdown=0.1)
    return self.request.retries


@app.task
def started_at(key):
    """Notes that it ran, and answers when it began."""
    notes.incr(key)
    return time.time()


@app.task
def work_for(seconds, key):
    notes.incr(key)
    time.sleep(seconds)
    return "done"


@app.task(acks_late=True, reject_on_worker_lost=True)
def hang_once(key):
    """Hangs the first time that it runs, as if its worker was stuck."""
    if notes.incr(key) == 1:
        time.sleep(600)
    return "done by another"
