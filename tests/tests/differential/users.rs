//! Random rules make the same users in Redis 7.0 and in Rivulet, and those may do the same.
//!
//! Both are given the same rules, wrong ones among them; what ACL GETUSER shows must agree, what ACL DRYRUN decides, and what is denied when a user
//! really sends a command, in a script and in EXEC. `RIVULET_SEED` plays a run again, `RIVULET_DECISIONS` sets its length.

use std::collections::{BTreeMap, BTreeSet};

use rivulet_tests::client::shown_command;
use rivulet_tests::random::{self, Rng};
use rivulet_tests::{Client, Kind, Reply, Server, Words};

type Line = Vec<Vec<u8>>;

/// Commands asked about for each user.
const LINES: usize = 60;
/// Commands that it really sends, and that its scripts call.
const CALLS: usize = 12;

/// The commands that both know, with their categories in Redis.
struct Commands {
    names: Vec<String>,
    categories: BTreeMap<String, BTreeSet<String>>,
    arity: BTreeMap<String, i64>,
    all_categories: Vec<String>,
}

impl Commands {
    fn of(theirs: &mut Client, ours: &mut Client) -> Commands {
        let names = |client: &mut Client| -> BTreeSet<String> {
            client.must("COMMAND LIST").items().iter().map(Reply::text).collect()
        };
        let mut shared: BTreeSet<String> = names(theirs).intersection(&names(ours)).cloned().collect();
        // It is of the category of what blocks since Redis 7.2.
        shared.remove("wait");
        let mut commands = Commands {
            names: shared.iter().cloned().collect(),
            categories: BTreeMap::new(),
            arity: BTreeMap::new(),
            all_categories: theirs.must("ACL CAT").items().iter().map(Reply::text).collect(),
        };
        let mut add = |info: &[Reply]| {
            let name = info[0].text();
            let categories = info[6].items().iter().map(|c| c.text().trim_start_matches('@').to_string());
            commands.categories.insert(name.clone(), categories.collect());
            commands.arity.insert(name, info[1].int());
        };
        for info in theirs.must("COMMAND").items().iter().map(Reply::items).filter(|i| shared.contains(&i[0].text())) {
            add(info);
            info[9].items().iter().map(Reply::items).filter(|i| shared.contains(&i[0].text())).for_each(&mut add);
        }
        commands
    }

    fn any(&self, rng: &mut Rng) -> &str {
        &self.names[rng.usize(..self.names.len())]
    }

    fn subcommands<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a String> {
        self.names.iter().filter(move |n| n.strip_prefix(name).is_some_and(|rest| rest.starts_with('|')))
    }

    /// What a text of command rules lets run, and with which first arguments.
    fn expand(&self, rules: &str) -> (bool, BTreeSet<String>, BTreeSet<String>) {
        let mut allowed: BTreeSet<String> = BTreeSet::new();
        let mut arguments = BTreeSet::new();
        for rule in rules.split(' ') {
            let (sign, name) = rule.split_at(1);
            let named: Vec<&String> = match name.strip_prefix('@') {
                Some("all") => self.names.iter().collect(),
                // A container comes before its subcommands, and takes them with it.
                Some(category) => self.names.iter().filter(|n| self.categories[*n].contains(category)).collect(),
                None => self.names.iter().filter(|n| *n == name).collect(),
            };
            // What only one of them knows has no part in this.
            let takes_arguments = |base: &str| self.arity.contains_key(base) && self.subcommands(base).next().is_none();
            if named.is_empty() && name.split_once('|').is_some_and(|(base, _)| takes_arguments(base)) {
                arguments.insert(name.to_lowercase());
            }
            for name in named.into_iter().flat_map(|name| std::iter::once(name).chain(self.subcommands(name))) {
                if sign == "+" {
                    allowed.insert(name.clone())
                } else {
                    allowed.remove(name)
                };
                let base = format!("{name}|");
                arguments.retain(|argument| !argument.starts_with(&base));
            }
        }
        // Of a command that may run anyhow they say nothing.
        arguments.retain(|argument| argument.split_once('|').is_some_and(|(base, _)| !allowed.contains(base)));
        (rules.starts_with("+@all"), allowed, arguments)
    }
}

const GLOBS: &[&str] = &["*", "a*", "?", "[ab]*", "foo", "x?", "", "k1", "\\*", "*o*", "h[^a]t"];
const GENEROUS: &[&str] = &[
    "+@all",
    "+@all allkeys",
    "+@read +@write ~a* %R~*",
    "+@all resetkeys ~* resetchannels",
    "+@all (+@all allkeys &*)",
];
const KEYS: &[&str] = &["a", "b", "ab", "foo", "x1", "", "k1", "*", "hot", "hat", "GET", "STORE", "1"];
const WORDS: &[&str] = &[
    "0", "1", "2", "3", "-1", "1x", "KEYS", "STORE", "STREAMS", "GET", "get", "BY", "LIMIT", "COUNT", "AUTH", "w_*",
    "OVERFLOW", "SET", "u8",
];

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}

fn case(rng: &mut Rng, word: String) -> String {
    if rng.u8(..10) == 0 { word.to_uppercase() } else { word }
}

/// One rule for a selector.
fn selector_rule(rng: &mut Rng, commands: &Commands) -> String {
    let sign = pick(rng, &["+", "-"]);
    let name = commands.any(rng);
    let rule = match rng.u8(..22) {
        0..4 => format!("{sign}@{}", commands.all_categories[rng.usize(..commands.all_categories.len())]),
        4..9 => format!("{sign}{name}"),
        9 => format!("+{name}|{}", pick(rng, &["get", "0", "help", ""])),
        10 => pick(rng, &["+select|0", "+select|1", "+SELECT|0", "+ping|X", "+get|a", "+config|get", "-config|set"])
            .into(),
        11 => pick(rng, &["+@all", "-@all", "allcommands", "nocommands"]).into(),
        12 => pick(rng, &["allkeys", "~*", "resetkeys", "resetkeys"]).into(),
        13 => pick(rng, &["allchannels", "&*", "resetchannels", "resetchannels"]).into(),
        14..16 => format!("~{}", pick(rng, GLOBS)),
        16..18 => format!("%{}~{}", pick(rng, &["R", "W", "RW", "WR", "r"]), pick(rng, GLOBS)),
        18..20 => format!("&{}", pick(rng, GLOBS)),
        _ => match rng.u8(..6) {
            0 => {
                pick(rng, &["nonsense", "+nonsense", "-@nonsense", "%X~a", "%RR~a", "+config|nonsense", "+", "-", "+@"])
                    .into()
            }
            _ => format!("+{name}"),
        },
    };
    case(rng, rule)
}

/// One rule for a user.
fn user_rule(rng: &mut Rng, commands: &Commands) -> String {
    match rng.u8(..40) {
        0..3 => "on".into(),
        3 => pick(
            rng,
            &["off", "nopass", "resetpass", "reset", "clearselectors", "sanitize-payload", "skip-sanitize-payload"],
        )
        .into(),
        4..6 => format!(">{}", pick(rng, &["p", "q", ""])),
        6 => format!("<{}", pick(rng, &["p", "q"])),
        7 => pick(rng, &["#abc", "!abc", "#148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940"]).into(),
        8..11 => {
            let rules: Vec<String> = (0..rng.usize(..4)).map(|_| selector_rule(rng, commands)).collect();
            format!("({})", rules.join(" "))
        }
        11 if rng.u8(..10) == 0 => pick(rng, &["(", ")", "(+get", "~a)"]).into(),
        _ => selector_rule(rng, commands),
    }
}

/// Where Redis looks at other keys than the command uses (docs/differences.md).
fn is_looked_at_elsewhere(line: &Line) -> bool {
    let places = |names: &[&str]| -> Vec<usize> {
        let is_one = |word: &&Vec<u8>| names.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()));
        line.iter().enumerate().filter(|(_, word)| is_one(word)).map(|(at, _)| at).collect()
    };
    let is = |name: &str| places(&[name]).first() == Some(&0);
    if is("pfmerge") {
        return line.len() == 2;
    }
    if is("georadius") || is("georadiusbymember") {
        return places(&["store", "storedist"]).len() > 1 || !places(&["count"]).is_empty();
    }
    let reads_streams = is("xread") || is("xreadgroup");
    let streams = places(&["streams"]);
    reads_streams
        && (streams.len() > 1
            || streams.iter().any(|at| is("xreadgroup") && *at < 4)
            || !places(&["group", "count", "block"]).is_empty())
}

/// A command line with about as many arguments as the command takes.
fn line(rng: &mut Rng, commands: &Commands, words: &mut Words) -> Line {
    loop {
        let line = any_line(rng, commands, words);
        if !is_looked_at_elsewhere(&line) {
            return line;
        }
    }
}

fn any_line(rng: &mut Rng, commands: &Commands, words: &mut Words) -> Line {
    if rng.u8(..3) == 0 {
        return words.command(rng);
    }
    let name = commands.any(rng);
    let mut line: Line = name.split('|').map(|w| w.as_bytes().to_vec()).collect();
    let arity = commands.arity[name];
    let count = arity.unsigned_abs() as usize + if arity < 0 { rng.usize(..5) } else { 0 };
    while line.len() < count {
        let word = if rng.bool() { pick(rng, KEYS) } else { pick(rng, WORDS) };
        line.push(word.as_bytes().to_vec());
    }
    line
}

struct Pair {
    theirs: Client,
    ours: Client,
}

impl Pair {
    /// Sends the lines to both; answers the replies.
    fn ask(&mut self, lines: &[Line]) -> Vec<(Reply, Reply)> {
        let theirs = self.theirs.pipeline(lines);
        theirs.into_iter().zip(self.ours.pipeline(lines)).collect()
    }

    /// Sends the lines to both, which must agree.
    fn agree(&mut self, lines: &[Line], past: &[String]) -> Vec<Reply> {
        let replies = self.ask(lines);
        for (line, (theirs, ours)) in lines.iter().zip(&replies) {
            assert_eq!(ours, theirs, "{}\n  after\n    {}", shown_command(line), past.join("\n    "));
        }
        replies.into_iter().map(|(theirs, _)| theirs).collect()
    }
}

fn words_of(line: &str) -> Line {
    line.split(' ').map(|w| w.as_bytes().to_vec()).collect()
}

/// What ACL GETUSER shows, with what the rules of commands mean instead of their text.
fn shown(user: &Reply, commands: &Commands) -> Vec<String> {
    let mut parts = Vec::new();
    for pair in user.items().chunks(2) {
        match pair[0].text().as_str() {
            "commands" => parts.push(format!("{:?}", commands.expand(&pair[1].text()))),
            "selectors" => pair[1].items().iter().for_each(|selector| parts.extend(shown(selector, commands))),
            // Redis writes this as what it could not read back.
            name => parts.push(format!("{name} {:?}", pair[1]).replace("%RW~*", "~*")),
        }
    }
    parts
}

/// An error that is about what users may do; other replies depend on the data.
fn denial(reply: &Reply) -> Option<String> {
    let text = match reply {
        Reply::Line(b'-', text) => String::from_utf8_lossy(text).into_owned(),
        _ => return None,
    };
    let is_denial = text.starts_with("NOPERM")
        || text.contains("The user executing the script")
        || text.contains("ACL permissions");
    is_denial.then(|| text.split(" script: ").next().unwrap_or_default().to_string())
}

/// Lines that a user may really send: they leave the connection and the server as they are.
fn is_harmless(line: &Line, commands: &Commands) -> bool {
    let name = |words: &[Vec<u8>]| {
        words.iter().map(|w| String::from_utf8_lossy(w).to_ascii_lowercase()).collect::<Vec<_>>().join("|")
    };
    let full = name(&line[..line.len().min(2)]);
    let Some(categories) = commands.categories.get(&full).or_else(|| commands.categories.get(&name(&line[..1]))) else {
        return false;
    };
    let data = ["read", "write"].iter().any(|c| categories.contains(*c));
    let publishes = ["publish", "spublish"].contains(&name(&line[..1]).as_str());
    let long = ["migrate", "flushall", "flushdb", "swapdb", "function|load", "function|restore"];
    publishes
        || data
            && !categories.contains("blocking")
            && !long.contains(&name(&line[..1]).as_str())
            && !long.contains(&full.as_str())
}

/// Denials of what the user sends itself, of its scripts' calls, and of its transaction after a change of its rules.
fn really_call(pair: &mut Pair, as_user: &mut Pair, name: &str, lines: &[Line], past: &[String]) -> usize {
    let mut decisions = 0;
    let mut agree = |pair: &mut Pair, lines: &[Line]| {
        for (line, (theirs, ours)) in lines.iter().zip(pair.ask(lines)) {
            let (theirs, ours) = (denial(&theirs), denial(&ours));
            assert_eq!(ours, theirs, "{}\n  after\n    {}", shown_command(line), past.join("\n    "));
            decisions += 1;
        }
    };
    agree(as_user, lines);
    let script = |line: &Line| {
        let mut words: Line =
            ["EVAL", "return redis.call(unpack(ARGV))", "0"].iter().map(|w| w.as_bytes().to_vec()).collect();
        words.extend(line.iter().cloned());
        words
    };
    let scripts: Vec<Line> = lines.iter().map(script).collect();
    agree(as_user, &scripts);
    let multi: Vec<Line> = std::iter::once(words_of("MULTI")).chain(lines.iter().cloned()).collect();
    agree(as_user, &multi);
    pair.agree(&[words_of(&format!("ACL SETUSER {name} -@write resetkeys ~a*"))], past);
    let exec = [words_of("EXEC")];
    let replies = as_user.ask(&exec);
    let (theirs, ours) = &replies[0];
    let all = |reply: &Reply| match reply {
        Reply::Many(_, items) => items.iter().map(denial).collect(),
        other => vec![Some(format!("{other:?}"))],
    };
    assert_eq!(
        all(ours),
        all(theirs),
        "EXEC of\n    {}\n  after\n    {}",
        lines.iter().map(|l| shown_command(l)).collect::<Vec<_>>().join("\n    "),
        past.join("\n    ")
    );
    // Without the right to run EXEC the transaction is still open.
    let _ = as_user.ask(&[words_of("DISCARD")]);
    decisions
}

#[test]
fn users_may_do_what_they_may_in_redis() {
    if !Kind::Redis7.is_there() {
        return;
    }
    let mut rng = Rng::with_seed(random::seed("users"));
    let wanted = random::number("RIVULET_DECISIONS").unwrap_or(100_000) as usize;
    let (redis, rivulet) = (Server::start(Kind::Redis7, &[]), Server::start(Kind::Rivulet, &[]));
    let mut pair = Pair { theirs: redis.client(), ours: rivulet.client() };
    let commands = Commands::of(&mut pair.theirs, &mut pair.ours);
    let mut words = Words::new(false);
    let (mut decisions, mut allowed, mut texts, mut same_texts) = (0, 0, 0, 0);
    while decisions < wanted {
        let name = format!("u{}", rng.u8(..4));
        let mut past = Vec::new();
        // It may go on from what it was, or be made anew.
        if rng.bool() {
            pair.agree(&[words_of(&format!("ACL DELUSER {name}"))], &past);
        }
        for _ in 0..rng.usize(1..4) {
            let mut rules: Line = vec!["ACL".into(), "SETUSER".into(), name.clone().into()];
            // Rules alone that are drawn at random would leave little allowed.
            if rng.bool() {
                rules.extend(words_of(pick(&mut rng, GENEROUS)));
            }
            rules.extend((0..rng.usize(..8)).map(|_| user_rule(&mut rng, &commands).into_bytes()));
            past.push(shown_command(&rules));
            pair.agree(&[rules], &past);
        }
        let (theirs, ours) = pair.ask(&[words_of(&format!("ACL GETUSER {name}"))]).remove(0);
        if matches!(theirs, Reply::Nil(_)) {
            assert_eq!(ours, theirs, "{past:?}");
            continue;
        }
        assert_eq!(shown(&ours, &commands), shown(&theirs, &commands), "after\n    {}", past.join("\n    "));
        let text = |user: &Reply| {
            let text = user.items()[5].text();
            text.split(' ').map(String::from).collect::<BTreeSet<_>>()
        };
        texts += 1;
        same_texts += usize::from(text(&ours) == text(&theirs));
        let lines: Vec<Line> = (0..LINES).map(|_| line(&mut rng, &commands, &mut words)).collect();
        let asked: Vec<Line> =
            lines.iter().map(|l| [words_of(&format!("ACL DRYRUN {name}")), l.clone()].concat()).collect();
        allowed += pair.agree(&asked, &past).iter().filter(|r| r.is_ok()).count();
        decisions += LINES;
        if rng.u8(..4) == 0 {
            let open = words_of(&format!("ACL SETUSER {name} on nopass +eval +multi +exec +discard +auth"));
            pair.agree(&[open], &past);
            let mut as_user = Pair { theirs: redis.client(), ours: rivulet.client() };
            as_user.agree(&[words_of(&format!("AUTH {name} x"))], &past);
            let harmless: Vec<Line> = lines.into_iter().filter(|l| is_harmless(l, &commands)).take(CALLS).collect();
            decisions += really_call(&mut pair, &mut as_user, &name, &harmless, &past);
        }
    }
    println!(
        "{decisions} decisions, {allowed} of them to allow; {same_texts} of {texts} texts are the same to the word"
    );
    assert!(allowed > decisions / 10 && allowed < decisions * 9 / 10, "{allowed} of {decisions} are allowed");
}

/// What several clients say to one server, one after the other.
const DIALOGUE: &[(usize, &str)] = &[
    (0, "ACL WHOAMI"),
    (0, "ACL USERS"),
    (0, "ACL LIST"),
    (0, "ACL GETUSER default"),
    (0, "ACL GETUSER nobody"),
    (0, "ACL CAT"),
    (0, "ACL CAT nonsense"),
    (0, "ACL CAT a b"),
    (0, "ACL LOAD"),
    (0, "ACL SAVE"),
    (0, "ACL NONSENSE"),
    (0, "ACL GENPASS 0"),
    (0, "ACL GENPASS 4097"),
    (0, "ACL GENPASS x"),
    (0, "ACL LOG x"),
    (0, "ACL LOG 1 2"),
    (0, "ACL DELUSER default x"),
    (0, "ACL SETUSER"),
    (0, "ACL HELP x"),
    (0, "ACL DRYRUN nobody GET a"),
    (0, "ACL DRYRUN default NONSENSE a"),
    (0, "ACL DRYRUN default GET"),
    (0, "ACL DRYRUN default CONFIG"),
    (0, "ACL DRYRUN default CONFIG NONSENSE"),
    (0, "AUTH x"),
    (0, "AUTH default x"),
    (0, "AUTH nobody x"),
    (0, "AUTH a b c"),
    (1, "HELLO 2 AUTH nobody x"),
    (1, "HELLO 2 AUTH default x SETNAME me"),
    (0, "ACL SETUSER u on >p ~k* +get +set +multi +exec +subscribe +client|setname +ping +eval +acl|whoami &c*"),
    (1, "AUTH u q"),
    (1, "AUTH u p"),
    (1, "ACL WHOAMI"),
    (1, "ACL LIST"),
    (1, "GET x"),
    (1, "GET k"),
    (1, "MULTI"),
    (1, "SET k v"),
    (1, "SET x v"),
    (1, "EXEC"),
    (1, "MULTI"),
    (1, "SET k v"),
    (1, "GET k"),
    (0, "ACL SETUSER u -get"),
    (1, "EXEC"),
    (1, "CONFIG GET x"),
    (1, "DEBUG SLEEP 0"),
    (1, "CLIENT GETNAME"),
    (1, "NONSENSE"),
    (1, "EVAL redis.call('get','k') 0"),
    (
        1,
        "EVAL return{redis.acl_check_cmd('get','k'),redis.acl_check_cmd('set','k','v'),redis.acl_check_cmd('set','x','v')} 0",
    ),
    (1, "EVAL redis.acl_check_cmd('nonsense') 0"),
    (1, "EVAL redis.call('set','x','v') 0"),
    (1, "EVAL return(redis.pcall('set','k','w')) 1 x"),
    (1, "RESET"),
    (1, "ACL WHOAMI"),
    (1, "AUTH u p"),
    (1, "SUBSCRIBE d"),
    (1, "SUBSCRIBE c1"),
    (1, "GET k"),
    (0, "CLIENT KILL USER nobody"),
    (0, "ACL SETUSER u resetchannels &c2"),
    (1, "PING"),
    (2, "AUTH u p"),
    (0, "ACL DELUSER u nobody"),
    (2, "PING"),
    (0, "CONFIG SET requirepass secret"),
    (0, "PING"),
    (3, "PING"),
    (3, "GET k"),
    (3, "HELLO 3"),
    (3, "DEBUG SLEEP 0"),
    (3, "NONSENSE"),
    (3, "GET"),
    (3, "MULTI"),
    (3, "AUTH wrong"),
    (3, "AUTH secret"),
    (3, "ACL GETUSER default"),
    (3, "CONFIG GET requirepass"),
    (0, "RESET"),
    (0, "PING"),
    (0, "AUTH default secret"),
    (0, "ACL SETUSER default off"),
    (0, "PING"),
    (0, "AUTH secret"),
    (0, "PING"),
    (4, "PING"),
    (0, "ACL SETUSER default on nopass"),
    (4, "PING"),
    (0, "ACL SETUSER default resetpass"),
    (4, "PING"),
    (0, "ACL SETUSER default >again"),
    (0, "CONFIG SET requirepass nopass"),
    (5, "AUTH nopass"),
    (0, "CONFIG SET acl-pubsub-default allchannels"),
    (0, "ACL SETUSER v"),
    (0, "ACL GETUSER v"),
    (0, "CONFIG SET acl-pubsub-default nonsense"),
    (0, "ACL SETUSER a\tb on"),
    (0, "ACL SETUSER v (+get"),
    (0, "ACL SETUSER w on nopass +@all ~l -client -acl|log"),
    (0, "RPUSH l 1"),
    (5, "AUTH w x"),
    (5, "SORT l BY w*"),
    (5, "SORT l BY w* GET"),
    (5, "SORT l GET #"),
    (5, "SORT l BY nosort"),
    (5, "SORT l STORE x"),
    (5, "CLIENT ID"),
    (5, "ACL LOG"),
    (5, "SORT l NONSENSE BY w*"),
    (5, "SORT_RO l BY w*"),
    (0, "ACL SETUSER w %R~*"),
    (5, "SORT l BY w*"),
    (5, "SORT l GET #"),
    (5, "MULTI"),
    (5, "SORT l GET #"),
    (5, "EVAL return(redis.call('sort','l','get','#')) 0"),
    (0, "ACL SETUSER w resetkeys ~l"),
    (5, "EXEC"),
    (5, "RESET"),
];

#[test]
fn a_dialogue_about_users() {
    if !Kind::Redis7.is_there() {
        return;
    }
    let options = ["--enable-debug-command", "no"];
    let (redis, rivulet) = (Server::start(Kind::Redis7, &options), Server::start(Kind::Rivulet, &options));
    let mut pairs: BTreeMap<usize, Pair> = BTreeMap::new();
    for (i, (who, line)) in DIALOGUE.iter().enumerate() {
        let connect = || Pair { theirs: redis.client(), ours: rivulet.client() };
        let pair = pairs.entry(*who).or_insert_with(connect);
        // Blanks other than spaces are part of a word.
        let words = words_of(line);
        let answer = |client: &mut Client| client.try_call(&words).map_err(|_| "closed");
        let (theirs, ours) = (answer(&mut pair.theirs), answer(&mut pair.ours));
        let shown = |reply: &Result<Reply, &str>| match reply {
            // A script's name is that of its text, and the rest of such a line is not about users.
            Ok(Reply::Line(b'-', text)) => String::from_utf8_lossy(text).into_owned(),
            Ok(reply) if line.starts_with("HELLO") => format!("{} items", reply.items().len()),
            Ok(reply) if line.starts_with("ACL CAT") => format!("{} items", reply.items().len()),
            reply => format!("{reply:?}"),
        };
        assert_eq!(shown(&ours), shown(&theirs), "line {i}, client {who}: {line}");
    }
}

/// The same places for keys, and the same words for what is done to them.
#[test]
fn keys_are_found_where_redis_finds_them() {
    if !Kind::Redis7.is_there() {
        return;
    }
    let mut rng = Rng::with_seed(random::seed("keys"));
    let (redis, rivulet) = (Server::start(Kind::Redis7, &[]), Server::start(Kind::Rivulet, &[]));
    let mut pair = Pair { theirs: redis.client(), ours: rivulet.client() };
    let commands = Commands::of(&mut pair.theirs, &mut pair.ours);
    let mut words = Words::new(false);
    let mut found = 0;
    for _ in 0..100 {
        let lines: Vec<Line> = (0..500)
            .map(|_| {
                let ask = pick(&mut rng, &["COMMAND GETKEYS", "COMMAND GETKEYSANDFLAGS"]);
                let mut line = line(&mut rng, &commands, &mut words);
                // Redis 7.0 wants an argument behind the command.
                while line.len() < 2 || is_looked_at_elsewhere(&line) {
                    line.push(b"a".to_vec());
                }
                [words_of(ask), line].concat()
            })
            .collect();
        for (line, (theirs, ours)) in lines.iter().zip(pair.ask(&lines)) {
            // Whether what is overwritten was read before is said otherwise by Redis 7.2, and nothing that users may do depends on it.
            let shown = |reply: &Reply| format!("{reply:?}").replace("+RW", "+OW");
            assert_eq!(shown(&ours), shown(&theirs), "{}", shown_command(line));
            found += usize::from(!theirs.is_error());
        }
    }
    assert!(found > 10_000, "{found} of 50000 lines have keys");
}
