#!/usr/bin/env python3
"""What a slow replica costs the others: one or three replicas attach at once to a master that is written to, one of the three over a link that is
throttled.

  slowbench.py --servers ours=PATH,valkey9=PATH,... [--mb 256] [--slow-mb-s 5] [--opt NAME:--option value]

Prints one JSON line for each server: seconds until a replica that is alone is in step; until the quick two of three are; until the slow one is; the
master's extra memory while there are three; and how many full syncs there were. Needs peerbench.py beside it.
"""
import argparse, json, os, socket, subprocess, sys, threading, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peerbench as pb


class Throttle(threading.Thread):
    """A proxy to a port that passes on so many bytes a second towards the replica."""

    def __init__(self, port, rate):
        super().__init__(daemon=True)
        self.port, self.rate = port, rate
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()

    def run(self):
        while True:
            client, _ = self.listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                client.close()
                continue
            threading.Thread(target=self.copy, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self.copy, args=(server, client, self.rate), daemon=True).start()

    @staticmethod
    def copy(source, to, rate):
        try:
            while data := source.recv(64 << 10):
                to.sendall(data)
                if rate:
                    time.sleep(len(data) / rate)
        except OSError:
            pass
        for end in (source, to):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def attach(master, path, opts, ports):
    """Starts a replica for each port, and answers after how many seconds each was in step."""
    replicas = [pb.Server("replica", path, core=1, opts=opts, nice=5) for _ in ports]
    began, seconds = time.time(), [None] * len(ports)

    def follow(i):
        replicas[i].client()("REPLICAOF", "127.0.0.1", ports[i])
        if pb.wait_up(replicas[i], 600) and pb.wait_offset(master, replicas[i], 600):
            seconds[i] = round(time.time() - began, 2)

    threads = [threading.Thread(target=follow, args=(i,)) for i in range(len(ports))]
    for thread in threads:
        thread.start()
    return replicas, threads, seconds


def measure(name, path, mb, slow, opts):
    master, others, load = pb.Server(name, path, core=0, opts=opts), [], None
    try:
        pb.load_mixed(master.client(600), mb)
        time.sleep(1)
        base = master.pss()
        keys = int(mb * 1048576 * .6 / 230)
        load = subprocess.Popen([pb.BENCH, "-h", "127.0.0.1", "-p", str(master.port), "-c", "5", "--rps", "2000", "-n", str(2000 * 900), "-r", str(keys),
                                 "SET", "str:__rand_int__", "w" * 200], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        others, threads, alone = attach(master, path, opts, [master.port])
        threads[0].join()
        others.pop().stop()
        time.sleep(1)
        proxy = Throttle(master.port, slow << 20)
        proxy.start()
        others, threads, three = attach(master, path, opts, [master.port, master.port, proxy.address[1]])
        peak = base
        while any(thread.is_alive() for thread in threads):
            peak = max(peak, master.pss())
            time.sleep(0.1)
        info = master.client().info("stats")
        print(json.dumps({"test": "slow", "server": name, "mb": mb, "slow_mb_s": slow, "alone_s": alone[0], "quick_s": three[:2], "slow_s": three[2],
                          "extra_mem_mb": (peak - base) >> 20, "extra_mem_pct": round(100 * (peak - base) / base, 1), "sync_full": info["sync_full"]}),
              flush=True)
    finally:
        if load:
            load.kill()
        for server in [master] + others:
            server.stop()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--servers", required=True)
    ap.add_argument("--mb", type=int, default=256)
    ap.add_argument("--slow-mb-s", type=int, default=5)
    ap.add_argument("--opt", action="append", default=[])
    a = ap.parse_args()
    opts = {}
    for opt in a.opt:
        name, option = opt.split(":", 1)
        opts.setdefault(name, []).append(option)
    for name, path in (server.split("=", 1) for server in a.servers.split(",")):
        measure(name, path, a.mb, a.slow_mb_s, opts.get(name, []))


if __name__ == "__main__":
    main()
