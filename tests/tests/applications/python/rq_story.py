"""What an application does with RQ, beside one worker with a scheduler: results, failures, retries, scheduled and dependent jobs, groups, jobs that
are stopped, unique jobs, and the registries in which all of them are."""

import os
import time
from datetime import datetime, timedelta, timezone

import redis
from rq import Callback, Queue, Retry, Worker
from rq.command import send_shutdown_command, send_stop_job_command
from rq.exceptions import DuplicateJobError
from rq.group import Group
from rq.job import Dependency, Job
from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry, StartedJobRegistry
from rq.results import Result

import rq_jobs

PATIENCE_S = 40

connection = redis.Redis.from_url(os.environ["STORY_URL"])
queue = Queue("stories", connection=connection)


def until(what, yes):
    end = time.monotonic() + PATIENCE_S
    while not (value := yes()):
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.05)
    return value


def get(job):
    result = job.latest_result(timeout=PATIENCE_S)
    assert result is not None and result.type == Result.Type.SUCCESSFUL, (result, job.get_status())
    return result.return_value


def failed(job):
    until(f"{job.func_name} has failed", lambda: job.get_status() == "failed")
    result = job.latest_result()
    assert result.type == Result.Type.FAILED
    return result.exc_string


def results():
    job = queue.enqueue(rq_jobs.add, 2, 3, result_ttl=100, on_success=Callback(rq_jobs.note_success))
    assert get(job) == 5
    until("it is finished", lambda: job.get_status() == "finished")
    assert job.id in FinishedJobRegistry(queue=queue)
    until("its callback ran", lambda: connection.get("success of " + job.id) == b"5")
    assert 0 < connection.ttl(job.key) <= 100
    assert get(queue.enqueue(rq_jobs.add, "x" * 1_000_000, "y")) == "x" * 1_000_000 + "y"
    jobs = queue.enqueue_many([Queue.prepare_data(rq_jobs.add, (n, n)) for n in range(10)])
    assert [get(job) for job in jobs] == [2 * n for n in range(10)]


def failures():
    job = queue.enqueue(rq_jobs.refuse, "no", on_failure=Callback(rq_jobs.note_failure))
    assert "ValueError: no" in failed(job)
    assert job.id in FailedJobRegistry(queue=queue)
    until("its callback ran", lambda: connection.get("failure of " + job.id) == b"no")
    # One that fails is put into its queue again by hand, and has two results then.
    connection.set("told", 1)
    job = queue.enqueue(rq_jobs.refuse_while_told, "told")
    failed(job)
    connection.delete("told")
    job.requeue()
    until("it is finished", lambda: job.get_status() == "finished")
    assert job.return_value(refresh=True) == "not told to" and job.id not in FailedJobRegistry(queue=queue)
    assert [result.type for result in job.results()] == [Result.Type.SUCCESSFUL, Result.Type.FAILED]


def retries():
    job = queue.enqueue(rq_jobs.third_time_lucky, "tries", retry=Retry(max=3))
    until("it is finished", lambda: job.get_status() == "finished")
    assert job.return_value(refresh=True) == 3
    # With pauses between the tries, which the scheduler ends.
    job = queue.enqueue(rq_jobs.third_time_lucky, "slow tries", retry=Retry(max=3, interval=1))
    until("it is finished", lambda: job.get_status() == "finished")
    assert job.return_value(refresh=True) == 3


def schedules():
    asked = time.time()
    job = queue.enqueue_in(timedelta(seconds=4), rq_jobs.started_at)
    other = queue.enqueue_at(datetime.now(timezone.utc) + timedelta(hours=1), rq_jobs.started_at)
    registry = ScheduledJobRegistry(queue=queue)
    assert job.get_status() == "scheduled" and set(registry.get_job_ids()) == {job.id, other.id}
    # The score is in whole seconds.
    assert get(job) >= asked + 3
    assert registry.get_job_ids() == [other.id]
    other.cancel()
    assert other.get_status() == "canceled" and len(registry) == 0


def dependencies():
    first = queue.enqueue(rq_jobs.work_for, 0.5, "first")
    second = queue.enqueue(rq_jobs.add, 1, 1, depends_on=first)
    third = queue.enqueue(rq_jobs.add, 1, 2, depends_on=[first, second])
    assert third.get_status() in ("deferred", "queued")
    assert get(third) == 3 and second.get_status() == "finished"
    bad = queue.enqueue(rq_jobs.refuse, "no")
    all_the_same = queue.enqueue(rq_jobs.add, 2, 2, depends_on=Dependency(jobs=[bad], allow_failure=True))
    assert get(all_the_same) == 4
    group = Group(connection, "sums")
    group.enqueue_many(queue, [Queue.prepare_data(rq_jobs.add, (n, 1)) for n in range(5)])
    assert sorted(get(job) for job in group.get_jobs()) == [1, 2, 3, 4, 5]


def stops():
    job = queue.enqueue(rq_jobs.work_for, 600, "working")
    until("it runs", lambda: connection.get("working"))
    assert job.id in StartedJobRegistry(queue=queue).get_job_ids()
    send_stop_job_command(connection, job.id)
    until("it is stopped", lambda: job.get_status() == "stopped")
    job = queue.enqueue(rq_jobs.work_for, 600, "too long", job_timeout=1)
    assert "JobTimeoutException" in failed(job)


def uniqueness():
    waiting = Queue("nobody works on it", connection=connection)
    waiting.enqueue(rq_jobs.add, 1, 1, job_id="one", unique=True)
    try:
        waiting.enqueue(rq_jobs.add, 2, 2, job_id="one", unique=True)
    except DuplicateJobError:
        pass
    else:
        raise AssertionError("two jobs have one name")
    assert waiting.get_job_ids() == ["one"] and Job.fetch("one", connection=connection).args == (1, 1)
    assert waiting.empty() == 1 and waiting.count == 0
    waiting.delete(delete_jobs=True)


def worker():
    (one,) = Worker.all(connection=connection)
    until("it has nothing to do", lambda: (one.refresh(), one.get_state() == "idle")[1])
    assert one.successful_job_count >= 20 and one.failed_job_count >= 5, (one.successful_job_count, one.failed_job_count)
    send_shutdown_command(connection, one.name)
    until("it has gone", lambda: not Worker.all(connection=connection))


until("a worker is there", lambda: Worker.all(connection=connection))
for part in (results, failures, retries, schedules, dependencies, stops, uniqueness, worker):
    began = time.monotonic()
    part()
    print(f"{part.__name__}: {time.monotonic() - began:.1f} s", flush=True)
print("all is well")
