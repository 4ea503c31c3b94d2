#!/usr/bin/env python3
"""What append-only costs: SET, 16 pipelined, with appendonly off and on, for several servers in one run.

  aofbench.py --servers ours=PATH,redis7=PATH,... [--n 1000000] [--rounds 3] [--fsync everysec]

Prints one JSON line for each server and setting: requests per second, and per second of the server's processor time (all its threads),
the median of the rounds. Needs redis-benchmark.
"""
import argparse, json, os, shutil, socket, statistics, subprocess, tempfile, time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def one(path, appendonly, fsync, n, pipeline):
    directory = tempfile.mkdtemp()
    port = free_port()
    args = [path, "--port", str(port), "--dir", directory, "--save", "", "--appendonly", appendonly, "--appendfsync", fsync,
            "--logfile", os.path.join(directory, "log"), "--auto-aof-rewrite-percentage", "0"]
    server = subprocess.Popen(args)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        time.sleep(0.3)
        before = cpu_seconds(server.pid)
        out = subprocess.run(["redis-benchmark", "-p", str(port), "-t", "set", "-P", str(pipeline), "-n", str(n), "-r", "100000", "-d", "16",
                              "-c", "50", "--csv"], capture_output=True, text=True, check=True).stdout
        cpu = cpu_seconds(server.pid) - before
        rate = float(out.strip().splitlines()[-1].split(",")[1].strip('"'))
        return rate, n / cpu
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(directory)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--servers", required=True)
    ap.add_argument("--n", type=int, default=1000000)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--pipeline", type=int, default=16)
    ap.add_argument("--fsync", default="everysec")
    a = ap.parse_args()
    servers = [s.split("=", 1) for s in a.servers.split(",")]
    found = {}
    for _ in range(a.rounds):
        for name, path in servers:
            for appendonly in ("no", "yes"):
                found.setdefault((name, appendonly), []).append(one(path, appendonly, a.fsync, a.n, a.pipeline))
    for (name, appendonly), rounds in found.items():
        print(json.dumps({"test": "aof", "server": name, "appendonly": appendonly, "fsync": a.fsync,
                          "ops": round(statistics.median(r[0] for r in rounds)),
                          "ops_per_cpu_s": round(statistics.median(r[1] for r in rounds))}), flush=True)


if __name__ == "__main__":
    main()
