//! The whole configuration: against Redis's names and defaults, round trips, error texts, command lines, rewriting.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::directive::{HIDDEN, IMMUTABLE, Kind, MULTI_ARG, NO_MEANING, PROTECTED, VOLATILE};
use super::*;

const BY: SetBy = SetBy { local: false, loading: false };

/// What CONFIG GET * of a fresh Redis 7.0.15 shows, without `dir`.
const REDIS_DEFAULTS: &str = include_str!("redis-7.0.15-defaults.txt");

/// What a change has changed.
fn names(change: &Change) -> Vec<&'static str> {
    change.directives.iter().map(|directive| directive.name).collect()
}

fn text_of(config: &Config, name: &str) -> String {
    let found = config.get(&[name]);
    String::from_utf8(found.first().unwrap_or_else(|| panic!("no {name}")).1.clone()).expect("text")
}

fn set(config: &mut Config, pairs: &[(&str, &str)]) -> Result<Vec<&'static str>, String> {
    config.set(pairs, BY).map(|change| names(&change)).map_err(|e| e.to_string())
}

fn start(args: &[&str]) -> Result<Box<Startup>, String> {
    let args = std::iter::once("rivulet-server").chain(args.iter().copied()).map(OsString::from);
    match Config::from_args_and(args, &b"timeout 77\n"[..]).map_err(|e| e.to_string())? {
        Start::Server(startup) => Ok(startup),
        _ => Err("not a server".into()),
    }
}

/// A directory that is removed in the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("rivulet-config-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory for the test");
        Dir(path.canonicalize().expect("it exists"))
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file for the test");
        path.to_str().expect("ascii").to_string()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Directives that Redis 7.0 does not have: those of 7.2 and of Valkey, and our own.
const OWN: &[&str] = &[
    "aof-rewrite-cpulist",
    "bgsave-cpulist",
    "bio-cpulist",
    "cluster-announce-human-nodename",
    "commandlog-execution-slower-than",
    "commandlog-large-reply-max-len",
    "commandlog-large-request-max-len",
    "commandlog-reply-larger-than",
    "commandlog-request-larger-than",
    "commandlog-slow-execution-max-len",
    "dual-channel-replication-enabled",
    "http-bind",
    "http-port",
    "http-ready-max-lag-bytes",
    "http-ready-max-lag-seconds",
    "locale-collate",
    "log-queue-limit",
    "repl-backlog-disk-size",
    "repl-hold-limit",
    "repl-rdb-channel",
    "repl-require-data",
    "repl-sync-window",
    "replica-full-sync-buffer-limit",
    "log-format",
    "log-timestamp-format",
    "server-cpulist",
    "set-max-listpack-entries",
    "set-max-listpack-value",
    "snapshot-limbo-limit",
    "snapshot-queue-limit",
    "synchronous-commit",
    "synchronous-reads",
    "synchronous-replicas",
    "synchronous-timeout",
    "tls-auth-clients-user",
];

/// Defaults that are others than Redis's, on purpose: docs/configuration.md says why.
const OWN_DEFAULTS: &[(&str, &str)] = &[("propagation-error-behavior ignore", "propagation-error-behavior resync")];

#[test]
fn names_and_defaults_are_those_of_redis() {
    let config = Config::default();
    let mut ours: Vec<_> = config
        .get(&["*"])
        .into_iter()
        .filter(|(name, _)| name != "dir" && !OWN.contains(&name.as_str()))
        .map(|(name, value)| format!("{name} {}", String::from_utf8_lossy(&value)).trim_end().to_string())
        .collect();
    ours.sort();
    let own_default = |line| OWN_DEFAULTS.iter().find(|(theirs, _)| *theirs == line).map_or(line, |(_, ours)| *ours);
    let mut theirs: Vec<_> = REDIS_DEFAULTS.lines().map(own_default).collect();
    theirs.sort();
    assert_eq!(ours, theirs);
}

#[test]
fn the_table_is_consistent() {
    let mut names: Vec<_> = DIRECTIVES.iter().flat_map(Directive::names).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "a name stands twice");
    for directive in DIRECTIVES {
        let several = matches!(
            directive.kind,
            Kind::Save
                | Kind::BufferLimits
                | Kind::OomValues
                | Kind::Bind
                | Kind::ReplicaOf
                | Kind::Percentiles
                | Kind::Flags
        );
        assert_eq!(directive.has(MULTI_ARG), several, "{}", directive.name);
        assert!(directive.doc.ends_with('.'), "{}", directive.name);
    }
}

#[test]
fn every_value_can_be_set_to_itself() {
    let mut config = Config { enable_protected_configs: "yes".into(), ..Config::default() };
    let before = config.get(&["*"]);
    for (name, value) in &before {
        let (directive, _) = Directive::find(name.as_bytes()).expect("it was listed");
        if !directive.has(IMMUTABLE) {
            let change = config.set(&[(name.as_bytes(), value)], BY).unwrap_or_else(|e| panic!("{name}: {e}"));
            // What a directive names may have changed though its value has not.
            assert_eq!(change.directives.is_empty(), !directive.has(VOLATILE), "{name} changed");
        }
    }
    assert!(config.get(&["*"]) == before);
}

#[test]
fn config_get() {
    let config = Config::default();
    let names = |patterns: &[&str]| config.get(patterns).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(&["maxmemory", "MAXMEMORY", "maxmemory"]), ["maxmemory"]);
    assert_eq!(names(&["MaxMemory"]), ["MaxMemory"]);
    assert_eq!(names(&["*laveof", "replica?f"]), ["slaveof", "replicaof"]);
    assert_eq!(names(&["key-load-dela*"]), [""; 0]);
    assert_eq!(names(&["key-load-delay", "nosuch"]), ["key-load-delay"]);
    assert_eq!(names(&["hash-max-[lz]*-value"]), ["hash-max-listpack-value", "hash-max-ziplist-value"]);
}

#[test]
fn config_set_is_all_or_nothing() {
    let mut config = Config::default();
    assert_eq!(
        set(&mut config, &[("maxmemory", "10mb"), ("SLAVE-priority", "7"), ("port", "6379")]),
        Ok(vec!["maxmemory", "replica-priority"])
    );
    assert_eq!((config.maxmemory, config.replica_priority), (10 << 20, 7));
    assert_eq!(
        set(
            &mut config,
            &[("maxmemory", "1"), ("maxmemory-clients", "200%"), ("client-query-buffer-limit", "invalid")]
        ),
        Err("ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - percentage argument must be less or equal to 100".into())
    );
    assert_eq!(config.maxmemory, 10 << 20);

    let change = config.set(&[("port", "1"), ("bind", "127.0.0.1")], BY).expect("valid");
    assert!(names(&change).contains(&"bind") && change.before().bind_is_default && !config.bind_is_default);
    assert_eq!(
        SetError::failed("port", "Unable to listen on this port. Check server logs.").to_string(),
        "ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs."
    );
    config.rollback(change);
    assert!(config.port == 6379 && config.bind_is_default);
}

#[test]
fn config_set_refuses() {
    let mut config = Config::default();
    let mut refused = |pairs: &[(&str, &str)]| set(&mut config, pairs).expect_err("it can't be set");
    let of =
        |name: &str, reason: &str| format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}");
    assert_eq!(
        refused(&[("nosuch", "1"), ("Foo", "2")]),
        "ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'"
    );
    for (name, value, reason) in [
        ("daemonize", "yes", "can't set immutable config"),
        ("dir", "/", "can't set protected config"),
        ("port", "", "argument couldn't be parsed into an integer"),
        ("port", "65536", "argument must be between 0 and 65535 inclusive"),
        ("rdbcompression", "maybe", "argument must be 'yes' or 'no'"),
        ("repl-backlog-size", "1x", "argument must be a memory value"),
        ("repl-backlog-size", "0", "argument must be between 1 and 9223372036854775807 inclusive"),
        ("maxmemory-clients", "%", "argument must be a memory or percent value"),
        ("loglevel", "x", "argument(s) must be one of the following: debug, verbose, notice, warning"),
        ("shutdown-on-sigint", "", "argument(s) must be one of the following: default, save, nosave, now, force"),
        ("shutdown-on-sigint", "save nosave", "shutdown options SAVE and NOSAVE can't be used simultaneously"),
        ("save", "10  1", "Invalid save parameters"),
        ("save", "0 1", "Invalid save parameters"),
        ("client-output-buffer-limit", "slave 1 2", "Wrong number of arguments in buffer limit configuration."),
        ("client-output-buffer-limit", "master 1 1 1", "Invalid client class specified in buffer limit configuration."),
        (
            "client-output-buffer-limit",
            "slave 1 1 x",
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
        ),
        ("notify-keyspace-events", "Aq", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."),
        ("proc-title-template", "{foo}", "template format is invalid or contains unknown variables"),
        ("proc-title-template", "{title}", "template format is invalid or contains unknown variables"),
        ("oom-score-adj-values", "1 2", "wrong number of arguments"),
        (
            "latency-tracking-info-percentiles",
            "101",
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
        ),
        ("bind", "* * * * * * * * * * * * * * * * *", "Too many bind addresses specified."),
        ("cluster-announce-hostname", "a_b", "Hostnames may only contain alphanumeric characters, hyphens or dots"),
    ] {
        assert_eq!(refused(&[(name, value)]), of(name, reason), "{name} {value}");
    }
    assert_eq!(refused(&[("maxmemory", "1"), ("MaxMemory", "2")]), of("MaxMemory", "duplicate parameter"));

    let mut config = Config { enable_protected_configs: "local".into(), ..Config::default() };
    let of_loading = config.set(&[("dir", "/")], SetBy { local: true, loading: true }).err();
    assert_eq!(of_loading, Some(SetError::Loading));
    let missing = config.set(&[("dir", "/nonexistent")], SetBy { local: true, loading: false }).err();
    assert_eq!(missing, Some(SetError::failed("dir", "No such file or directory")));
    assert!(config.set(&[("dir", "/tmp/..")], SetBy { local: true, loading: false }).is_ok());
    assert_eq!(config.dir, "/");
}

#[test]
fn values_read_back_as_redis_writes_them() {
    let mut config = Config::default();
    for (name, value, shown) in [
        ("maxmemory", "700mb", "734003200"),
        ("maxmemory", "", "0"),
        ("maxmemory", "99999999999999999999", "18446744073709551615"),
        ("repl-backlog-size", "1", "16384"),
        ("repl-backlog-size", "AUTO", "auto"),
        ("maxmemory-clients", "7%", "7%"),
        ("maxmemory-clients", "0%", "0"),
        ("hz", "1000", "500"),
        ("hz", "0", "1"),
        ("oom-score-adj", "RELATIVE", "yes"),
        ("latency-tracking-info-percentiles", "0.0 50.0 100.0", "0 50 100"),
        ("latency-tracking-info-percentiles", "", ""),
        ("shutdown-on-sigint", "NOSAVE force now", "nosave now force"),
        (
            "client-output-buffer-limit",
            "replica 1mb 2k 3 pubsub 1 1 1",
            "normal 0 0 0 slave 1048576 2000 3 pubsub 1 1 1",
        ),
        ("notify-keyspace-events", "nxKEA", "AKE"),
        ("notify-keyspace-events", "mKEg$lshzxetd", "AKEm"),
        ("notify-keyspace-events", "tgn", "gtn"),
        ("save", "", ""),
        ("bind", "", ""),
        ("ignore-warnings", "a\0b", "a"),
    ] {
        set(&mut config, &[(name, value)]).expect("valid");
        assert_eq!(text_of(&config, name), shown, "{name} {value}");
    }
    config.set(&[(&b"requirepass"[..], &b"\0\xff"[..])], BY).expect("any bytes");
    assert_eq!(config.requirepass, b"\0\xff");
    assert!(is_sensitive(b"RequirePass") && !is_sensitive(b"port"));
}

#[test]
fn settings_follow() {
    let mut config = Config::default();
    assert_eq!(format!("{:?}", config.settings()), format!("{:?}", Settings::default()));
    let pairs = [
        ("maxmemory", "1gb"),
        ("maxmemory-policy", "allkeys-lfu"),
        ("lfu-log-factor", "3"),
        ("list-max-listpack-size", "-5"),
        ("sanitize-dump-payload", "clients"),
    ];
    set(&mut config, &pairs).expect("valid");
    let settings = config.settings();
    assert_eq!(settings.clock, ClockUse::Lfu { log_factor: 3, decay_minutes: 1 });
    assert_eq!(settings.limits.list_max_listpack_size, -5);
    assert!(settings.policy_uses_clock && settings.sanitize_dump);
}

#[test]
fn command_lines_that_are_wrong() {
    for (args, line, reason) in [
        (&["--port"][..], "port", "wrong number of arguments"),
        (&["--port", "6380", "--loglevel"], "loglevel", "wrong number of arguments"),
        (&["--port", "6379", "6380"], r#"port "6379" "6380""#, "wrong number of arguments"),
        (&["--port", "--loglevel", "verbose"], r#"port "--loglevel" "verbose""#, "wrong number of arguments"),
        (
            &["--port", "--bla", "--loglevel", "verbose"],
            r#"port "--bla""#,
            "argument couldn't be parsed into an integer",
        ),
        (
            &["--syslog-ident", "--my--log", "--loglevel", "--bla"],
            r#"loglevel "--bla""#,
            "argument(s) must be one of the following: debug, verbose, notice, warning",
        ),
        (
            &["--shutdown-on-sigint", "now force", "--shutdown-on-sigterm"],
            "shutdown-on-sigterm",
            "argument(s) must be one of the following: default, save, nosave, now, force",
        ),
        (&["--replicaof", "127.0.0.1", "abc"], r#"replicaof "127.0.0.1" "abc""#, "Invalid master port"),
        (&["--replicaof", "--127.0.0.1", "--abc"], r#"replicaof "--127.0.0.1""#, "wrong number of arguments"),
        (&["--nosuch", "1"], r#"nosuch "1""#, "Bad directive or wrong number of arguments"),
    ] {
        let error = start(args).err().expect("it is wrong");
        let at = error.split("at line ").nth(1).and_then(|rest| rest.split('\n').next()).unwrap_or_default();
        let expected = format!(
            "\n*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***\nReading the configuration file, at line {at}\n>>> '{line}'\n{reason}"
        );
        assert_eq!(error, expected, "{args:?}");
    }
    let error = start(&["/nonexistent.conf"]).err();
    assert_eq!(
        error.as_deref(),
        Some("Fatal error, can't open config file '/nonexistent.conf': No such file or directory")
    );
}

#[test]
fn command_lines_that_work() {
    let dir = Dir::new("command-line");
    let file = dir.file("a.conf", "save 900 1\nsave 300 10\nloglevel warning\n");
    let shown = |args: &[&str], name: &str| {
        let args: Vec<_> = std::iter::once(file.as_str()).chain(args.iter().copied()).collect();
        text_of(&start(&args).unwrap_or_else(|e| panic!("{args:?}: {e}")).config, name)
    };
    assert_eq!(shown(&[], "save"), "900 1 300 10");
    assert_eq!(shown(&["--save", "100", "100"], "save"), "900 1 300 10 100 100");
    assert_eq!(shown(&["--save", "100 100 1 1"], "save"), "900 1 300 10 100 100 1 1");
    for args in [
        &["--save", "--loglevel", "verbose"][..],
        &["--loglevel", "verbose", "--save"],
        &["--save", "", "--loglevel", "verbose"],
        &["--loglevel", "verbose", "--save", ""],
        &["--proc-title-template", "--save", "--save", "", "--loglevel", "verbose"],
    ] {
        assert_eq!((shown(args, "save"), shown(args, "loglevel")), (String::new(), "verbose".into()), "{args:?}");
    }
    assert_eq!(shown(&["--proc-title-template", "--my--title"], "proc-title-template"), "--my--title");
    assert_eq!(shown(&["--proc-title-template --my--title", "--hz 7"], "proc-title-template"), "--my--title");
    assert_eq!(shown(&["loglevel", "verbose", "--maxmemory '700mb'"], "maxmemory"), "734003200");
    assert_eq!(shown(&["loglevel", "verbose", "--maxmemory '700mb'"], "loglevel"), "verbose");
    assert_eq!(shown(&["--shutdown-on-sigint", "nosave", "force", "now"], "shutdown-on-sigint"), "nosave now force");
    assert_eq!(shown(&["--hz", "7", "-"], "timeout"), "77");
    assert_eq!(shown(&["--slaveof", "127.0.0.1", "1"], "replicaof"), "127.0.0.1 1");
    assert_eq!(start(&[&file]).map(|s| s.config.file.clone()), Ok(Some(file.clone().into())));

    let kind = |args: &[&str]| match Config::from_args_and(args.iter().map(OsString::from), &b""[..]) {
        Ok(Start::Version) => "version",
        Ok(Start::Help) => "help",
        Ok(Start::Sentinel(_)) => "sentinel",
        Ok(Start::TestMemory) => "memory",
        Ok(Start::CheckSystem) => "system",
        Ok(Start::Server(_)) => "server",
        _ => "wrong",
    };
    assert_eq!(kind(&["x", "-v"]), "version");
    assert_eq!(kind(&["x", "--help"]), "help");
    assert_eq!(kind(&["x", "--test-memory", "5"]), "memory");
    assert_eq!(kind(&["x", "--check-system"]), "system");
    assert_eq!(kind(&["x", "--hz", "5", "--sentinel"]), "sentinel");
    assert_eq!(kind(&["/bin/redis-sentinel"]), "sentinel");
    assert_eq!(kind(&["x"]), "server");
}

#[test]
fn files_include_files() {
    let dir = Dir::new("include");
    dir.file("inc2.conf", "hz 22\nuser alice on\n");
    dir.file("inc1.conf", "hz 21\nsave 7 7\n");
    dir.file(".inc3.conf", "hz 23\n");
    let text = format!(
        "# c\n\ndir {0}\nhz 5\ninclude \"{0}/inc*.conf\"\ninclude {0}/none*\ntimeout 3\nsave 8 8\nrename-command FLUSHALL \"\"\nMASTERAUTH \"a\\x00b\\n\"\ninclude inc2.conf\n",
        dir.0.display()
    );
    let startup = Config::from_text(text.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    let config = &startup.config;
    assert_eq!((config.hz, config.timeout, &config.save[..]), (22, 3, &[(7, 7), (8, 8)][..]));
    assert_eq!(config.masterauth, b"a\0b\n");
    assert_eq!(startup.users.len(), 2);
    assert_eq!(startup.renames[0].words[1..], [b"FLUSHALL".to_vec(), Vec::new()]);
    let error = ConfigError::at(&startup.renames[0], "No such command in rename-command").to_string();
    assert!(
        error.ends_with("at line 9\n>>> 'rename-command FLUSHALL \"\"'\nNo such command in rename-command"),
        "{error}"
    );

    let around = dir.file("around.conf", &format!("include {}/around.conf\n", dir.0.display()));
    let error = start(&[&around]).err().expect("it has no end");
    assert!(error.ends_with("include is nested too deeply"), "{error}");
}

#[test]
fn files_that_are_wrong() {
    for (text, line, reason) in [
        ("port 1\n port \"1\n", 2, "Unbalanced quotes in configuration line"),
        ("port 99999", 1, "argument must be between 0 and 65535 inclusive"),
        ("unixsocketperm 1000", 1, "argument must be between 0 and 777 inclusive"),
        ("sentinel monitor a", 1, "sentinel directive while not in sentinel mode"),
        ("loadmodule a.so", 1, "loadmodule is not supported: this server loads no modules"),
        ("a.b", 1, "Module config specified without value"),
        ("rename-command a", 1, "Bad directive or wrong number of arguments"),
        ("activedefrag yes", 1, "Active defragmentation cannot be enabled: this server does not move values in memory"),
    ] {
        let error = Config::from_text(text.as_bytes()).err().expect("it is wrong").to_string();
        let at = format!("at line {line}\n");
        assert!(error.contains(&at) && error.ends_with(&format!("'\n{reason}")), "{error}");
    }
    let whole = |text: &str| Config::from_text(text.as_bytes()).err().expect("it is wrong").to_string();
    assert_eq!(
        whole("cluster-enabled yes\nreplicaof a 1"),
        "\n*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***\nreplicaof directive not allowed in cluster mode"
    );
    assert!(whole("logfile /nonexistent/x").ends_with("***\nCan't open the log file: No such file or directory"));
    let warned = |text: &str| Config::from_text(text.as_bytes()).map(|s| s.warnings.len()).unwrap_or(99);
    assert_eq!(warned("io-threads 4\ndisable-thp no\nrdb-save-incremental-fsync no\nactiverehashing yes"), 3);
    assert_eq!(warned("repl-timeout 5"), 1);
    assert_eq!(warned("lua-replicate-commands yes"), 0);
}

#[test]
fn rewriting_keeps_what_it_can() {
    let old = "\
# my file
port 6379
slave-priority 50

save 900 1
save 300 10
# keep me


include other.conf
rename-command FLUSHALL xx
hash-max-ziplist-entries 20
hash-max-listpack-entries 21
client-output-buffer-limit slave 1mb 2mb 3
replicaof 127.0.0.1 1
nosuch directive
maxmemory 100mb
  TIMEOUT   7
bind * -::*
user alice on
";
    let mut config = Config { dir: "/data".into(), ..Config::default() };
    let pairs = [
        ("save", "1 1"),
        ("hash-max-listpack-entries", "100"),
        ("requirepass", "a \"b\"\n"),
        ("maxmemory-clients", "7%"),
        ("timeout", "7"),
        ("client-output-buffer-limit", "pubsub 1024 1000 3"),
    ];
    set(&mut config, &pairs).expect("valid");
    let new = "\
# my file
port 6379
replica-priority 100

save 1 1

# keep me

include other.conf
rename-command FLUSHALL xx
hash-max-listpack-entries 100

client-output-buffer-limit normal 0 0 0

# ??? nosuch directive
maxmemory 0
timeout 7

user alice on
# Generated by CONFIG REWRITE
client-output-buffer-limit pubsub 1kb 1000 3
requirepass \"a \\\"b\\\"\\n\"
dir \"/data\"
maxmemory-clients 7%
latency-tracking-info-percentiles 50 99 99.9
";
    let rewritten =
        |old: &str, with: &RewriteWith| String::from_utf8(config.rewritten(old.as_bytes(), with)).expect("text");
    assert_eq!(rewritten(old, &RewriteWith::default()), new);
    let users = RewriteWith { users: Some(vec![b"bob off".to_vec(), b"eve on".to_vec()]), ..RewriteWith::default() };
    let with_users = new.replace("user alice on", "user bob off") + "user eve on\n";
    assert_eq!(rewritten(old, &users), with_users);
}

#[test]
fn a_rewritten_file_means_the_same() {
    let mut config = Config::default();
    let pairs = [
        ("save", ""),
        ("bind", ""),
        ("masteruser", "a b"),
        ("latency-tracking-info-percentiles", ""),
        ("shutdown-on-sigterm", "now nosave"),
        ("notify-keyspace-events", "KEA"),
        ("oom-score-adj-values", "1 2 3"),
        ("repl-backlog-size", "100mb"),
        ("proc-title-template", "a {port}"),
    ];
    set(&mut config, &pairs).expect("valid");
    config.replicaof = Some(("::1".into(), 7));
    config.unixsocketperm = 0o700;
    config.dir = "/".into();
    for all in [false, true] {
        let text = config.rewritten(b"", &RewriteWith { all, ..RewriteWith::default() });
        let again = Config::from_text(&text).unwrap_or_else(|e| panic!("{e}")).config;
        assert!(again == config, "{}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn files_are_replaced_as_a_whole() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new("rewrite");
    let file = dir.file("a.conf", "# c\n");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("own file");
    let mut config = start(&[&file]).expect("valid").config;
    config.dir = "/".into();
    set(&mut config, &[("hz", "11")]).expect("valid");
    config.rewrite(&RewriteWith::default()).expect("it can be written");
    let text = std::fs::read_to_string(&file).expect("it is there");
    assert!(text.starts_with("# c\n# Generated by CONFIG REWRITE\nhz 11\n"), "{text}");
    assert_eq!(std::fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&dir.0).expect("a directory").count(), 1, "no temporary file is left");

    let nowhere = Config::default().rewrite(&RewriteWith::default());
    assert_eq!(nowhere.unwrap_err().to_string(), "ERR The server is running without a config file");
    config.file = Some("/nonexistent/a.conf".into());
    let missing = config.rewrite(&RewriteWith::default());
    assert_eq!(missing.unwrap_err().to_string(), "ERR Rewriting config file: No such file or directory");
}

#[test]
fn no_line_panics() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let words: Vec<&[u8]> = vec![
        b"",
        b"1",
        b"-1",
        b"yes",
        b"no one",
        b"7%",
        b"1gb",
        b"\"",
        b"\"\"",
        b"'a b'",
        b"\\x",
        b"\xff\xfe",
        b"\0",
        b"{",
        b"{{x}",
        b"99999999999999999999999",
        b"normal 1 1 1",
        b"1e309",
        b"nan",
        b"*",
        b"save",
        b"-",
        b"--x",
    ];
    let names: Vec<_> = DIRECTIVES.iter().filter(|d| d.name != "logfile").flat_map(Directive::names).collect();
    for _ in 0..3000 {
        let mut line = names[rng.usize(..names.len())].as_bytes().to_vec();
        for _ in 0..rng.usize(..5) {
            line.push(b' ');
            line.extend(words[rng.usize(..words.len())]);
        }
        for _ in 0..rng.usize(..2) {
            let at = rng.usize(..line.len());
            line[at] = rng.u8(..);
        }
        // Files and directories of any name are not for a test.
        if !line.starts_with(b"include") && !line.windows(4).any(|w| w.eq_ignore_ascii_case(b"logf")) {
            let _ = Config::from_text(&line);
        }
        let mut config = Config::default();
        let pair = (names[rng.usize(..names.len())].as_bytes(), line.as_slice());
        if config.set(&[pair], BY).is_ok() {
            let text = config.rewritten(&line, &RewriteWith { all: rng.bool(), ..RewriteWith::default() });
            let again = Config::from_text(&text).unwrap_or_else(|e| panic!("{e}")).config;
            assert!(again == config, "{}", String::from_utf8_lossy(&text));
        }
    }
}

/// What the table of the documentation says of each directive. `RIVULET_WRITE_DOCS=1` writes it.
#[test]
fn the_documentation_lists_every_directive() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let old = std::fs::read_to_string(path).expect("the documentation");
    let (before, _) = old.split_once("\n## All directives\n").expect("the table's heading");
    let mut new = format!("{before}\n## All directives\n");
    new.push_str("\n| name | values | default | notes |\n|---|---|---|---|\n");
    let default = Config::default();
    for directive in DIRECTIVES.iter().filter(|d| !d.has(HIDDEN)) {
        let mut name = format!("`{}`", directive.name);
        for alias in directive.aliases {
            let _ = write!(name, ", `{alias}`");
        }
        let value = if directive.name == "dir" { b".".to_vec() } else { directive.text(&default) };
        let value = match String::from_utf8_lossy(&value) {
            text if text.is_empty() => String::new(),
            text => format!("`{text}`"),
        };
        let mut notes = directive.doc.to_string();
        for (flag, note) in [
            (IMMUTABLE, " Only at start."),
            (PROTECTED, " CONFIG SET needs `enable-protected-configs`."),
            (NO_MEANING, " No effect yet."),
        ] {
            if directive.has(flag) {
                notes.push_str(note);
            }
        }
        let _ = writeln!(new, "| {name} | {} | {value} | {} |", values_of(&directive.kind), notes.replace('|', "\\|"));
    }
    if std::env::var_os("RIVULET_WRITE_DOCS").is_some() {
        std::fs::write(path, &new).expect("the documentation can be written");
        return;
    }
    assert!(new == old, "docs/configuration.md is not up to date: run this test with RIVULET_WRITE_DOCS=1");
}

pub(super) fn values_of(kind: &Kind) -> String {
    match kind {
        Kind::Bool | Kind::BoolIf(_) => "yes, no".into(),
        Kind::Integer(min, max) => format!("{min} to {max}"),
        Kind::Memory(min, max) => format!("bytes, {min} to {max}"),
        Kind::MemoryOrAuto(min, max) => format!("bytes, {min} to {max}, or auto"),
        Kind::MemoryOrPercent(_) => "bytes or N%".into(),
        Kind::Octal(max) => format!("octal, 0 to {max:o}"),
        Kind::Word(words) => words.join(", "),
        Kind::Choice => "a word".into(),
        Kind::Flags => "words".into(),
        Kind::Save => "pairs of seconds and changes".into(),
        Kind::BufferLimits => "groups of class, hard, soft, seconds".into(),
        Kind::OomValues => "three numbers, -2000 to 2000".into(),
        Kind::Events => "letters of `Ag$lshzxeKEtmdn`".into(),
        Kind::Bind => "up to 16 addresses".into(),
        Kind::ReplicaOf => "host and port, or `no one`".into(),
        Kind::Percentiles => "numbers, 0 to 100".into(),
        Kind::Text(_) | Kind::OptionalText(_) | Kind::Dir => "text".into(),
    }
}

#[test]
fn what_can_not_change_asks_for_nothing() {
    for directive in DIRECTIVES.iter().filter(|d| d.has(directive::IMMUTABLE)) {
        assert_eq!(directive.apply, Apply::Nothing, "{}", directive.name);
    }
}

#[test]
fn a_sentinels_options_keep_their_places() {
    let config = Config::default();
    let old = b"sentinel parallel-syncs m 2\n# mine\nsentinel monitor m 10.0.0.1 1 2\nsentinel known-slave m 10.0.0.2 2\nsentinel known-slave m 10.0.0.3 3\n";
    let line = |text: &str| (text.as_bytes().to_vec(), true);
    let sentinel = vec![
        ("sentinel monitor", vec![line("sentinel monitor m 10.0.0.2 2 2")]),
        ("sentinel parallel-syncs", Vec::new()),
        ("sentinel known-replica", vec![line("sentinel known-replica m 10.0.0.1 1")]),
        ("sentinel resolve-hostnames", vec![(b"sentinel resolve-hostnames no".to_vec(), false)]),
        ("sentinel current-epoch", vec![line("sentinel current-epoch 1")]),
    ];
    let text = config.rewritten(old, &RewriteWith { sentinel, ..RewriteWith::default() });
    let text = String::from_utf8(text).expect("ascii");
    let own: Vec<&str> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("latency") && !line.starts_with("dir"))
        .collect();
    let expected = [
        "# mine",
        "sentinel monitor m 10.0.0.2 2 2",
        "sentinel known-replica m 10.0.0.1 1",
        "# Generated by CONFIG REWRITE",
        "sentinel current-epoch 1",
    ];
    assert_eq!(own, expected, "and no save points: a Sentinel saves no data");
}
