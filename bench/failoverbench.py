#!/usr/bin/env python3
"""Failovers of real processes: what is lost, what is read that is too old, and how long nothing can be written.

  failoverbench.py --program ours=PATH --program redis7=PATH --server ours --sentinels ours,ours,ours [--synchronous 1]
                   [--failovers 20] [--kinds kill,stop,deaf,both] [--json FILE]

One master, two replicas and three Sentinels, each in a network namespace of its own (so it needs root, `ip` and `tc`), four writers, and two readers. Two of
the writers and one reader lose a master together with the others when it is cut off; these writers hear of another master at once. The rest can still talk
to one that is cut off, as a client in the same rack could, and stay with it until it gives an error or no answer. The kinds of trouble, each in its turn, of the master:

  kill    kill -9, started again three seconds after there is another master
  stop    SIGSTOP, continued after as long
  mute    nothing that it says arrives
  deaf    nothing arrives at it
  both    both of that: its link is down
  quiet   the same, in a moment without writes; those who can still reach it go on reading there, and write nothing meanwhile
  freeze  SIGSTOP in a moment without writes

A read is stale if it shows less than what was acknowledged to anybody before it began, and taken back if it shows less than what anybody had read before it
began. Lost is what was acknowledged and is not there in the end. Prints Markdown rows. The time without a master counts from the trouble to the first write
that another server acknowledges. Exits with 1 if `--synchronous` was asked of our Sentinels and something was lost or read too old, or if the Sentinels' logs
show two leaders in an epoch.
"""
import argparse, json, multiprocessing, os, pickle, shutil, signal, statistics, sys, tempfile, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from failover_clients import Follower, Reader, Shared, Writer
from failover_group import SENTINELS, SERVERS, Group, Verdict, wait
from failover_net import Network

WRITERS, READERS = 4, 2
# Seconds that a client waits for a reply; the reader who can still talk to a lost master is patient.
PATIENCE, LONG_PATIENCE = 0.7, 15.0
KINDS = {"kill": "`kill -9`", "stop": "SIGSTOP", "mute": "cut one way: it is not heard", "deaf": "cut one way: it hears nothing",
         "both": "cut both ways", "quiet": "cut both ways while nobody writes to it", "freeze": "SIGSTOP while nobody writes to it"}
CYCLE = ["kill", "stop", "mute", "both", "kill", "freeze", "deaf", "quiet"]


class Setup:
    def __init__(self, options):
        programs = dict(program.split("=", 1) for program in options.program)
        names = options.sentinels.split(",")
        if len(names) != 3:
            raise SystemExit("failoverbench: --sentinels takes three names")
        for name in [options.server, *names]:
            if name not in programs:
                raise SystemExit(f"failoverbench: --program {name}=PATH is missing")
        self.server, self.sentinels = programs[options.server], [programs[name] for name in names]
        self.synchronous, self.port = options.synchronous, options.port
        self.fences = set(names) == {"ours"}
        self.failover_timeout_ms, self.down_after_ms = options.failover_timeout, options.down_after
        self.name = f"{options.server}" + (f", synchronous-replicas {self.synchronous}" if self.synchronous else "") + f"; {' + '.join(names)}"


class Trouble:
    """One failover: what was done to whom, and when (seconds of the monotonic clock)."""

    def __init__(self, kind, old):
        self.kind, self.old = kind, old
        self.began = self.ended = self.switched = None


class Clients:
    """The processes of writers and readers."""

    def __init__(self, network, setup, directory, pause):
        context = multiprocessing.get_context("fork")
        self.shared = Shared(context, WRITERS, READERS)
        self.paths, self.processes = [], []
        for number in range(WRITERS):
            follower = Follower(network, SENTINELS, setup.port, "first" if number % 2 == 0 else "second", PATIENCE)
            path = self.path(directory, f"writer{number}")
            self.add(context, Writer(number, follower, self.shared, pause, path))
        for number, (cable, patience) in enumerate((("first", PATIENCE), ("second", LONG_PATIENCE))):
            follower = Follower(network, SENTINELS, setup.port, cable, patience)
            path = self.path(directory, f"reader{number}")
            self.add(context, Reader(number, WRITERS, follower, self.shared, pause, path))

    def path(self, directory, name):
        self.paths.append(os.path.join(directory, name))
        return self.paths[-1]

    def add(self, context, client):
        process = context.Process(target=client.run, daemon=True)
        process.start()
        self.processes.append(process)

    def count(self):
        return sum(self.shared.count)

    def wait_writes(self, n):
        target = self.count() + n
        wait(f"{n} writes are acknowledged", 60, lambda: self.count() >= target)

    def end(self):
        self.shared.ends.value = 1
        for process in self.processes:
            process.join(LONG_PATIENCE + 10)
            if process.is_alive():
                process.kill()

    def results(self):
        told = []
        for path in self.paths:
            with open(path, "rb") as file:
                told.append(pickle.load(file))
        return told[:WRITERS], told[WRITERS:]


class Run:
    def __init__(self, network, setup, options, directory):
        self.network, self.options, self.directory = network, options, directory
        self.setup, self.group = setup, Group(network, directory, setup)
        self.troubles, self.clients = [], None

    def play(self):
        self.group.start()
        self.group.wait_whole(60)
        self.clients = Clients(self.network, self.setup, self.directory, self.options.pause / 1000)
        self.clients.wait_writes(1000)
        for number in range(self.options.failovers):
            self.fail_over(self.options.kinds[number % len(self.options.kinds)], number)
        time.sleep(self.options.quiet_end)
        self.clients.end()
        self.group.wait_whole()

    def fail_over(self, kind, number):
        trouble = Trouble(kind, self.group.masters_told()[0])
        self.troubles.append(trouble)
        old = self.group.servers[trouble.old]
        if kind in ("quiet", "freeze"):
            self.clients.shared.rests[0] = self.clients.shared.rests[1] = 1
            time.sleep(0.3)
        trouble.began = time.monotonic()
        self.strike(kind, old)
        self.clients.shared.rests[0] = 0
        try:
            wait("another one is the master", 90, lambda: any(told not in (None, old.name) for told in self.group.masters_told()))
            trouble.switched = time.monotonic()
            time.sleep(self.options.hold)
        finally:
            self.mend(kind, old)
        time.sleep(0.1)
        self.clients.shared.rests[1] = 0
        self.clients.wait_writes(500)
        whole = self.group.wait_whole()
        self.clients.wait_writes(500)
        trouble.ended = time.monotonic()
        print(f"  {number + 1}: {kind} of {old.name}, another one after {round(1000 * (trouble.switched - trouble.began))} ms, "
              f"whole {whole:.1f} s after it was mended", file=sys.stderr, flush=True)

    def strike(self, kind, old):
        if kind == "kill":
            old.kill()
        elif kind in ("stop", "freeze"):
            old.signal(signal.SIGSTOP)
        elif kind == "mute":
            self.network.cut_sending(old.name)
        elif kind == "deaf":
            self.network.cut_hearing(old.name)
        else:
            self.network.cut_both(old.name)

    def mend(self, kind, old):
        if kind == "kill":
            old.start()
        elif kind in ("stop", "freeze"):
            old.signal(signal.SIGCONT)
        else:
            self.network.heal(old.name)

    def kept(self):
        """For each writer what the master has of it in the end."""
        master = self.group.servers[self.group.masters_told()[0]]
        # Clients are gone, so this asks for nothing that waits.
        return [set(map(int, master.ask("LRANGE", f"w{writer}", 0, -1, patience=60))) for writer in range(WRITERS)]


class Report:
    """What a run comes to, for each kind of trouble."""

    def __init__(self, run):
        self.run, self.troubles = run, run.troubles
        self.kept = run.kept()
        self.writers, self.readers = run.clients.results()
        self.reads = sum(run.clients.shared.reads)
        self.verdict = Verdict.of(run.group.sentinels.values())
        self.lost = [(at, writer, n) for writer, batches in enumerate(self.writers) for at, _, taken in batches
                     for n in taken if n not in self.kept[writer]]
        self.acknowledged = sum(len(taken) for batches in self.writers for _, _, taken in batches)

    def trouble_at(self, at):
        return next((trouble for trouble in self.troubles if at <= trouble.ended), self.troubles[-1])

    def first_write(self, trouble):
        """Milliseconds from the trouble to the first write that another one acknowledged."""
        times = [at for batches in self.writers for at, party, _ in batches if trouble.began < at <= trouble.ended and party != trouble.old]
        return 1000 * (min(times) - trouble.began)

    def longest_gap(self, trouble):
        """The longest time in which nobody was acknowledged anything, in milliseconds."""
        times = sorted(at for batches in self.writers for at, _, _ in batches if trouble.began - 1 < at <= trouble.ended)
        return 1000 * max(after - before for before, after in zip(times, times[1:]))

    def row(self, label, troubles):
        chosen = set(map(id, troubles))
        count = lambda events: sum(id(self.trouble_at(event[0])) in chosen for event in events)
        acknowledged = sum(len(taken) for batches in self.writers for at, _, taken in batches if id(self.trouble_at(at)) in chosen)
        first, gaps = [self.first_write(t) for t in troubles], [self.longest_gap(t) for t in troubles]
        return {"kind": label, "failovers": len(troubles), "acknowledged": acknowledged, "lost": count(self.lost),
                "stale": sum(count(stale) for stale, _ in self.readers), "taken_back": sum(count(back) for _, back in self.readers),
                "first_median": round(statistics.median(first)), "first_max": round(max(first)),
                "gap_median": round(statistics.median(gaps)), "gap_max": round(max(gaps))}

    def rows(self):
        rows = []
        for kind, label in KINDS.items():
            troubles = [trouble for trouble in self.troubles if trouble.kind == kind]
            if troubles:
                rows.append(self.row(label, troubles))
        return rows + [self.row("all", self.troubles)]

    def markdown(self):
        lines = [f"### {self.run.setup.name}", "",
                 "| trouble | failovers | acknowledged | lost | stale reads | taken back | ms to the first write, median (most) | ms without any, median (most) |",
                 "|---|---|---|---|---|---|---|---|"]
        for row in self.rows():
            lines.append(f"| {row['kind']} | {row['failovers']} | {row['acknowledged']:,} | {row['lost']:,} | {row['stale']:,} | {row['taken_back']:,} "
                         f"| {row['first_median']} ({row['first_max']}) | {row['gap_median']} ({row['gap_max']}) |")
        return "\n".join(lines + ["", f"{self.reads:,} reads. {self.sentinels()}"])

    def sentinels(self):
        verdict = self.verdict
        elected, tried = verdict.counts["+elected-leader"], verdict.counts["+try-failover"]
        switches = [verdict.switches[name] for name in SENTINELS]
        led = [sum(name == leader for leaders in verdict.leaders.values() for leader, _ in leaders) for name in SENTINELS]
        return (f"Sentinels: {elected} leaders elected ({'/'.join(map(str, led))}) in {len(verdict.leaders)} epochs, {tried} tries, "
                f"each saw {'/'.join(map(str, switches))} switches; "
                + ("; ".join(verdict.faults) if verdict.faults else "no epoch with two leaders, no vote given twice") + ".")

    def examples(self):
        """Stale and taken back reads, the first few of each."""
        for name, which in (("stale", 0), ("taken back", 1)):
            for number, reader in enumerate(self.readers):
                for began, ended, party, writer, told, known in reader[which][:5]:
                    trouble = self.trouble_at(began)
                    yield (f"{name}: reader {number} at {party}, {1000 * (began - trouble.began):.0f} to {1000 * (ended - trouble.began):.0f} ms after "
                           f"'{trouble.kind}' of {trouble.old}: w{writer} shows {told}, {known} was known")

    def fails(self):
        promised = self.run.setup.synchronous and self.run.setup.fences
        total = self.row("all", self.troubles)
        return bool(self.verdict.faults) or bool(promised and (total["lost"] or total["stale"] or total["taken_back"]))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", action="append", default=[], metavar="NAME=PATH", help="a server's program; it is its Sentinel's, too")
    parser.add_argument("--server", default="ours")
    parser.add_argument("--sentinels", default="ours,ours,ours", metavar="NAME,NAME,NAME")
    parser.add_argument("--synchronous", type=int, default=0, metavar="N", help="synchronous-replicas, with synchronous-reads")
    parser.add_argument("--failovers", type=int, default=20)
    parser.add_argument("--kinds", default=",".join(CYCLE), type=lambda text: text.split(","))
    parser.add_argument("--hold", type=float, default=3, help="seconds from another master to the end of the trouble")
    parser.add_argument("--pause", type=float, default=5, help="milliseconds between the requests of a client")
    parser.add_argument("--quiet-end", type=float, default=5, help="seconds at the end in which nothing is done to the set")
    parser.add_argument("--down-after", type=int, default=1000, help="milliseconds")
    parser.add_argument("--failover-timeout", type=int, default=10000)
    parser.add_argument("--port", type=int, default=6379, help="of all parties, in their namespaces")
    parser.add_argument("--json", help="a file for the rows")
    parser.add_argument("--keep", action="store_true", help="keeps the directory with logs")
    options = parser.parse_args()
    unknown = [kind for kind in options.kinds if kind not in KINDS]
    if unknown or options.failovers < 1:
        parser.error(f"there is no kind {', '.join(unknown)}" if unknown else "--failovers must be 1 or more")
    return options


def main():
    options = parse()
    setup = Setup(options)
    # Whoever ends it ends its processes, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(f"failoverbench: ended by signal {number}"))
    directory = tempfile.mkdtemp(prefix="failoverbench-")
    network = Network([*SERVERS, *SENTINELS, "c"])
    network.enter("c")
    run, well = Run(network, setup, options, directory), False
    try:
        run.play()
        report = Report(run)
        print(report.markdown(), flush=True)
        for line in report.examples():
            print(line, file=sys.stderr)
        if options.json:
            with open(options.json, "w") as file:
                json.dump({"setup": setup.name, "rows": report.rows(), "faults": report.verdict.faults}, file, indent=1)
        well = not report.fails()
    finally:
        if run.clients:
            run.clients.shared.ends.value = 1
        run.group.end()
        network.remove()
        if well and not options.keep:
            shutil.rmtree(directory)
        else:
            print(f"logs: {directory}", file=sys.stderr)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
