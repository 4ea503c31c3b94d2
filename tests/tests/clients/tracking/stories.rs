//! Stories about clients that track, told by real servers.
//!
//! A line is `client: command; command …`: the commands go out together. Who writes then reads its replies, with what it is told between and behind
//! them, and after it all others, in order. Clients come with their first line, those whose names end in `3` speak RESP3. `$name` is a client's id.

use std::collections::BTreeMap;
use std::time::Duration;

use rivulet_tests::{Client, Kind, Reply, Server, wait};

pub struct Story {
    pub name: &'static str,
    /// Whose words are ours.
    pub beside: &'static [Kind],
    pub lines: &'static [&'static str],
}

const BOTH: &[Kind] = &[Kind::Redis7, Kind::Redis8];
const OLD: &[Kind] = &[Kind::Redis7];
const NEW: &[Kind] = &[Kind::Redis8];

pub const ALL: &[Story] = &[
    Story {
        name: "own changes are told after the reply, and inside no transaction",
        beside: BOTH,
        lines: &[
            "a3: CLIENT TRACKING ON",
            "a3: GET k; SET k 1; GET k; SET k 2; PING",
            "a3: MGET k j; MULTI; SET k 1; GET k; SET k 2; SET j 3; EXEC; PING",
            "a3: GET l; MULTI; RPUSH l 1; LLEN l; EXEC; DEL l",
            "a3: MULTI; GET k; FLUSHDB; SET k 1; EXEC; PING",
            "a3: GET k; MULTI; SET k 1; DISCARD; SET k 2",
        ],
    },
    Story {
        name: "changes of others",
        beside: BOTH,
        lines: &[
            "a3: CLIENT TRACKING ON",
            "b3: CLIENT TRACKING ON NOLOOP",
            "a3: MGET k j; EXISTS n; TYPE l; LRANGE l 0 -1",
            "b3: MGET k j; TTL n",
            "w3: SET k 1; SET k 2",
            "b3: INCR k; SET j 1; RPUSH l x; SET n 1",
            "a3: MGET s d; DEL nothing",
            "w3: MSET s 1 d 1",
            "a3: MGET s d",
            "w3: DEL no; EXPIRE no 10; RENAME s d; SETNX d 1",
            "a3: MGET s d; HGETALL h; SMEMBERS t; ZRANGE z 0 -1; XRANGE x - +",
            "w3: COPY d s; HSET h f v; SADD t m; ZADD z 1 m; XADD x 1-1 f v; EXPIRE d 100",
            "a3: GET d; OBJECT ENCODING d; STRLEN d; GETRANGE d 0 1",
            "w3: SELECT 5; SET d 1; SELECT 0; PERSIST d",
            "a3: GET d; WATCH d; SET d 1; UNWATCH",
        ],
    },
    Story {
        name: "commands that write are not reads, and those that fail are",
        beside: BOTH,
        lines: &[
            "a3: CLIENT TRACKING ON",
            "w3: SET k v; RPUSH l a",
            "a3: GETEX k; GETSET k w; LPOP none; SORT l ALPHA; GETDEL none",
            "w3: SET k v; RPUSH l b; SET none 1; DEL none",
            "a3: GET l; LLEN k; HGET k; SINTERCARD 9 m; SORT_RO l ALPHA",
            "w3: SET k v; RPUSH l c; SADD m 1",
        ],
    },
    Story {
        name: "broadcasting",
        beside: BOTH,
        lines: &[
            "a3: CLIENT TRACKING ON BCAST",
            "b3: CLIENT TRACKING ON BCAST PREFIX foo PREFIX bar NOLOOP",
            "a3: SET foo1 1; SET x 1; SET bar1 1; PING",
            "b3: SET foo1 1; SET x 1; SET bar1 1; PING",
            "b3: MULTI; SET foo1 2; SET foo2 2; EXEC",
            "b3: CLIENT TRACKING ON BCAST PREFIX fooz; CLIENT TRACKING ON BCAST PREFIX baz PREFIX bazz; CLIENT TRACKING ON BCAST PREFIX baz; CLIENT TRACKINGINFO",
            "w3: MSET baz1 1 ba 1 foo1 1; GET foo1; DEL nothing",
            "b3: CLIENT TRACKING ON BCAST; CLIENT TRACKINGINFO",
            "w3: MSET baz1 1 ba 1 foo1 1",
            "b3: CLIENT TRACKING OFF; CLIENT TRACKINGINFO; SET foo1 3",
        ],
    },
    Story {
        name: "all is forgotten",
        beside: OLD,
        lines: &[
            "a3: CLIENT TRACKING ON NOLOOP",
            "b3: CLIENT TRACKING ON BCAST PREFIX k",
            "c3: CLIENT TRACKING ON OPTIN",
            "d3: PING",
            "a3: GET k; FLUSHALL; SET k 1; PING",
            "w3: SET k 2; FLUSHDB; SET k 3",
            "w3: SELECT 3; FLUSHDB ASYNC",
            "w3: DEBUG RELOAD",
        ],
    },
    Story {
        name: "opting in and out",
        beside: BOTH,
        lines: &[
            "a3: CLIENT CACHING YES; CLIENT TRACKING ON; CLIENT CACHING YES; CLIENT CACHING NO; CLIENT TRACKING OFF",
            "a3: CLIENT TRACKING ON OPTIN; CLIENT CACHING NO; CLIENT CACHING MAYBE; GET k",
            "w3: SET k 1",
            "a3: CLIENT CACHING YES; CLIENT TRACKINGINFO; GET k; GET j; CLIENT TRACKINGINFO",
            "w3: MSET k 1 j 1",
            "a3: CLIENT CACHING YES; NOSUCHCOMMAND; GET k; CLIENT CACHING YES; GET; GET j; CLIENT CACHING YES; CLIENT ID; GET i",
            "w3: MSET k 1 j 1 i 1",
            "a3: CLIENT CACHING YES; MULTI; GET k; GET j; EXEC; GET i; MULTI; GET i; CLIENT CACHING YES; GET h; EXEC; GET g",
            "w3: MSET k 1 j 1 i 1 h 1 g 1",
            "a3: CLIENT CACHING YES; MULTI; GET k; DISCARD; GET k",
            "w3: SET k 1",
            "a3: CLIENT TRACKING OFF; CLIENT TRACKING ON OPTOUT; CLIENT CACHING YES; GET k; CLIENT CACHING NO; CLIENT TRACKINGINFO; GET j; GET i",
            "w3: MSET k 1 j 1 i 1",
            "a3: CLIENT CACHING NO; MULTI; GET k; EXEC; GET j; CLIENT TRACKING ON; GET i",
            "w3: MSET k 1 j 1 i 1",
        ],
    },
    Story {
        name: "options and their mistakes",
        beside: BOTH,
        lines: &[
            "a3: CLIENT TRACKING; CLIENT TRACKING MAYBE; CLIENT TRACKING ON REDIRECT; CLIENT TRACKING ON REDIRECT x; CLIENT TRACKING ON REDIRECT 999999",
            "a3: CLIENT TRACKING ON REDIRECT 0; CLIENT TRACKING ON REDIRECT -5; CLIENT TRACKING ON PREFIX x; CLIENT TRACKING ON WHAT",
            "a3: CLIENT TRACKING ON REDIRECT $a3 REDIRECT $a3; CLIENT TRACKING MAYBE WHAT; CLIENT TRACKING MAYBE BCAST",
            "a3: CLIENT TRACKING ON; CLIENT TRACKING ON BCAST; CLIENT TRACKING ON OPTIN OPTOUT; CLIENT TRACKING ON BCAST OPTIN; CLIENT TRACKING OFF",
            "a3: CLIENT TRACKING ON BCAST OPTIN; CLIENT TRACKING ON OPTIN; CLIENT TRACKING ON OPTOUT; CLIENT TRACKING ON NOLOOP; CLIENT TRACKINGINFO",
            "a3: CLIENT TRACKING OFF BCAST PREFIX x; CLIENT GETREDIR; CLIENT TRACKINGINFO; CLIENT TRACKINGINFO x; CLIENT GETREDIR x; CLIENT CACHING",
            "a3: CLIENT TRACKING ON BCAST PREFIX a PREFIX b PREFIX ab; CLIENT TRACKING ON BCAST PREFIX ac PREFIX b PREFIX a; CLIENT TRACKINGINFO",
            "a3: CLIENT TRACKING ON BCAST PREFIX b PREFIX a; CLIENT TRACKING ON BCAST PREFIX ab; CLIENT TRACKING ON BCAST PREFIX c; CLIENT TRACKINGINFO",
            "a3: FLAGS; RESET; CLIENT TRACKINGINFO; FLAGS; HELLO 3; CLIENT TRACKINGINFO",
        ],
    },
    Story {
        name: "redirection",
        beside: BOTH,
        lines: &[
            "r2: SUBSCRIBE __redis__:invalidate",
            "a2: CLIENT TRACKING ON REDIRECT $r2; CLIENT GETREDIR; FLAGS",
            "r3: PING",
            "b3: CLIENT TRACKING ON REDIRECT $r3; CLIENT TRACKINGINFO",
            "a2: GET k; MGET j i",
            "b3: GET k",
            "w3: SET k 1; SET j 1",
            "a2: GET k; SET k 1; MULTI; GET k; SET k 1; SET i 1; EXEC",
            "b3: GET k; SET k 1; GET k",
            "a2: FLUSHDB",
            "w3: CLIENT KILL ID $r3; CLIENT KILL ID $r2",
            "b3: MGET k j; FLAGS",
            "w3: MSET k 1 j 1",
            "b3: FLAGS; CLIENT TRACKINGINFO; MULTI; GET k; SET k 1; EXEC; CLIENT TRACKING ON; FLAGS; CLIENT TRACKINGINFO",
            "a2: GET k; SET k 1; FLAGS; CLIENT TRACKINGINFO",
        ],
    },
    Story {
        name: "many redirect to one",
        beside: BOTH,
        lines: &[
            "r3: PING",
            "a3: CLIENT TRACKING ON REDIRECT $r3",
            "b3: CLIENT TRACKING ON BCAST REDIRECT $r3",
            "a3: GET k; FLAGS",
            "b3: FLAGS",
            "w3: SET k 1",
            "a3: CLIENT TRACKING ON REDIRECT $a3; GET k; SET k 1; CLIENT GETREDIR",
        ],
    },
    Story {
        name: "protocols",
        beside: BOTH,
        lines: &[
            "a2: CLIENT TRACKING ON; GET k",
            "w3: SET k 1",
            "a2: GET k; CLIENT TRACKINGINFO; HELLO 3; CLIENT TRACKINGINFO",
            "w3: SET k 1",
            "a2: GET k; HELLO 2",
            "w3: SET k 1",
            "a2: HELLO 3; GET k",
            "w3: SET k 1",
            // Who listens to another channel hears it all the same.
            "r2: SUBSCRIBE other",
            "a2: CLIENT TRACKING ON REDIRECT $r2; GET k",
            "w3: SET k 1",
            "r2: UNSUBSCRIBE",
            "a2: GET k",
            "w3: SET k 1",
        ],
    },
    Story {
        name: "modes follow each other",
        beside: BOTH,
        lines: &[
            "a3: CLIENT TRACKING ON; GET k; CLIENT TRACKING OFF",
            "w3: SET k 1",
            "a3: CLIENT TRACKING ON; PING",
            "w3: SET k 1",
            "a3: MGET k j; CLIENT TRACKING OFF; CLIENT TRACKING ON",
            "w3: SET k 1",
            "a3: CLIENT TRACKING OFF; CLIENT TRACKING ON BCAST PREFIX x",
            "w3: MSET k 1 j 1 x 1",
        ],
    },
    Story {
        name: "replies that are off",
        beside: BOTH,
        lines: &[
            "a3: CLIENT TRACKING ON; GET k; CLIENT REPLY OFF; SET k 5; GET k; CLIENT REPLY ON",
            "w3: SET k 6",
            "a3: GET k; CLIENT REPLY SKIP; SET k 7; PING",
            "b3: CLIENT TRACKING ON BCAST; CLIENT REPLY OFF; SET k 8; CLIENT REPLY ON",
        ],
    },
    Story {
        name: "clients that wait",
        beside: BOTH,
        lines: &[
            "a3: CLIENT TRACKING ON; LRANGE l 0 -1; LRANGE m 0 -1",
            "b3: CLIENT TRACKING ON; LRANGE l 0 -1; LRANGE m 0 -1",
            "c3!: BLMOVE l m LEFT LEFT 0",
            "a3: RPUSH l x",
            "c3: CLIENT TRACKING ON; LRANGE m 0 -1; LRANGE l 0 -1",
            "c3!: BLMOVE l m LEFT LEFT 0",
            "w3: RPUSH l y",
            "c3: PING",
        ],
    },
    Story {
        name: "streams that are waited for",
        beside: NEW,
        lines: &[
            "a3: CLIENT TRACKING ON",
            "a3!: XREAD BLOCK 0 STREAMS s $",
            "w3: XADD s 1-1 a b",
            "a3: PING",
            "w3: XADD s 1-2 a b",
        ],
    },
    Story {
        name: "scripts",
        beside: NEW,
        lines: &[
            "a3: CLIENT TRACKING ON",
            "b3: CLIENT TRACKING ON NOLOOP",
            "a3: EVAL return(redis.call('get',KEYS[1])) 1 k; EVAL_RO return(redis.call('get','undeclared')) 0",
            "b3: EVAL return(redis.call('mget',KEYS[1],KEYS[2])) 2 k j",
            "w3: MSET k 1 j 1 undeclared 1",
            "a3: EVAL return(redis.call('set',KEYS[1],1)) 2 k j; EVAL_RO return(1) 1 k",
            "w3: MSET k 1 j 1",
            "a3: MGET k j; EVAL redis.call('set','k',1)redis.call('set','j',1)return(redis.call('get','k')) 0; PING",
            "b3: GET k; EVAL return(redis.call('set',KEYS[1],1)) 1 k; PING",
            "c3: CLIENT TRACKING ON BCAST NOLOOP; EVAL return(redis.call('set',KEYS[1],1)) 1 k; PING",
            "a3: MGET k j; MULTI; EVAL return(redis.call('set',KEYS[1],1)) 1 k; GET k; EXEC; PING",
        ],
    },
    Story {
        name: "keys whose time is over",
        beside: BOTH,
        lines: &[
            "w3: DEBUG SET-ACTIVE-EXPIRE 0",
            "a3: CLIENT TRACKING ON",
            "b3: CLIENT TRACKING ON BCAST NOLOOP",
            "w3: SET k 1 PX 150; SET j 1 PX 150; SET i 1",
            "a3: MGET k j i",
            "sleep 160",
            "a3: EXISTS k; PING",
            "b3: MULTI; EXISTS j; EXEC; PING",
            "w3: SET k 1; EXPIRE k -1; EXPIREAT i 1",
            "w3: DEBUG SET-ACTIVE-EXPIRE 1; SET k 1 PX 150",
            "a3: GET k",
            "sleep 500",
            "w3: PING",
        ],
    },
    Story {
        name: "fields whose time is over",
        beside: NEW,
        lines: &[
            "w3: HSET h f 1 g 2; HPEXPIRE h 150 FIELDS 1 f",
            "a3: CLIENT TRACKING ON; HGETALL h",
            "b3: CLIENT TRACKING ON BCAST NOLOOP",
            "sleep 500",
            "a3: HGETALL h",
            "w3: HPEXPIRE h 0 FIELDS 1 g",
        ],
    },
    Story {
        name: "keys that make room",
        beside: BOTH,
        lines: &[
            "w3: CONFIG SET maxmemory-policy allkeys-random; SET k 1",
            "a3: CLIENT TRACKING ON; GET k",
            "w3: CONFIG SET maxmemory 1; CONFIG SET maxmemory 0",
            "a3: SET k 1; GET k; CONFIG SET maxmemory 1; GET none; CONFIG SET maxmemory 0; PING",
        ],
    },
];

struct Stage {
    server: Server,
    /// Who may wait for keys.
    waiting: Option<String>,
    clients: BTreeMap<String, Client>,
    ids: BTreeMap<i64, String>,
    markers: usize,
    transcript: Vec<String>,
}

/// What all are sent in the course of a story.
pub fn play(kind: Kind, story: &Story) -> Vec<String> {
    let server = Server::start(kind, &[]);
    // So that an id is no number that replies have.
    (0..100).for_each(|_| _ = server.client().must("PING"));
    let (clients, ids) = (BTreeMap::new(), BTreeMap::new());
    let mut stage = Stage { server, waiting: None, clients, ids, markers: 0, transcript: Vec::new() };
    for line in story.lines {
        stage.transcript.push(format!("== {line}"));
        match line.strip_prefix("sleep ") {
            Some(ms) => wait::pause(Duration::from_millis(ms.parse().expect("a number"))),
            None => stage.line(line),
        }
    }
    stage.transcript
}

impl Stage {
    fn line(&mut self, line: &str) {
        let (name, commands) = line.split_once(": ").expect("a client's name");
        // With a mark nothing is waited for.
        let (name, waits) = name.strip_suffix('!').map_or((name, false), |name| (name, true));
        self.meet(name);
        let client = self.clients.get_mut(name).expect("it is there");
        for command in commands.split("; ") {
            let command = self
                .ids
                .iter()
                .fold(command.to_string(), |c, (id, name)| c.replace(&format!("${name}"), &id.to_string()));
            client.add(if command == "FLAGS" { "CLIENT INFO" } else { &command });
        }
        client.flush().expect("the server reads");
        if waits {
            let blocked = |server: &mut Server| server.info("blocked_clients") == "1";
            wait::until("it waits", || blocked(&mut self.server));
            self.waiting = Some(name.to_string());
            return;
        }
        self.collect(name);
        let names: Vec<String> = self.clients.keys().cloned().collect();
        names.iter().filter(|other| *other != name).for_each(|other| self.collect(other));
    }

    fn meet(&mut self, name: &str) {
        if self.clients.contains_key(name) {
            return;
        }
        let mut client = self.server.client();
        self.ids.insert(client.must("CLIENT ID").int(), name.to_string());
        if name.ends_with('3') {
            client.must("HELLO 3");
        }
        self.clients.insert(name.to_string(), client);
    }

    /// What a client was sent: before a first mark, and between that and another one, where what is told at the end of a turn stands.
    fn collect(&mut self, name: &str) {
        if self.waiting.as_deref() == Some(name) {
            if self.server.info("blocked_clients") != "0" {
                return;
            }
            self.waiting = None;
        }
        for _ in 0..2 {
            self.markers += 1;
            let marker = format!("marker-{}", self.markers);
            let client = self.clients.get_mut(name).expect("it is there");
            client.add(&format!("PING {marker}"));
            let mut sent = client.flush().and_then(|()| client.read());
            while let Ok(reply) = &sent {
                let is_marker = |reply: &Reply| matches!(reply, Reply::Bulk(_, text) if *text == marker.as_bytes());
                if is_marker(reply) || matches!(reply, Reply::Many(b'*', items) if items.last().is_some_and(is_marker))
                {
                    break;
                }
                let shown = self.shown(reply);
                self.transcript.push(format!("{name} {shown}"));
                sent = self.clients.get_mut(name).expect("it is there").read();
            }
            if sent.is_err() {
                self.transcript.push(format!("{name} has gone"));
                self.clients.remove(name);
                return;
            }
        }
    }

    /// A reply as text, with names for ids; of a line about a client only what tells of tracking.
    fn shown(&self, reply: &Reply) -> String {
        match reply {
            Reply::Bulk(_, text) if text.starts_with(b"id=") || text.starts_with(b"txt:id=") => {
                let text = String::from_utf8_lossy(text);
                let of_interest =
                    text.split(' ').filter(|word| word.starts_with("flags=") || word.starts_with("redir="));
                of_interest
                    .map(|word| match word.strip_prefix("redir=") {
                        Some(id) => format!(" redir={}", self.id_shown(id.parse().expect("a number"))),
                        None => word.to_string(),
                    })
                    .collect()
            }
            Reply::Int(n) => self.id_shown(*n),
            // The server's own words about itself.
            Reply::Many(_, items)
                if items.first().is_some_and(|first| *first == Reply::Bulk(b'$', b"server".to_vec())) =>
            {
                "HELLO".to_string()
            }
            Reply::Many(kind, items) => {
                let items: Vec<String> = items.iter().map(|item| self.shown(item)).collect();
                format!("{}[{}]", char::from(*kind), items.join(" "))
            }
            Reply::Bulk(_, text) | Reply::Line(_, text) => String::from_utf8_lossy(text).into_owned(),
            Reply::Nil(kind) => format!("nil {}", char::from(*kind)),
        }
    }

    fn id_shown(&self, n: i64) -> String {
        self.ids.get(&n).map_or_else(|| n.to_string(), |name| format!("the id of {name}"))
    }
}
