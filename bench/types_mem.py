#!/usr/bin/env python3
"""What values of newer types take: bytes of memory per entry, as the server counts it and as the system does.

  types_mem.py --servers ours=PATH,redis8=PATH,valkey9=PATH [--shapes stream_big,...] [--scale 1.0]

Prints one JSON line for each shape and server. An entry is one of a stream, one that is pending, or one hash.
"""
import argparse, json, time

from peerbench import Resp, Server


def stream_big(n):
    """One stream, entries of three fields."""
    return n, (Resp.enc("XADD", "s", b"%d-0" % (1_700_000_000_000 + i), "name", b"user%d" % (i % 1000), "value", i, "kind", "click") for i in range(n))


def streams_small(n):
    """Streams of ten entries."""
    return n, (Resp.enc("XADD", b"s:%d" % (i // 10), b"%d-0" % (1_700_000_000_000 + i), "name", b"user%d" % (i % 1000), "value", i) for i in range(n))


def pending(n):
    """A group that has read all of a stream and acknowledged nothing."""
    def commands():
        for i in range(n):
            yield Resp.enc("XADD", "s", b"%d-0" % (1_700_000_000_000 + i), "f", "v")
        yield Resp.enc("XGROUP", "CREATE", "s", "g", "0")
        for at in range(0, n, 1000):
            yield Resp.enc("XREADGROUP", "GROUP", "g", b"c%d" % (at // 1000 % 10), "COUNT", 1000, "STREAMS", "s", ">")
    return n, commands()


def hashes_with_deadlines(n):
    """Hashes of ten fields, all of which expire some day."""
    def commands():
        for i in range(n):
            pairs = sum(([b"f%d" % j, b"value%06d" % j] for j in range(10)), [])
            yield Resp.enc("HSETEX", b"h:%d" % i, "EX", 100000 + i % 1000, "FIELDS", 10, *pairs)
    return n, commands()


SHAPES = {
    "stream_big": (stream_big, 1_000_000),
    "streams_small": (streams_small, 1_000_000),
    "pending": (pending, 100_000),
    "hashes_with_deadlines": (hashes_with_deadlines, 100_000),
}


def measure(name, path, shape, scale):
    make, n = SHAPES[shape]
    server = Server(name, path)
    try:
        c = server.client()
        used = lambda: int(c.info("memory")["used_memory"])
        rss, before = server.rss(), used()
        entries, commands = make(int(n * scale))
        c.pipe(commands)
        time.sleep(1.0)
        return {"used_per_entry": round((used() - before) / entries, 1), "rss_per_entry": round((server.rss() - rss) / entries, 1)}
    finally:
        server.stop()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--servers", required=True)
    ap.add_argument("--shapes", default=",".join(SHAPES))
    ap.add_argument("--scale", type=float, default=1.0)
    a = ap.parse_args()
    servers = [s.split("=", 1) for s in a.servers.split(",")]
    for shape in a.shapes.split(","):
        for name, path in servers:
            print(json.dumps({"shape": shape, "server": name, **measure(name, path, shape, a.scale)}), flush=True)


if __name__ == "__main__":
    main()
