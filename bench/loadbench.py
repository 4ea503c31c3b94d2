#!/usr/bin/env python3
"""How long a server takes to start with data: from its start until PING is answered with PONG, for several servers in one run.

  loadbench.py --servers ours=PATH,redis7=PATH,... [--maker PATH] [--what rdb-mixed,rdb-small,aof-set,aof-mixed] [--mb 1024]
               [--commands 10000000] [--rounds 3] [--dir DIR] [--cores 0,1] [--keep]

  rdb-mixed  an RDB file of about --mb megabytes: strings, hashes, sorted sets, lists and sets
  rdb-small  an RDB file of --commands / 2 keys with short strings
  aof-set    an append-only file of --commands commands, no base: SET over half as many keys, in random order
  aof-mixed  the same with SET, HSET, RPUSH, ZADD, INCR and PEXPIREAT

RDB files are made by the first server whose name begins with "redis7" (or --maker PATH), so that all can read them. Every file is in the page cache
when a server starts. Prints one JSON line for each file and server: seconds, processor seconds of all threads and of the main one until then
(medians of the rounds), megabytes, and the ratio of its seconds to the best of the others ("ours" against the peers). The number of keys must be the same on all servers.
"""
import argparse, json, os, random, shutil, socket, statistics, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from peerbench import Resp, Server, load_mixed


def make_rdb(path, maker, fill):
    s = Server("maker", maker)
    try:
        c = s.client(3600)
        fill(c)
        c("CONFIG", "SET", "rdb-key-save-delay", "0")
        c("SAVE")
        shutil.move(os.path.join(s.dir, "dump.rdb"), path)
    finally:
        s.stop()


def fill_mixed(c, mb):
    load_mixed(c, mb * 9 // 10)
    c.pipe((Resp.enc("SADD", b"set:%08d" % i, *[b"member-%d-%d" % (i, j) for j in range(20)]) for i in range(mb * 1024 * 1024 // 10 // 320)), 500)


def fill_small(c, keys):
    c.pipe((Resp.enc("SET", b"key:%012d" % i, b"value:%010d" % i) for i in range(keys)), 1000)


def command(*args):
    return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in args)


def sets(n):
    rnd = random.Random(1)
    keys = max(1, n // 2)
    for i in range(n):
        yield command(b"SET", b"key:%012d" % rnd.randrange(keys), b"value:%026d" % i)


def mixed(n):
    rnd = random.Random(2)
    keys = max(1, n // 10)
    for i in range(n):
        what = rnd.random()
        k = rnd.randrange(keys)
        if what < .4: yield command(b"SET", b"str:%012d" % k, b"value:%026d" % i)
        elif what < .6: yield command(b"HSET", b"hash:%09d" % (k // 8), b"field:%d" % (i % 40), b"value:%010d" % i)
        elif what < .7: yield command(b"RPUSH", b"list:%09d" % (k // 20), b"item:%012d" % i)
        elif what < .8: yield command(b"ZADD", b"zset:%09d" % (k // 20), b"%d" % (i % 100000), b"member:%d" % (i % 200))
        elif what < .9: yield command(b"INCR", b"counter:%09d" % (k // 4))
        else: yield command(b"PEXPIREAT", b"str:%012d" % k, b"%d" % (4102444800000 + i))


def make_aof(path, commands):
    with open(path, "wb", 1 << 20) as f:
        f.write(command(b"SELECT", b"0"))
        block = []
        for c in commands:
            block.append(c)
            if len(block) == 10000:
                f.write(b"".join(block))
                block = []
        f.write(b"".join(block))


def cpu_seconds(stat):
    fields = open(stat).read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ready(port, pid):
    """Waits for PONG without asking so often that it costs the server anything."""
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as s:
                while True:
                    s.sendall(b"PING\r\n")
                    if s.recv(200).startswith(b"+PONG"):
                        return
                    time.sleep(0.005)
        except OSError:
            time.sleep(0.005)
        if pid.poll() is not None:
            raise SystemExit(f"the server ended: {pid.returncode}")


def one(path, what, data, where, cores):
    directory = tempfile.mkdtemp(dir=where)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    aof = what.startswith("aof")
    if aof:
        # A server appends to its files: each gets its own.
        files = os.path.join(directory, "appendonlydir")
        os.mkdir(files)
        shutil.copyfile(data, os.path.join(files, "appendonly.aof.1.incr.aof"))
        with open(os.path.join(files, "appendonly.aof.manifest"), "w") as f:
            f.write("file appendonly.aof.1.incr.aof seq 1 type i\n")
    else:
        os.link(data, os.path.join(directory, "dump.rdb"))
    args = [path, "--port", str(port), "--dir", directory, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes" if aof else "no",
            "--aof-use-rdb-preamble", "no", "--auto-aof-rewrite-percentage", "0", "--logfile", os.path.join(directory, "log")]
    if cores: args = ["taskset", "-c", cores] + args
    begun = time.perf_counter()
    server = subprocess.Popen(args)
    try:
        ready(port, server)
        seconds = time.perf_counter() - begun
        cpu, main_cpu = cpu_seconds(f"/proc/{server.pid}/stat"), cpu_seconds(f"/proc/{server.pid}/task/{server.pid}/stat")
        c = Resp(port)
        if c.info("persistence")["loading"] != "0": raise SystemExit(f"{path}: PONG while loading")
        return seconds, cpu, main_cpu, c("DBSIZE")
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(directory)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--servers", required=True)
    ap.add_argument("--maker", help="the server that makes RDB files")
    ap.add_argument("--what", default="rdb-mixed,rdb-small,aof-set,aof-mixed")
    ap.add_argument("--mb", type=int, default=1024)
    ap.add_argument("--commands", type=int, default=10_000_000)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--dir", help="where the files are; those that are there already are used again")
    ap.add_argument("--cores", help="processors for the server")
    ap.add_argument("--keep", action="store_true", help="leave the files there")
    a = ap.parse_args()
    servers = [s.split("=", 1) for s in a.servers.split(",")]
    maker = a.maker or next((path for name, path in servers if name.startswith("redis7")), None)
    where = a.dir or tempfile.mkdtemp()
    makes = {
        "rdb-mixed": lambda to: make_rdb(to, maker, lambda c: fill_mixed(c, a.mb)),
        "rdb-small": lambda to: make_rdb(to, maker, lambda c: fill_small(c, a.commands // 2)),
        "aof-set": lambda to: make_aof(to, sets(a.commands)),
        "aof-mixed": lambda to: make_aof(to, mixed(a.commands)),
    }
    made = []
    try:
        for what in a.what.split(","):
            size = a.mb if what == "rdb-mixed" else a.commands
            data = os.path.join(where, f"{what}-{size}")
            if not os.path.exists(data):
                if what.startswith("rdb") and not maker: raise SystemExit("who makes the RDB file? Give a redis7 server or --maker")
                makes[what](data)
                made.append(data)
            with open(data, "rb") as f:
                while f.read(1 << 22): pass
            found = {}
            for _ in range(a.rounds):
                for name, path in servers:
                    found.setdefault(name, []).append(one(path, what, data, where, a.cores))
            if len({r[3] for rounds in found.values() for r in rounds}) != 1: raise SystemExit(f"{what}: not all loaded the same number of keys")
            seconds = {name: statistics.median(r[0] for r in rounds) for name, rounds in found.items()}
            for name, rounds in found.items():
                others = [s for n, s in seconds.items() if n != name and (n != "ours" or len(seconds) == 2)]
                print(json.dumps({"test": what, "server": name, "mb": os.path.getsize(data) >> 20, "seconds": round(seconds[name], 3),
                                  "cpu_s": round(statistics.median(r[1] for r in rounds), 2),
                                  "main_cpu_s": round(statistics.median(r[2] for r in rounds), 2), "keys": rounds[0][3],
                                  "to_best_other": round(seconds[name] / min(others), 3) if others else None}), flush=True)
    finally:
        if not a.keep:
            for data in made: os.remove(data)
            if not a.dir: shutil.rmtree(where, ignore_errors=True)


if __name__ == "__main__":
    main()
