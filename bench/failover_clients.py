"""The clients of failoverbench.py: writers who remember what was acknowledged, and readers who notice what is older than that.

Writer w pushes the numbers 1, 2, 3, … to the list `w<w>`, several at once, and never one of them twice. So what is missing in the end is known number by
number, and the highest number in a list tells how old a read is. A number whose reply never came may be there or not. A request that was given up may
arrive late, behind higher numbers: so a reader takes the highest of the last numbers, not the last one.
"""
import pickle, socket, threading, time

# Requests that a writer sends at once.
DEPTH = 8
# Numbers that a reader looks at.
TAIL = 64
# Seconds for a connection to be made: the network is a local one.
CONNECT = 0.1


class Resp:
    """A connection. An error that is answered is returned, not raised."""

    def __init__(self, address, port, patience):
        self.socket = socket.create_connection((address, port), timeout=CONNECT)
        self.socket.settimeout(patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    @staticmethod
    def encode(*words):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)

    def send(self, data):
        self.socket.sendall(data)

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError("the connection ended")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.bulk(int(rest))
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        raise ValueError(f"not a reply: {line[:60]!r}")

    def bulk(self, length):
        data = self.file.read(length + 2)
        if len(data) < length + 2:
            raise EOFError("the connection ended")
        return data[:-2]

    def __call__(self, *words):
        self.send(self.encode(*words))
        return self.read()

    def close(self):
        self.file.close()
        self.socket.close()


GONE = (OSError, EOFError, ValueError)


class Shared:
    """What the clients tell each other, in memory that all their processes have. Each place has one writer."""

    def __init__(self, context, writers, readers):
        self.acknowledged = context.RawArray("Q", writers)
        self.count = context.RawArray("Q", writers)
        self.seen = [context.RawArray("Q", writers) for _ in range(readers)]
        self.reads = context.RawArray("Q", readers)
        self.rests = context.RawArray("B", 2)
        self.ends = context.RawValue("B", 0)

    def seen_by_anybody(self, writer):
        return max(seen[writer] for seen in self.seen)


class Follower:
    """Finds the master by asking the Sentinels in turn, over one of the two cables."""

    def __init__(self, network, sentinels, port, cable, patience):
        self.network, self.sentinels, self.port = network, list(sentinels), port
        self.cable, self.patience = cable, patience
        self.news = None

    def listen(self):
        """Hears of another master at once from now on, as by `+switch-master`, and leaves the one that it has a connection to."""
        self.news = News(self)

    def master(self):
        """The party that the Sentinels tell, or None."""
        return self.news.master if self.news else self.ask()

    def ask(self):
        for sentinel in list(self.sentinels):
            try:
                client = Resp(self.network.address(sentinel, self.cable), self.port, 0.3)
                try:
                    told = client("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m")
                finally:
                    client.close()
                if isinstance(told, list):
                    return self.network.party_of(told[0].decode())
            except GONE:
                pass
            self.sentinels.append(self.sentinels.pop(0))
        return None

    def connect(self):
        """A connection to the master and its name, or None."""
        party = self.master()
        if party is None:
            return None
        try:
            client = Resp(self.network.address(party, self.cable), self.port, self.patience)
        except OSError:
            return None
        if self.news:
            self.news.connection = (client, party)
        return client, party


class News:
    """Threads that ask each Sentinel fifty times a second. What one of them has not said before is news."""

    def __init__(self, follower):
        self.follower, self.master, self.connection = follower, None, None
        self.lock = threading.Lock()
        for sentinel in follower.sentinels:
            threading.Thread(target=self.watch, args=(sentinel,), daemon=True).start()

    def watch(self, sentinel):
        said = None
        while True:
            try:
                client = Resp(self.follower.network.address(sentinel, self.follower.cable), self.follower.port, 1)
                while True:
                    told = client("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m")
                    if isinstance(told, list) and told != said:
                        self.heard(self.follower.network.party_of(told[0].decode()))
                        said = told
                    time.sleep(0.02)
            except GONE:
                time.sleep(0.05)

    def heard(self, party):
        with self.lock:
            self.master = party
            if self.connection and self.connection[1] != party:
                try:
                    self.connection[0].socket.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


class Writer:
    def __init__(self, number, follower, shared, pause, path):
        self.number, self.follower, self.shared, self.pause, self.path = number, follower, shared, pause, path
        self.next = 1
        # For each batch: when its replies came, from which party, and the numbers that were acknowledged, as a range if all were.
        self.batches = []

    @property
    def must_rest(self):
        return self.shared.rests[0 if self.follower.cable == "first" else 1]

    def run(self):
        if self.follower.cable == "first":
            self.follower.listen()
        while not self.shared.ends.value:
            found = None if self.must_rest else self.follower.connect()
            if found is None:
                time.sleep(0.01)
                continue
            client, party = found
            try:
                while not self.shared.ends.value and not self.must_rest and self.batch(client, party):
                    time.sleep(self.pause)
            except GONE:
                pass
            client.close()
            time.sleep(0.005)
        with open(self.path, "wb") as file:
            pickle.dump(self.batches, file)

    def batch(self, client, party):
        """Sends some numbers and reads what becomes of them. Answers whether all were taken."""
        first, self.next = self.next, self.next + DEPTH
        client.send(b"".join(Resp.encode("RPUSH", f"w{self.number}", n) for n in range(first, self.next)))
        taken = []
        try:
            for n in range(first, self.next):
                if isinstance(client.read(), int):
                    taken.append(n)
                    self.shared.acknowledged[self.number] = n
        finally:
            if taken:
                self.shared.count[self.number] += len(taken)
                self.batches.append((time.monotonic(), party, taken))
        return len(taken) == DEPTH


class Reader:
    def __init__(self, number, writers, follower, shared, pause, path):
        self.number, self.writers, self.follower = number, writers, follower
        self.shared, self.pause, self.path = shared, pause, path
        self.request = b"".join(Resp.encode("LRANGE", f"w{w}", -TAIL, -1) for w in range(writers))
        # What was wrong: when the read began and ended, at which party, of which writer, what was told, and what was known before.
        self.stale, self.taken_back = [], []

    def run(self):
        while not self.shared.ends.value:
            found = self.follower.connect()
            if found is None:
                time.sleep(0.01)
                continue
            client, party = found
            try:
                while not self.shared.ends.value and self.look(client, party):
                    time.sleep(self.pause)
            except GONE:
                pass
            client.close()
            time.sleep(0.005)
        with open(self.path, "wb") as file:
            pickle.dump((self.stale, self.taken_back), file)

    def look(self, client, party):
        """Reads all lists once, and compares with what was known to anybody before. Answers whether the server answers."""
        acknowledged = list(self.shared.acknowledged)
        seen = [self.shared.seen_by_anybody(writer) for writer in range(self.writers)]
        began = time.monotonic()
        client.send(self.request)
        well = True
        for writer in range(self.writers):
            told = client.read()
            if isinstance(told, list):
                self.judge(began, party, writer, max(map(int, told), default=0), acknowledged[writer], seen[writer])
            well &= isinstance(told, list)
        return well

    def judge(self, began, party, writer, highest, acknowledged, seen):
        self.shared.reads[self.number] += 1
        if highest < acknowledged:
            self.stale.append((began, time.monotonic(), party, writer, highest, acknowledged))
        if highest < seen:
            self.taken_back.append((began, time.monotonic(), party, writer, highest, seen))
        own = self.shared.seen[self.number]
        own[writer] = max(own[writer], highest)
