//! What the command line asks for.
//!
//! The table of options is in [`crate::usage`]; `clap` takes the line apart, and what was given is applied here in its order, so that of two
//! options that contradict each other the later one counts, as in redis-cli. Options end at the first word that is none.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use rivulet_client::{Address, Target};
use rivulet_resp::inline::split_words;

use crate::format::Output;
use crate::usage;

/// What the program does. Of several that are asked for the first in this order is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    Cluster,
    Latency,
    LatencyDist,
    Replica,
    Dump {
        to: OsString,
        only_functions: bool,
    },
    Pipe,
    BigKeys,
    /// Elements that are looked at in each value; 0 leaves it to the server.
    MemKeys {
        samples: u64,
    },
    KeyStats {
        samples: u64,
    },
    HotKeys,
    Stat,
    Scan,
    LruTest {
        keys: i64,
    },
    IntrinsicLatency {
        seconds: i64,
    },
}

impl Mode {
    fn rank(&self) -> u8 {
        match self {
            Mode::Cluster => 0,
            Mode::Latency => 1,
            Mode::LatencyDist => 2,
            Mode::Replica => 3,
            Mode::Dump { .. } => 4,
            Mode::Pipe => 5,
            Mode::BigKeys => 6,
            Mode::MemKeys { .. } => 7,
            Mode::KeyStats { .. } => 8,
            Mode::HotKeys => 9,
            Mode::Stat => 10,
            Mode::Scan => 11,
            Mode::LruTest { .. } => 12,
            Mode::IntrinsicLatency { .. } => 13,
        }
    }
}

/// Whether replies come in RESP3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resp3 {
    No,
    /// An output form is better with it: a server that has none of it will do.
    Implied,
    Asked,
}

/// Files and names for TLS.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    pub server_name: Option<String>,
    pub authority: Option<PathBuf>,
    pub authority_dir: Option<PathBuf>,
    pub trusts_anybody: bool,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub ciphers: String,
    pub ciphersuites: String,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub host: String,
    pub port: u16,
    pub socket: Option<PathBuf>,
    /// For connecting; `None` is what the system has.
    pub timeout: Option<Duration>,
    pub prefers_ipv6: bool,
    pub user: Option<Vec<u8>>,
    pub password: Option<Vec<u8>>,
    pub asks_password: bool,
    pub has_tls: bool,
    pub tls: TlsFiles,
    pub database: i64,
    pub is_resp2: bool,
    pub resp3: Resp3,
    pub output: Output,
    pub shows_pushes: bool,
    /// Negative is without end.
    pub repeat: i64,
    pub interval: Duration,
    pub takes_stdin: bool,
    pub stdin_tag: Option<Vec<u8>>,
    pub has_quoted_input: bool,
    pub fails_on_error: bool,
    pub follows_cluster: bool,
    pub has_auth_warning: bool,
    /// Between the elements of a reply, and between replies.
    pub element_delimiter: Vec<u8>,
    pub reply_delimiter: Vec<u8>,
    pub mode: Option<Mode>,
    /// All that were asked for.
    modes: Vec<Mode>,
    pub cluster_words: Vec<Vec<u8>>,
    pub cluster_only: Option<ClusterOnly>,
    pub has_latency_history: bool,
    pub has_mono_palette: bool,
    pub pattern: Option<Vec<u8>>,
    pub count: Option<u64>,
    pub cursor: u64,
    pub top: usize,
    pub pipe_timeout_s: i64,
    pub eval: Option<PathBuf>,
    pub debugs_script: bool,
    pub debugs_in_sync: bool,
    /// The command and its arguments.
    pub words: Vec<Vec<u8>>,
}

/// Which nodes `--cluster call` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterOnly {
    Masters,
    Replicas,
}

/// What a command line comes to.
#[derive(Debug)]
pub enum Asked {
    Run(Box<Options>),
    Help,
    Version,
}

/// What is not in the command line.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Standard output is a terminal, or is to be taken for one.
    pub has_terminal: bool,
    /// `REDISCLI_AUTH`.
    pub password: Option<OsString>,
}

impl Options {
    fn new(surroundings: &Surroundings) -> Options {
        Options {
            host: "127.0.0.1".into(),
            port: 6379,
            socket: None,
            timeout: None,
            prefers_ipv6: false,
            user: None,
            password: None,
            asks_password: false,
            has_tls: false,
            tls: TlsFiles::default(),
            database: 0,
            is_resp2: false,
            resp3: Resp3::No,
            output: if surroundings.has_terminal { Output::Standard } else { Output::Raw },
            shows_pushes: surroundings.has_terminal,
            repeat: 1,
            interval: Duration::ZERO,
            takes_stdin: false,
            stdin_tag: None,
            has_quoted_input: false,
            fails_on_error: false,
            follows_cluster: false,
            has_auth_warning: true,
            element_delimiter: b"\n".to_vec(),
            reply_delimiter: b"\n".to_vec(),
            mode: None,
            modes: Vec::new(),
            cluster_words: Vec::new(),
            cluster_only: None,
            has_latency_history: false,
            has_mono_palette: false,
            pattern: None,
            count: None,
            cursor: 0,
            top: 10,
            pipe_timeout_s: 30,
            eval: None,
            debugs_script: false,
            debugs_in_sync: false,
            words: Vec::new(),
        }
    }

    /// Where the server is.
    pub fn address(&self) -> Address {
        match &self.socket {
            Some(path) => Address::unix(path),
            None => Address::tcp(&self.host, self.port),
        }
    }

    /// Takes a command line apart; the first word is the program.
    ///
    /// # Errors
    /// What standard error is told.
    pub fn parse(line: &[OsString], surroundings: &Surroundings) -> Result<Asked, String> {
        let matches = match usage::command().try_get_matches_from(line) {
            Ok(matches) => matches,
            Err(_) if line.last().is_some_and(|last| last == "-h") => return Ok(Asked::Help),
            Err(error) => return Err(unrecognized(line, &error)),
        };
        let mut options = Options::new(surroundings);
        for (id, values) in usage::in_order(&matches) {
            match id {
                "help" => return Ok(Asked::Help),
                "version" => return Ok(Asked::Version),
                _ => options.apply(id, &values)?,
            }
        }
        options.words = matches.get_many("words").into_iter().flatten().map(bytes).collect();
        if options.modes.contains(&Mode::Cluster) && options.cluster_words.len() == 1 {
            options.cluster_words.append(&mut options.words);
        }
        options.check(line.first().map_or(OsStr::new(usage::NAME), OsString::as_os_str), surroundings)?;
        Ok(Asked::Run(Box::new(options)))
    }

    fn apply(&mut self, id: &str, values: &[OsString]) -> Result<(), String> {
        let first = values.first().cloned().unwrap_or_default();
        match id {
            "host" => self.host = first.to_string_lossy().into_owned(),
            "port" => self.port = u16::try_from(number(&first)).map_err(|_| "Invalid server port.")?,
            "socket" => self.socket = Some(first.into()),
            "timeout" => self.timeout = seconds(&first).filter(|timeout| !timeout.is_zero()),
            "ipv4" => self.prefers_ipv6 = false,
            "ipv6" => self.prefers_ipv6 = true,
            "password" => self.password = Some(bytes(&first)),
            "user" => self.user = Some(bytes(&first)),
            "askpass" => self.asks_password = true,
            "no-auth-warning" => self.has_auth_warning = false,
            "uri" => self.apply_uri(&first)?,
            "database" => self.database = number(&first),
            "resp2" => self.is_resp2 = true,
            "resp3" => self.resp3 = Resp3::Asked,
            "repeat" => self.repeat = number(&first),
            "interval" => self.interval = seconds(&first).unwrap_or_default(),
            "stdin" => self.takes_stdin = true,
            "stdin-tag" => self.stdin_tag = Some(bytes(&first)),
            "quoted-input" => self.has_quoted_input = true,
            "fails-on-error" => self.fails_on_error = true,
            "follows-cluster" => self.follows_cluster = true,
            // Nothing here has more to say.
            "verbose" => {}
            "eval" => self.eval = Some(first.into()),
            _ if id.starts_with("cluster") => self.apply_cluster(id, values),
            _ if id.starts_with("tls") => self.apply_tls(id, first),
            _ => return self.apply_output(id, &first).or_else(|()| self.apply_mode(id, &first)),
        }
        Ok(())
    }

    fn apply_uri(&mut self, uri: &OsStr) -> Result<(), String> {
        let target = Target::parse(&uri.to_string_lossy()).map_err(|error| error.to_string())?;
        self.has_tls |= target.has_tls;
        self.host = target.host.unwrap_or_else(|| std::mem::take(&mut self.host));
        self.port = target.port.unwrap_or(self.port);
        self.socket = target.path.or_else(|| self.socket.take());
        self.user = target.user.or_else(|| self.user.take());
        self.password = target.password.or_else(|| self.password.take());
        self.database = target.database.unwrap_or(self.database);
        Ok(())
    }

    fn apply_tls(&mut self, id: &str, value: OsString) {
        match id {
            "tls" => self.has_tls = true,
            "tls-sni" => self.tls.server_name = Some(value.to_string_lossy().into_owned()),
            "tls-cacert" => self.tls.authority = Some(value.into()),
            "tls-cacertdir" => self.tls.authority_dir = Some(value.into()),
            "tls-insecure" => self.tls.trusts_anybody = true,
            "tls-cert" => self.tls.certificate = Some(value.into()),
            "tls-key" => self.tls.key = Some(value.into()),
            "tls-ciphers" => self.tls.ciphers = value.to_string_lossy().into_owned(),
            _ => self.tls.ciphersuites = value.to_string_lossy().into_owned(),
        }
    }

    fn apply_cluster(&mut self, id: &str, values: &[OsString]) {
        match id {
            "cluster" => {
                self.set_mode(Mode::Cluster);
                self.cluster_words = values.iter().map(bytes).collect();
            }
            "cluster-only-masters" => self.cluster_only = Some(ClusterOnly::Masters),
            _ => self.cluster_only = Some(ClusterOnly::Replicas),
        }
    }

    /// Options of how replies look; what is none of them is not applied.
    fn apply_output(&mut self, id: &str, value: &OsStr) -> Result<(), ()> {
        match id {
            "raw" => self.output = Output::Raw,
            "no-raw" => self.output = Output::Standard,
            "csv" => self.output = Output::Csv,
            "json" | "quoted-json" => {
                if self.resp3 == Resp3::No {
                    self.resp3 = Resp3::Implied;
                }
                self.output = if id == "json" { Output::Json } else { Output::QuotedJson };
            }
            "element-delimiter" => self.element_delimiter = value.as_bytes().to_vec(),
            "reply-delimiter" => self.reply_delimiter = value.as_bytes().to_vec(),
            "show-pushes" => match value.as_bytes().first() {
                Some(b'n' | b'N') => self.shows_pushes = false,
                Some(b'y' | b'Y') => self.shows_pushes = true,
                _ => eprintln!("Unknown --show-pushes value '{}' (valid: '[y]es', '[n]o')", value.to_string_lossy()),
            },
            _ => return Err(()),
        }
        Ok(())
    }

    fn apply_mode(&mut self, id: &str, value: &OsStr) -> Result<(), String> {
        let count = || u64::try_from(number(value)).unwrap_or(0);
        match id {
            "latency" => self.set_mode(Mode::Latency),
            "latency-history" => {
                self.set_mode(Mode::Latency);
                self.has_latency_history = true;
            }
            "latency-dist" => self.set_mode(Mode::LatencyDist),
            "mono" => self.has_mono_palette = true,
            "replica" => self.set_mode(Mode::Replica),
            "rdb" => self.set_mode(Mode::Dump { to: value.to_owned(), only_functions: false }),
            "functions-rdb" => self.set_mode(Mode::Dump { to: value.to_owned(), only_functions: true }),
            "pipe" => self.set_mode(Mode::Pipe),
            "pipe-timeout" => self.pipe_timeout_s = number(value),
            "bigkeys" => self.set_mode(Mode::BigKeys),
            "memkeys" => self.set_mode(Mode::MemKeys { samples: 0 }),
            "memkeys-samples" => self.set_mode(Mode::MemKeys { samples: count() }),
            "keystats" => self.set_mode(Mode::KeyStats { samples: 0 }),
            "keystats-samples" => self.set_mode(Mode::KeyStats { samples: count() }),
            "cursor" => self.cursor = count(),
            "top" => self.top = usize::try_from(count()).unwrap_or(usize::MAX),
            "hotkeys" => self.set_mode(Mode::HotKeys),
            "stat" => self.set_mode(Mode::Stat),
            "scan" => self.set_mode(Mode::Scan),
            "pattern" => self.pattern = Some(value.as_bytes().to_vec()),
            "quoted-pattern" => {
                let pattern = unquoted(value.as_bytes());
                self.pattern = Some(pattern.ok_or("Invalid quoted string specified for --quoted-pattern.")?);
            }
            "count" => self.count = Some(count()),
            "lru-test" => self.set_mode(Mode::LruTest { keys: number(value) }),
            "intrinsic-latency" => self.set_mode(Mode::IntrinsicLatency { seconds: number(value) }),
            "ldb" => self.debugs_script = true,
            "ldb-sync-mode" => (self.debugs_script, self.debugs_in_sync) = (true, true),
            other => return Err(format!("--{other} does nothing")),
        }
        Ok(())
    }

    fn set_mode(&mut self, mode: Mode) {
        self.modes.push(mode);
    }

    /// What contradicts itself, and what comes from elsewhere.
    fn check(&mut self, program: &OsStr, surroundings: &Surroundings) -> Result<(), String> {
        if self.socket.is_some() && self.follows_cluster {
            return Err("Options -c and -s are mutually exclusive.".into());
        }
        if self.is_resp2 && self.resp3 == Resp3::Asked {
            return Err("Options -2 and -3 are mutually exclusive.".into());
        }
        if self.debugs_script && self.eval.is_none() {
            let program = program.to_string_lossy();
            return Err(format!(
                "Options --ldb and --ldb-sync-mode require --eval.\nTry {program} --help for more information."
            ));
        }
        if self.has_auth_warning && self.password.is_some() {
            eprintln!(
                "Warning: Using a password with '-a' or '-u' option on the command line interface may not be safe."
            );
        }
        let is_dump = |functions| {
            self.modes
                .iter()
                .any(|mode| matches!(mode, Mode::Dump { only_functions, .. } if *only_functions == functions))
        };
        if is_dump(true) && is_dump(false) {
            return Err("Option --functions-rdb and --rdb are mutually exclusive.".into());
        }
        if self.takes_stdin && self.stdin_tag.is_some() {
            return Err("Options -x and -X are mutually exclusive.".into());
        }
        // The last of the first kind.
        self.mode = self.modes.iter().rev().min_by_key(|mode| mode.rank()).cloned();
        if self.password.is_none() {
            self.password = surroundings.password.as_ref().map(bytes);
        }
        Ok(())
    }
}

/// The one word that a quoted text is.
pub fn unquoted(text: &[u8]) -> Option<Vec<u8>> {
    let mut words = split_words(text)?;
    if words.len() == 1 { words.pop() } else { None }
}

fn bytes(text: &OsString) -> Vec<u8> {
    text.clone().into_vec()
}

/// The whole number that a text begins with, or 0, as C's `strtoll` has it: one that is too large is the largest.
pub fn number(text: &OsStr) -> i64 {
    let text = text.to_string_lossy();
    let text = text.trim_start();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
    let end = text.len() - unsigned.len() + digits;
    match text[..end].parse() {
        Ok(number) => number,
        Err(_) if digits == 0 => 0,
        Err(_) if text.starts_with('-') => i64::MIN,
        Err(_) => i64::MAX,
    }
}

/// Seconds, also parts of one; nothing if there are none.
fn seconds(text: &OsStr) -> Option<Duration> {
    let text = text.to_string_lossy();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    Duration::try_from_secs_f64(text[..end].parse().ok()?).ok()
}

fn unrecognized(line: &[OsString], error: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let named = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(named))) => {
            line.iter().skip(1).find(|word| word.to_string_lossy().starts_with(named.as_str()))
        }
        // A value is missing: it would stand behind the last word.
        _ => line.last(),
    };
    let named = named.map(|word| word.to_string_lossy()).unwrap_or_default();
    format!("Unrecognized option or bad number of args for: '{named}'")
}

#[cfg(test)]
mod tests;
