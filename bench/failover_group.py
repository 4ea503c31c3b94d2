"""The servers and Sentinels of failoverbench.py as processes, what is asked of them, and what the Sentinels' logs say about leaders."""
import os, re, signal, subprocess, time
from collections import defaultdict

from failover_clients import GONE, Resp

SERVERS = ["s1", "s2", "s3"]
SENTINELS = ["t1", "t2", "t3"]
# Flags of an instance that is not there.
AWAY = {"s_down", "o_down", "disconnected"}


class Party:
    """One process in its namespace, with its directory, configuration and log."""

    def __init__(self, network, name, program, directory, port, options):
        self.network, self.name, self.port = network, name, port
        self.directory = os.path.join(directory, name)
        os.makedirs(self.directory)
        self.log = os.path.join(self.directory, "log")
        self.configuration = os.path.join(self.directory, "conf")
        self.words = [program, self.configuration] + (["--sentinel"] if name in SENTINELS else [])
        with open(self.configuration, "w") as file:
            file.write(f"port {port}\ndir {self.directory}\nlogfile {self.log}\nprotected-mode no\n" + options)
        self.process = None

    def start(self):
        with open(os.path.join(self.directory, "output"), "ab") as output:
            command = self.network.command(self.name, self.words)
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def ask(self, *words, patience=1.0):
        """The answer, or None. Over the second cable, which is never cut."""
        try:
            client = Resp(self.network.address(self.name, "second"), self.port, patience)
            try:
                return client(*words)
            finally:
                client.close()
        except GONE:
            return None

    def fields(self, *words):
        answer = self.ask(*words)
        if not isinstance(answer, bytes):
            return {}
        return dict(line.split(":", 1) for line in answer.decode().splitlines() if ":" in line)

    def map(self, *words):
        answer = self.ask(*words)
        return {} if not isinstance(answer, list) else dict(zip(map(bytes.decode, answer[::2]), map(bytes.decode, answer[1::2])))


class Group:
    """A master, two replicas, and three Sentinels that watch them."""

    def __init__(self, network, directory, setup):
        self.network, self.setup = network, setup
        make = lambda name, program, options: Party(network, name, program, directory, setup.port, options)
        self.servers = {name: make(name, setup.server, self.server_options(name)) for name in SERVERS}
        programs = zip(SENTINELS, setup.sentinels)
        self.sentinels = {name: make(name, program, self.sentinel_options()) for name, program in programs}

    def server_options(self, name):
        options = 'save ""\nappendonly yes\n'
        if name != SERVERS[0]:
            options += f"replicaof {self.network.address(SERVERS[0])} {self.setup.port}\n"
        if self.setup.synchronous:
            options += f"synchronous-replicas {self.setup.synchronous}\nsynchronous-timeout 2000\nsynchronous-reads yes\n"
        return options

    def sentinel_options(self):
        return (f"sentinel monitor m {self.network.address(SERVERS[0])} {self.setup.port} 2\n"
                f"sentinel down-after-milliseconds m {self.setup.down_after_ms}\nsentinel failover-timeout m {self.setup.failover_timeout_ms}\n"
                "sentinel parallel-syncs m 2\n")

    def start(self):
        for server in self.servers.values():
            server.start()
        wait("all servers answer", 20, lambda: all(server.ask("PING") == "PONG" for server in self.servers.values()))
        for sentinel in self.sentinels.values():
            sentinel.start()

    def end(self):
        for party in [*self.servers.values(), *self.sentinels.values()]:
            if party.process and party.process.poll() is None:
                party.signal(signal.SIGCONT)
                party.kill()

    def masters_told(self):
        """Which party each Sentinel says is the master; None where it doesn't answer."""
        told = []
        for sentinel in self.sentinels.values():
            address = sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m")
            told.append(self.network.party_of(address[0].decode()) if isinstance(address, list) else None)
        return told

    def why_not_whole(self):
        """What is still missing: all Sentinels agree and see everybody, and the master has two replicas in step."""
        told = self.masters_told()
        if None in told or len(set(told)) > 1:
            return f"the Sentinels say {told}"
        views = [sentinel.map("SENTINEL", "MASTER", "m") for sentinel in self.sentinels.values()]
        if len({view.get("config-epoch") for view in views}) > 1:
            return f"epochs {[view.get('config-epoch') for view in views]}"
        for view in views:
            if (view.get("flags"), view.get("num-slaves"), view.get("num-other-sentinels")) != ("master", "2", "2"):
                return f"a Sentinel sees {view.get('flags')}, {view.get('num-slaves')} replicas, {view.get('num-other-sentinels')} others"
        return self.why_not_followed(told[0]) or self.who_seems_down()

    def why_not_followed(self, master):
        info = self.servers[master].fields("INFO", "replication")
        online = sum("state=online" in value for key, value in info.items() if re.fullmatch(r"slave\d+", key))
        if info.get("role") != "master" or online < 2:
            return f"{master} is {info.get('role')} with {online} replicas"
        for name, server in self.servers.items():
            fields = server.fields("INFO", "replication")
            if name != master and (fields.get("role"), fields.get("master_link_status")) != ("slave", "up"):
                return f"{name} is {fields.get('role')}, link {fields.get('master_link_status')}"
        if self.setup.synchronous and self.setup.fences:
            if len(info.get("members", "").split(",")) != 3 or info.get("stale_master") != "0":
                return f"members {info.get('members')}, stale {info.get('stale_master')}"
        return None

    def who_seems_down(self):
        for name, sentinel in self.sentinels.items():
            for kind in ("SLAVES", "SENTINELS"):
                answer = sentinel.ask("SENTINEL", kind, "m")
                if not isinstance(answer, list):
                    return f"{name} does not answer"
                flags = [entry[entry.index(b"flags") + 1].decode() for entry in answer]
                # `master_down` is what another Sentinel once said of the master, not what it is itself.
                if any(AWAY & set(flag.split(",")) for flag in flags):
                    return f"{name} sees {kind.lower()} {flags}"
        return None

    def wait_whole(self, seconds=120):
        """Answers after how many seconds it was whole."""
        began, last = time.monotonic(), None
        while (last := self.why_not_whole()) and time.monotonic() < began + seconds:
            time.sleep(0.1)
        if last:
            raise RuntimeError(f"the set is not whole after {seconds} s: {last}")
        return time.monotonic() - began


def wait(what, seconds, holds):
    """Answers after how many seconds `holds()`."""
    began = time.monotonic()
    while not (value := holds()):
        if time.monotonic() > began + seconds:
            raise RuntimeError(f"not within {seconds} s: {what}")
        time.sleep(0.02)
    return value


# ---- what the Sentinels' logs say ----

EVENT = re.compile(r"(?:# |\* |- )([+-][a-z-]+) ?(.*)$")


class Verdict:
    """Who voted for whom, and who led, epoch by epoch, by the logs of all Sentinels."""

    def __init__(self):
        self.votes = defaultdict(dict)
        self.leaders = defaultdict(set)
        self.switches = defaultdict(int)
        self.counts = defaultdict(int)
        self.faults = []

    @classmethod
    def of(cls, sentinels):
        self = cls()
        for sentinel in sentinels:
            with open(sentinel.log, errors="replace") as file:
                self.read(sentinel.name, sentinel.map("SENTINEL", "MYID") or sentinel.ask("SENTINEL", "MYID"), file)
        self.judge()
        return self

    def read(self, name, own_id, lines):
        own_id, own_epoch = (own_id or b"").decode(), None
        for line in lines:
            match = EVENT.search(line)
            if not match:
                continue
            event, rest = match.groups()
            self.counts[event] += 1
            if event == "+vote-for-leader":
                leader, epoch = rest.split()[-2], int(rest.split()[-1])
                if self.votes[epoch].setdefault(name, leader) != leader:
                    self.faults.append(f"{name} voted twice in epoch {epoch}: {self.votes[epoch][name]} and {leader}")
                if leader == own_id:
                    own_epoch = epoch
            elif event == "+elected-leader":
                self.leaders[own_epoch].add((name, own_id))
            elif event == "+switch-master":
                self.switches[name] += 1

    def judge(self):
        for epoch, leaders in self.leaders.items():
            if len(leaders) > 1:
                self.faults.append(f"epoch {epoch} has the leaders {sorted(name for name, _ in leaders)}")
            for name, own_id in leaders:
                votes = sum(leader == own_id for leader in self.votes[epoch].values())
                if epoch is None or votes < 2:
                    self.faults.append(f"{name} leads epoch {epoch} with {votes} votes")
