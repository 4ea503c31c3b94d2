"""The network of failoverbench.py: each party in a namespace of its own, on two bridges of a namespace between them, and cuts of one party's cable.

Every party has two cables. On the first are replication, Sentinels and the clients who are cut off together with the others; on the second are only the
clients who can talk to a server that the rest has lost. Cuts concern the first one. Nothing is left in the machine's own network. Needs root, `ip` and `tc`.
"""
import ctypes, os, subprocess

CLONE_NEWNET = 0x40000000
CABLES = {"first": ("eth0", "10.77.0"), "second": ("eth1", "10.78.0")}


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"failoverbench: '{' '.join(words)}': {done.stderr.strip() or done.returncode}")
    return done.stdout


class Network:
    """Namespaces for `parties`; party number i has the addresses 10.77.0.(11 + i) and 10.78.0.(11 + i)."""

    def __init__(self, parties):
        if os.geteuid():
            raise SystemExit("failoverbench: namespaces of the network can be made by root only")
        self.prefix = f"fb{os.getpid()}-"
        self.parties = list(parties)
        self.made = []
        try:
            self.build()
        except BaseException:
            self.remove()
            raise

    def build(self):
        self.add_namespace("hub")
        for cable in CABLES:
            run("ip", "-n", self.name("hub"), "link", "add", cable, "type", "bridge")
            run("ip", "-n", self.name("hub"), "link", "set", cable, "up")
        for number, party in enumerate(self.parties):
            self.add_namespace(party)
            for cable, (device, net) in CABLES.items():
                self.add_cable(party, cable, device, f"{net}.{11 + number}/24")

    def add_namespace(self, party):
        run("ip", "netns", "add", self.name(party))
        self.made.append(party)
        run("ip", "-n", self.name(party), "link", "set", "lo", "up")

    def add_cable(self, party, cable, device, address):
        hub, own, port = self.name("hub"), self.name(party), self.port(party, cable)
        run("ip", "-n", hub, "link", "add", port, "type", "veth", "peer", "name", device, "netns", own)
        run("ip", "-n", hub, "link", "set", port, "master", cable, "up")
        run("ip", "-n", own, "address", "add", address, "dev", device)
        run("ip", "-n", own, "link", "set", device, "up")

    def name(self, party):
        return self.prefix + party

    @staticmethod
    def port(party, cable):
        return f"{party}-{cable[0]}"

    def address(self, party, cable="first"):
        return f"{CABLES[cable][1]}.{11 + self.parties.index(party)}"

    def party_of(self, address):
        return self.parties[int(address.rsplit(".", 1)[1]) - 11]

    def command(self, party, words):
        """`words`, so that they run in the namespace of a party, under the pid of the process that is started."""
        return ["ip", "netns", "exec", self.name(party), *words]

    def enter(self, party):
        """This process goes into a namespace, and whatever it starts with it."""
        with open(f"/run/netns/{self.name(party)}") as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
                raise SystemExit(f"failoverbench: setns: {os.strerror(ctypes.get_errno())}")

    def cut_sending(self, party):
        """Nothing that it says arrives. It notices nothing of that."""
        run("tc", "-n", self.name(party), "qdisc", "replace", "dev", "eth0", "root", "blackhole")

    def cut_hearing(self, party):
        """Nothing arrives at it."""
        run("tc", "-n", self.name("hub"), "qdisc", "replace", "dev", self.port(party, "first"), "root", "blackhole")

    def cut_both(self, party):
        run("ip", "-n", self.name("hub"), "link", "set", self.port(party, "first"), "down")

    def heal(self, party):
        hub, port = self.name("hub"), self.port(party, "first")
        run("ip", "-n", hub, "link", "set", port, "up")
        for namespace, device in ((hub, port), (self.name(party), "eth0")):
            if "blackhole" in run("tc", "-n", namespace, "qdisc", "show", "dev", device):
                run("tc", "-n", namespace, "qdisc", "del", "dev", device, "root")

    def remove(self):
        for party in self.made:
            subprocess.run(["ip", "netns", "del", self.name(party)], capture_output=True)
        self.made = []
