#!/usr/bin/env python3
"""What commands on newer types and scripts cost: commands per second of the server's processor time (all its threads), 16 pipelined.

  types_ops.py --servers ours=PATH,redis8=PATH,valkey9=PATH [--rows xadd,pfadd,...] [--n 300000] [--rounds 3]

Rounds alternate between the servers; the median of the rounds is printed, one JSON line for each row and server. The client shares the machine.
Row `xadd_blocked`: one XADD at a time, each of which wakes 1,000 clients in XREAD BLOCK, who wait again; `--n` / 1000 XADDs.
Needs redis-benchmark or valkey-benchmark, as peerbench.py does.
"""
import argparse, json, selectors, socket, statistics, subprocess

from peerbench import BENCH, Resp, Server

GET = "return redis.call('GET',KEYS[1])"
HSETS = "for i=1,10 do redis.call('HSET',KEYS[1],i,ARGV[1]) end return 1"
LIBRARY = "#!lua name=bench\nredis.register_function('get',function(KEYS,ARGV) %s end)\nredis.register_function('hsets',function(KEYS,ARGV) %s end)" % (GET, HSETS)
PIPELINE = 16
READERS = 1000
# So many entries are there to be read; their ids have one length.
FIRST_ID = 10_000_000


def prepare(c):
    """Fills a server with what the rows look at; answers the digests of the scripts."""
    c("SET", "k", "v" * 32)
    c("HSET", "h", *sum(([f"f{i}", "value"] for i in range(10)), []))
    for i in range(1000):
        c("GEOADD", "g", 13.0 + i % 40 / 50, 52.2 + i // 40 / 50, f"place:{i}")
    c("FUNCTION", "LOAD", LIBRARY)
    return c("SCRIPT", "LOAD", GET), c("SCRIPT", "LOAD", HSETS)


def lines(get, hsets):
    """The commands of the rows that a benchmark program can send."""
    return {
        "xadd": ["XADD", "s", "*", "f1", "value1", "f2", "value2", "f3", "value3"],
        "pfadd": ["PFADD", "hll", "element:__rand_int__"],
        "geosearch": ["GEOSEARCH", "g", "FROMLONLAT", "13.4", "52.5", "BYRADIUS", "5", "km", "ASC", "COUNT", "10"],
        "hgetex": ["HGETEX", "h", "EX", "10000", "FIELDS", "1", "f5"],
        "evalsha_get": ["EVALSHA", get, "1", "k"],
        "evalsha_hset10": ["EVALSHA", hsets, "1", "hh", "value"],
        "fcall_get": ["FCALL", "get", "1", "k"],
        "fcall_hset10": ["FCALL", "hsets", "1", "hh", "value"],
    }


def by_benchmark(server, line, n):
    before = server.cpu()
    subprocess.run([BENCH, "-h", "127.0.0.1", "-p", str(server.port), "-c", "50", "-P", str(PIPELINE), "-n", str(n), "-r", "1000000", "-q", *line],
                   capture_output=True, check=True)
    return n / max(server.cpu() - before, 0.01)


def encode(*words):
    words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def receive(s, length):
    got = 0
    while got < length:
        piece = s.recv(1 << 16)
        if not piece:
            raise SystemExit("the server closed the connection")
        got += len(piece)
    return got


def read_and_ack(server, c, n):
    """XREADGROUP of one entry and XACK of it count as one: all replies have one length, so that nobody parses them."""
    c.pipe(Resp.enc("XADD", "q", b"%d-0" % (FIRST_ID + i), "f", "value") for i in range(n))
    c("XGROUP", "CREATE", "q", "g", "0")
    pair = lambda i: encode("XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "STREAMS", "q", ">") + encode("XACK", "q", "g", b"%d-0" % (FIRST_ID + i))
    s = socket.create_connection(("127.0.0.1", server.port))
    per = PIPELINE // 2
    batches = [b"".join(pair(i + j) for j in range(per)) for i in range(0, n - per + 1, per)]
    s.sendall(batches[0])
    head = b"*1\r\n*2\r\n$1\r\nq\r\n*1\r\n*2\r\n$10\r\n%d-0\r\n*2\r\n$1\r\nf\r\n$5\r\nvalue\r\n:1\r\n" % FIRST_ID
    receive(s, len(head) * per)
    before = server.cpu()
    for batch in batches[1:]:
        s.sendall(batch)
        receive(s, len(head) * per)
    cpu = server.cpu() - before
    pending = c("XPENDING", "q", "g")
    if pending[0]:
        raise SystemExit(f"{pending[0]} entries were not acknowledged")
    s.close()
    return (len(batches) - 1) * per / max(cpu, 0.01)


def wake_readers(server, c, n):
    selector = selectors.DefaultSelector()
    ask = encode("XREAD", "BLOCK", 0, "STREAMS", "b", "$")
    readers = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(READERS)]
    for s in readers:
        s.sendall(ask)
        selector.register(s, selectors.EVENT_READ)
    blocked = lambda: int(c.info("clients")["blocked_clients"])
    while blocked() < READERS:
        pass
    length = None
    before = server.cpu()
    for i in range(n):
        c("XADD", "b", b"%d-0" % (FIRST_ID + i), "f", "value")
        length = length or len(b"*1\r\n*2\r\n$1\r\nb\r\n*1\r\n*2\r\n$10\r\n%d-0\r\n*2\r\n$1\r\nf\r\n$5\r\nvalue\r\n" % FIRST_ID)
        left = {s: length for s in readers}
        while left:
            for key, _ in selector.select():
                s = key.fileobj
                left[s] -= len(s.recv(4096))
                if left[s] <= 0:
                    del left[s]
                    s.sendall(ask)
        while blocked() < READERS:
            pass
    cpu = server.cpu() - before
    for s in readers:
        s.close()
    return n / max(cpu, 0.01)


ROWS = ["xadd", "xreadgroup_xack", "pfadd", "geosearch", "hgetex", "evalsha_get", "evalsha_hset10", "fcall_get", "fcall_hset10", "xadd_blocked"]


def measure(name, path, row, n):
    server = Server(name, path, opts=["--maxclients 5000"])
    try:
        c = server.client()
        digests = prepare(c)
        if row == "xreadgroup_xack":
            return read_and_ack(server, c, n)
        if row == "xadd_blocked":
            return wake_readers(server, c, max(n // 1000, 20))
        return by_benchmark(server, lines(*digests)[row], n)
    finally:
        server.stop()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--servers", required=True)
    ap.add_argument("--rows", default=",".join(ROWS))
    ap.add_argument("--n", type=int, default=300000)
    ap.add_argument("--rounds", type=int, default=3)
    a = ap.parse_args()
    servers = [s.split("=", 1) for s in a.servers.split(",")]
    for row in a.rows.split(","):
        found = {}
        for _ in range(a.rounds):
            for name, path in servers:
                found.setdefault(name, []).append(measure(name, path, row, a.n))
        for name, rounds in found.items():
            print(json.dumps({"test": row, "server": name, "ops_per_cpu_s": round(statistics.median(rounds))}), flush=True)


if __name__ == "__main__":
    main()
