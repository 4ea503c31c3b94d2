#!/usr/bin/env python3
"""Resident over used memory after a day of churn in fast motion: what is left of holes between the values.

  churnbench.py --servers ours=PATH,redis7=PATH,redis7+defrag=PATH [--keys N] [--writes N] [--hours 24] [--seed 1] [--steady]

Each hour writes the same commands to each server: strings, hashes and lists whose sizes grow until noon and shrink after it, so that what is freed
has another size than what comes; with --steady they are those of noon all day. After the hours 8 and 16 six of ten keys are deleted at random. Servers whose name ends in +defrag run with
activedefrag yes. Prints a JSON line an hour and one for the end of the day, for each server.
"""
import argparse, json, random, time

from peerbench import Resp, Server

BLOB = bytes(random.Random(7).randrange(256) for _ in range(1 << 16))
DEFRAG = ["--activedefrag yes", "--active-defrag-ignore-bytes 10mb"]
# Seconds without commands at the end of the day: allocators give pages back, activedefrag moves values.
REST_S = 15


def size_of(rng, hour, a):
    """Bytes of a value: 20 to 60 at midnight, 300 to 900 at noon."""
    noon = 1 if a.steady else 1 - abs(hour - a.hours / 2) / (a.hours / 2)
    return int((20 + 280 * noon) * rng.uniform(1, 3))


def text(rng, size):
    at = rng.randrange(len(BLOB) - size)
    return BLOB[at:at + size]


def write(rng, keys, size):
    """A command that writes some bytes to some key. A key's number says its type, so that none fails."""
    n = rng.randrange(keys)
    kind = n % 10
    if kind < 6:
        return Resp.enc("SET", b"s:%d" % n, text(rng, size))
    if kind < 8:
        return Resp.enc("HSET", b"h:%d" % n, b"f%d" % rng.randrange(8), text(rng, size // 4 + 1))
    if rng.random() < 0.6:
        return Resp.enc("RPUSH", b"l:%d" % n, text(rng, size // 4 + 1))
    return Resp.enc("LPOP", b"l:%d" % n)


def name(n):
    kind = n % 10
    return (b"s:%d" if kind < 6 else b"h:%d" if kind < 8 else b"l:%d") % n


def commands_of(hour, a):
    """All commands of an hour; the same for each server."""
    rng = random.Random(a.seed * 1000 + hour)
    for _ in range(a.writes):
        yield write(rng, a.keys, size_of(rng, hour, a))
    if hour in (a.hours // 3, 2 * a.hours // 3):
        for n in range(a.keys):
            if rng.random() < 0.6:
                yield Resp.enc("DEL", name(n))


def look(server, client):
    """`anon`: what the process has for itself. The rest of the resident memory are pages of the program's file, which the system drops when it needs room."""
    used, rss = int(client.info("memory")["used_memory"]), server.rss()
    return {"used": used, "rss": rss, "anon": anonymous(server.p.pid), "ratio": round(rss / used, 3)}


def anonymous(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("RssAnon"))


def measure(label, path, a):
    server = Server(label, path, opts=DEFRAG if label.endswith("+defrag") else ())
    try:
        client = server.client()
        version = client.info("server").get("redis_version")
        hours, began, cpu = [], time.time(), server.cpu()
        for hour in range(a.hours):
            client.pipe(commands_of(hour, a))
            hours.append(look(server, client))
            print(json.dumps({"server": label, "hour": hour, **hours[-1]}), flush=True)
        took, busy = time.time() - began, server.cpu() - cpu
        time.sleep(REST_S)
        end = look(server, client)
        return {"server": label, "version": version, "keys": client("DBSIZE"), "day_s": round(took, 1), "cpu_s": round(busy, 1),
                "cpu_rest_s": round(server.cpu() - cpu - busy, 1), "worst_ratio": max(h["ratio"] for h in hours[1:]),
                "rss_max": max(h["rss"] for h in hours), "end": end}
    finally:
        server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", required=True)
    parser.add_argument("--keys", type=int, default=400_000)
    parser.add_argument("--writes", type=int, default=150_000, help="in an hour")
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steady", action="store_true", help="sizes do not change with the hour")
    a = parser.parse_args()
    for pair in a.servers.split(","):
        label, path = pair.split("=", 1)
        print(json.dumps(measure(label, path, a)), flush=True)


if __name__ == "__main__":
    main()
