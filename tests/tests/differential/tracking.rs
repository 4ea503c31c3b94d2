//! The same random commands of clients that track: each is told the same, of the same keys, in the same order between its replies.

use rivulet_tests::client::shown_command;
use rivulet_tests::random::{self, Rng};
use rivulet_tests::{Client, Kind, Reply, Server, Words};

/// Commands between two looks at what was told.
const ROUND: usize = 50;

/// The first of them run commands, in turns; all are told.
const CLIENTS: &[&str] = &[
    "CLIENT TRACKING ON",
    "CLIENT TRACKING ON OPTOUT",
    "CLIENT TRACKING ON BCAST NOLOOP",
    "CLIENT TRACKING ON BCAST",
    "CLIENT TRACKING ON BCAST PREFIX s PREFIX h1 PREFIX z",
];
const ACTORS: usize = 3;

/// A server with its clients, and what each was sent: `.` for a reply, and what it was told.
struct Side {
    clients: Vec<Client>,
    told: Vec<Vec<String>>,
}

impl Side {
    fn new(server: &Server) -> Side {
        let clients = CLIENTS.iter().map(|line| {
            let mut client = server.client();
            client.must("HELLO 3");
            client.must(*line);
            client
        });
        let clients: Vec<Client> = clients.collect();
        Side { told: vec![Vec::new(); clients.len()], clients }
    }

    /// Reads up to the next reply.
    fn read(&mut self, at: usize) -> Reply {
        loop {
            match self.clients[at].read().expect("the server answers") {
                Reply::Many(b'>', push) => self.told[at].push(format!("{push:?}")),
                reply => {
                    self.told[at].push(".".to_string());
                    return reply;
                }
            }
        }
    }

    fn run(&mut self, at: usize, command: &[Vec<u8>]) {
        self.clients[at].add_words(command);
        self.clients[at].flush().expect("the server reads");
        self.read(at);
    }

    /// What all were told until now.
    fn take(&mut self) -> Vec<Vec<String>> {
        for at in 0..self.clients.len() {
            self.run(at, &[b"PING".to_vec()]);
        }
        self.told.iter_mut().map(std::mem::take).collect()
    }
}

/// What Rivulet does otherwise on purpose: databases that are exchanged are other data, and a key that can be found on a line of XREAD which makes no
/// sense is remembered.
fn is_other(command: &[Vec<u8>]) -> bool {
    let is = |word: &[u8], known: &str| word.eq_ignore_ascii_case(known.as_bytes());
    let mut rest = &command[1..];
    while let [option, _, more @ ..] = rest
        && (is(option, "COUNT") || is(option, "BLOCK"))
    {
        rest = more;
    }
    let makes_sense = rest.first().is_some_and(|word| is(word, "STREAMS")) && rest.len() % 2 == 1 && rest.len() > 1;
    is(&command[0], "SWAPDB") || is(&command[0], "XREAD") && !makes_sense
}

#[test]
fn random_commands_tell_the_same() {
    if !Kind::Redis7.is_there() {
        return;
    }
    let seed = random::seed("tracking beside Redis");
    let total = random::number("RIVULET_COMMANDS").unwrap_or(30_000) as usize;
    let servers = [Kind::Redis7, Kind::Rivulet].map(|kind| Server::start(kind, &[]));
    let mut sides = [Side::new(&servers[0]), Side::new(&servers[1])];
    let mut rng = Rng::with_seed(seed);
    let mut words: Vec<Words> = (0..ACTORS).map(|_| Words::new(false)).collect();
    let mut pushes = 0;
    for round in 0..total / ROUND {
        let mut past = Vec::new();
        while past.len() < ROUND {
            let at = rng.usize(..ACTORS);
            let command = words[at].command(&mut rng);
            if is_other(&command) {
                continue;
            }
            sides.iter_mut().for_each(|side| side.run(at, &command));
            past.push(format!("{at}: {}", shown_command(&command)));
        }
        let [theirs, ours] = sides.each_mut().map(Side::take);
        pushes += theirs.iter().flatten().filter(|told| *told != ".").count();
        for (at, (theirs, ours)) in theirs.iter().zip(&ours).enumerate() {
            assert_eq!(theirs, ours, "client {at} in round {round}, RIVULET_SEED={seed}, after\n{}", past.join("\n"));
        }
    }
    println!("{pushes} messages");
    assert!(pushes > total / 4, "{pushes} messages after {total} commands");
}
