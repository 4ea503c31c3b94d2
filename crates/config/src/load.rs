//! Reading the configuration at start: the command line, files, and what they include.
//!
//! All sources become one text, as in Redis: the file, then standard input, then a line for each option of the command line. Later lines win,
//! but `save` adds up. Nothing is logged from here: warnings are given back, since the log's own directives come first.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rivulet_commands::glob;
use rivulet_host::fs;
use rivulet_resp::inline::{quote, split_words};

use super::directive::MULTI_ARG;
use super::{Config, DIRECTIVES, Directive, os_reason};

/// What the command line asks for.
pub enum Start {
    Server(Box<Startup>),
    /// `--sentinel`, or a program called `…-sentinel`.
    Sentinel(Box<Startup>),
    /// `-v`, `--version`.
    Version,
    /// `-h`, `--help`: [`USAGE`] on standard error, and exit status 1.
    Help,
    /// `--test-memory`.
    TestMemory,
    /// `--check-system`.
    CheckSystem,
}

/// A configuration that was read, and what else the sources said.
#[derive(Default)]
pub struct Startup {
    pub config: Config,
    /// `user` lines, to be checked with [`ConfigError::at`] where users are known.
    pub users: Vec<Line>,
    /// `rename-command` lines: words 1 and 2 are the old name and the new one, which is empty to remove the command.
    pub renames: Vec<Line>,
    /// `sentinel` lines.
    pub sentinel: Vec<Line>,
    /// To be logged.
    pub warnings: Vec<String>,
}

/// A line of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pub number: usize,
    pub text: Vec<u8>,
    pub words: Vec<Vec<u8>>,
}

/// Why the server can't start. The text goes to standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// Something is wrong in a line, or, without one, in the whole.
    Directive { line: Option<Line>, reason: String },
    /// A file can't be read.
    File { path: PathBuf, reason: String },
}

impl ConfigError {
    /// For what is found wrong in a line later.
    pub fn at(line: &Line, reason: impl Into<String>) -> ConfigError {
        ConfigError::Directive { line: Some(line.clone()), reason: reason.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Directive { line, reason } => {
                writeln!(f, "\n*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***")?;
                if let Some(Line { number, text, .. }) = line {
                    writeln!(f, "Reading the configuration file, at line {number}")?;
                    writeln!(f, ">>> '{}'", String::from_utf8_lossy(text))?;
                }
                f.write_str(reason)
            }
            ConfigError::File { path, reason } => {
                write!(f, "Fatal error, can't open config file '{}': {reason}", path.display())
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// What `--help` says.
pub const USAGE: &str = "\
Usage: rivulet-server [/path/to/rivulet.conf] [options] [-]
       rivulet-server - (reads the configuration from standard input)
       rivulet-server -v or --version
       rivulet-server -h or --help
       rivulet-server quickstart [--replicas <n> | --failover]

Examples:
       rivulet-server (with the defaults)
       echo 'maxmemory 128mb' | rivulet-server -
       rivulet-server /etc/rivulet/6379.conf
       rivulet-server --port 7777
       rivulet-server --port 7777 --replicaof 127.0.0.1 8888
       rivulet-server /etc/rivulet.conf --loglevel verbose
       rivulet-server quickstart (a master, a replica and a replica of the replica, shown live)
";

/// The port of a sentinel that isn't told one.
const SENTINEL_PORT: u16 = 26379;

/// Files that may include each other.
const INCLUDE_DEPTH_MAX: usize = 16;

/// Directives of old versions that are passed over when they have one argument.
const FORGOTTEN: [&str; 3] = ["list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"];

impl Config {
    /// The configuration that the arguments say; the first is the program's name.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Start, ConfigError> {
        Self::from_args_and(args, std::io::stdin())
    }

    /// [`Config::from_args`] with another standard input.
    pub fn from_args_and(args: impl IntoIterator<Item = OsString>, stdin: impl Read) -> Result<Start, ConfigError> {
        let args: Vec<Vec<u8>> = args.into_iter().map(OsString::into_vec).collect();
        match args.get(1).map_or(&b""[..], Vec::as_slice) {
            b"-v" | b"--version" => return Ok(Start::Version),
            b"-h" | b"--help" => return Ok(Start::Help),
            b"--check-system" => return Ok(Start::CheckSystem),
            b"--test-memory" => return Ok(Start::TestMemory),
            _ => {}
        }
        let sentinel = is_sentinel(&args);
        let mut reader = Reader::new(sentinel);
        let command_line = CommandLine::of(args.get(1..).unwrap_or_default());
        let mut text = Vec::new();
        if let Some(file) = command_line.file {
            let path = PathBuf::from(OsString::from_vec(file.to_vec()));
            text = reader.contents(&path)?;
            reader.startup.config.file = Some(Path::new(&reader.startup.config.dir).join(path));
        }
        if command_line.stdin {
            reader.startup.warnings.push("Reading config from stdin".into());
            read_all(stdin, &mut text).map_err(|e| ConfigError::File { path: "-".into(), reason: os_reason(&e) })?;
        }
        if args.len() > 1 {
            text.push(b'\n');
            text.extend(command_line.options);
        }
        reader.read(&text)?;
        let startup = reader.finish()?;
        Ok(if sentinel { Start::Sentinel(startup) } else { Start::Server(startup) })
    }

    /// The configuration that a text says.
    #[cfg(test)]
    pub fn from_text(text: &[u8]) -> Result<Box<Startup>, ConfigError> {
        let mut reader = Reader::new(false);
        reader.read(text)?;
        reader.finish()
    }
}

fn read_all(mut from: impl Read, into: &mut Vec<u8>) -> std::io::Result<()> {
    from.read_to_end(into).map(|_| ())
}

fn is_sentinel(args: &[Vec<u8>]) -> bool {
    let program = args.first().and_then(|name| name.rsplit(|c| *c == b'/').next()).unwrap_or_default();
    program.ends_with(b"-sentinel") || args.iter().skip(1).any(|arg| arg == b"--sentinel")
}

/// The command line, taken apart.
struct CommandLine<'a> {
    file: Option<&'a [u8]>,
    stdin: bool,
    /// A line for each option, as it would stand in a file.
    options: Vec<u8>,
}

impl<'a> CommandLine<'a> {
    /// An argument with two dashes begins an option, unless the option before has no value yet: then it is that value. The name and the
    /// value may be one argument. `--save` alone means no save points.
    fn of(args: &'a [Vec<u8>]) -> CommandLine<'a> {
        let file = args.first().filter(|arg| arg.first() != Some(&b'-')).map(Vec::as_slice);
        let mut line = CommandLine { file, stdin: false, options: Vec::new() };
        let mut has_value = true;
        for (i, arg) in args.iter().enumerate().skip(usize::from(file.is_some())) {
            let next = args.get(i + 1);
            if arg == b"-" && (i == 0 || next.is_none()) {
                line.stdin = true;
            } else if let (true, Some(option)) = (has_value, arg.strip_prefix(b"--")) {
                if !line.options.is_empty() {
                    line.options.push(b'\n');
                }
                line.options.extend_from_slice(option);
                line.options.push(b' ');
                let name_only = split_words(arg).is_some_and(|words| words.len() == 1);
                let option_follows = next.is_some_and(|n| n.starts_with(b"--"));
                has_value = !name_only;
                if arg.eq_ignore_ascii_case(b"--save") && (option_follows || next.is_none()) {
                    line.options.extend(b"\"\"");
                    has_value = true;
                } else if arg.eq_ignore_ascii_case(b"--sentinel") && option_follows {
                    has_value = true;
                }
            } else {
                line.options.extend(quote(arg));
                line.options.push(b' ');
                has_value = true;
            }
        }
        line
    }
}

/// Reads texts into a configuration.
struct Reader {
    startup: Box<Startup>,
    is_sentinel: bool,
    /// A `save` line was read: the next ones add to it.
    save_seen: bool,
    include_depth: usize,
}

impl Reader {
    fn new(is_sentinel: bool) -> Reader {
        let mut startup = Box::<Startup>::default();
        if is_sentinel {
            startup.config.port = SENTINEL_PORT;
            startup.config.protected_mode = false;
        }
        Reader { startup, is_sentinel, save_seen: false, include_depth: 0 }
    }

    fn read(&mut self, text: &[u8]) -> Result<(), ConfigError> {
        for (i, text) in text.split(|c| *c == b'\n').enumerate() {
            let text = text.trim_ascii();
            if text.is_empty() || text[0] == b'#' {
                continue;
            }
            let mut line = Line { number: i + 1, text: text.to_vec(), words: Vec::new() };
            let Some(words) = split_words(text) else {
                return Err(ConfigError::at(&line, "Unbalanced quotes in configuration line"));
            };
            line.words = words;
            if let Some(name) = line.words.first_mut() {
                name.make_ascii_lowercase();
                self.line(line)?;
            }
        }
        Ok(())
    }

    fn line(&mut self, line: Line) -> Result<(), ConfigError> {
        let failed = |reason: &str| Err(ConfigError::at(&line, reason));
        let name = line.words[0].as_slice();
        if let Some((directive, _)) = Directive::find(name) {
            return self.directive(directive, &line.words[1..]).map_err(|reason| ConfigError::at(&line, reason));
        }
        let count = line.words.len();
        match name {
            b"include" if count == 2 => {
                let path = PathBuf::from(OsString::from_vec(line.words[1].clone()));
                if self.include_depth == INCLUDE_DEPTH_MAX {
                    return failed("include is nested too deeply");
                }
                self.include_depth += 1;
                let text = self.contents(&path)?;
                self.read(&text)?;
                self.include_depth -= 1;
            }
            b"rename-command" if count == 3 => self.startup.renames.push(line),
            b"user" if count >= 2 => self.startup.users.push(line),
            b"loadmodule" if count >= 2 => return failed("loadmodule is not supported: this server loads no modules"),
            b"sentinel" if count == 1 => {}
            b"sentinel" if !self.is_sentinel => return failed("sentinel directive while not in sentinel mode"),
            b"sentinel" => self.startup.sentinel.push(line),
            _ if count == 2 && FORGOTTEN.iter().any(|old| old.as_bytes() == name) => {}
            _ if name.contains(&b'.') && count < 2 => return failed("Module config specified without value"),
            _ if name.contains(&b'.') => return failed("Module Configuration detected without loadmodule directive"),
            _ => return failed("Bad directive or wrong number of arguments"),
        }
        Ok(())
    }

    fn directive(&mut self, directive: &Directive, words: &[Vec<u8>]) -> Result<(), String> {
        let config = &mut self.startup.config;
        if !directive.has(MULTI_ARG) {
            return match words {
                [_] => directive.assign(config, words),
                _ => Err("wrong number of arguments".into()),
            };
        }
        // Several words may also come as one, in quotes.
        let split = match words {
            [word] if !word.is_empty() => split_words(word).ok_or("Unbalanced quotes in configuration line")?,
            _ => words.to_vec(),
        };
        if directive.name != "save" {
            return directive.assign(config, &split);
        }
        let mut points = if self.save_seen { std::mem::take(&mut config.save) } else { Vec::new() };
        directive.assign(config, &split)?;
        let is_reset = matches!(split.as_slice(), [word] if word.is_empty());
        if !is_reset {
            points.append(&mut config.save);
            config.save = points;
        }
        self.save_seen = true;
        Ok(())
    }

    /// The text of a file, or of all files that a pattern names, of which there may be none.
    fn contents(&self, path: &Path) -> Result<Vec<u8>, ConfigError> {
        let dir = Path::new(&self.startup.config.dir);
        let is_pattern = path.as_os_str().as_bytes().iter().any(|c| b"*?[".contains(c));
        let paths = if is_pattern { expand(dir, path) } else { vec![path.into()] };
        let mut text = Vec::new();
        for path in paths {
            let read = fs::File::open(dir.join(&path)).and_then(|file| read_all(file, &mut text));
            read.map_err(|e| ConfigError::File { path, reason: os_reason(&e) })?;
        }
        Ok(text)
    }

    fn finish(mut self) -> Result<Box<Startup>, ConfigError> {
        let config = &self.startup.config;
        let failed = |reason: String| Err(ConfigError::Directive { line: None, reason });
        if !config.logfile.is_empty() {
            let path = Path::new(&config.dir).join(&config.logfile);
            if let Err(e) = fs::File::options().append(true).create(true).open(path) {
                return failed(format!("Can't open the log file: {}", os_reason(&e)));
            }
        }
        if config.cluster_enabled && config.replicaof.is_some() {
            return failed("replicaof directive not allowed in cluster mode".into());
        }
        let [master, replica, background] = config.oom_score_adj_values;
        let warnings = DIRECTIVES.iter().filter_map(|d| d.warning(config));
        let mut warnings: Vec<_> = warnings.collect();
        if replica < master || background < replica {
            warnings.push("The oom-score-adj-values configuration may not work for non-privileged processes! Please consult the documentation.".into());
        }
        if config.repl_timeout <= config.repl_ping_replica_period {
            warnings.push(format!(
                "repl-timeout ({} s) is not longer than repl-ping-replica-period ({} s): replicas will drop while nothing is wrong. Take 5 to 10 times the period.",
                config.repl_timeout, config.repl_ping_replica_period
            ));
        }
        self.startup.warnings.append(&mut warnings);
        Ok(self.startup)
    }
}

/// The files that a pattern names, in order of their names. A `*` doesn't match a name that starts with a dot.
fn expand(dir: &Path, pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![if pattern.is_absolute() { PathBuf::from("/") } else { dir.into() }];
    for part in pattern.components().filter(|part| !matches!(part, Component::RootDir)) {
        let part = part.as_os_str();
        if !part.as_bytes().iter().any(|c| b"*?[".contains(c)) {
            found.iter_mut().for_each(|path| path.push(part));
            found.retain(|path| fs::metadata(path).is_ok());
            continue;
        }
        let matching = |dir: &PathBuf| {
            let paths = fs::list(dir).into_iter().flatten();
            let names = paths.filter_map(|path| path.file_name().map(OsStr::to_os_string));
            let mut names: Vec<_> = names.filter(|name| is_named(part.as_bytes(), name.as_bytes())).collect();
            names.sort();
            names.into_iter().map(|name| dir.join(name)).collect::<Vec<_>>()
        };
        found = found.iter().flat_map(matching).collect();
    }
    found
}

fn is_named(pattern: &[u8], name: &[u8]) -> bool {
    (name.first() != Some(&b'.') || pattern.first() == Some(&b'.')) && glob::matches(pattern, name)
}
