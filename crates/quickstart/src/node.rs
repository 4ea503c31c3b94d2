//! One server of the show: a child process in a directory of its own, its log, and what it last said of itself.

use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::client::Client;
use super::story::Sync;

/// `rivulet-server quickstart --node PARENT ARGS…` is how a child begins: see [`become_server`].
pub const CHILD_WORD: &str = "--node";

const LOG: &str = "log";
const OUTPUT: &str = "output";
/// A look at the log takes at most so many bytes.
const LOG_READ_MAX: u64 = 1 << 20;

/// The directory of the whole show; removed with all that is in it.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> io::Result<Folder> {
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!("rivulet-quickstart-{}-{:08x}", std::process::id(), u32::from_ne_bytes(random));
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Folder(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_dir_all(&self.0) {
            eprintln!("rivulet-server quickstart: can't remove {}: {e}", self.0.display());
        }
    }
}

/// Where a node stands in the show.
pub struct Place {
    pub name: String,
    pub port: u16,
    /// The port of its master.
    pub upstream: Option<u16>,
    /// How far it is indented in the table.
    pub depth: usize,
    /// The port of its page, if it has one.
    pub page: Option<u16>,
    /// Further directives, as words of the command line.
    pub directives: &'static [&'static str],
}

impl Place {
    pub fn new(name: &str, port: u16, upstream: Option<u16>, depth: usize) -> Place {
        Place { name: name.to_string(), port, upstream, depth, page: None, directives: &[] }
    }
}

/// What a server says of itself in INFO.
#[derive(Clone, Copy, Default)]
pub struct State {
    pub is_master: bool,
    pub link_up: bool,
    /// Part of the snapshot that has come, if a sync goes on and its size is known.
    pub sync_percent: Option<f64>,
    pub sync_seconds_left: Option<u64>,
    pub is_syncing: bool,
    pub down_seconds: Option<u64>,
    pub offset: u64,
    pub keys: u64,
    pub repl_input_bytes: u64,
}

pub struct Node {
    pub place: Place,
    /// What the log has told of a sync that goes on.
    pub sync: Sync,
    /// As of the last [`Node::sample`]; `None` if it did not answer.
    pub state: Option<State>,
    /// Port and lag, in seconds, of each replica, as this node sees it.
    pub replicas: Vec<(u16, u64)>,
    dir: PathBuf,
    /// Its command line.
    words: Vec<OsString>,
    child: Child,
    is_gone: bool,
    client: Option<Client>,
    log_read: u64,
}

impl Node {
    pub fn start(folder: &Path, place: Place) -> io::Result<Node> {
        let dir = folder.join(&place.name);
        std::fs::create_dir(&dir)?;
        let mut words: Vec<OsString> = ["--save", "", "--repl-diskless-sync-delay", "0"].map(OsString::from).to_vec();
        words.extend(place.directives.iter().map(OsString::from));
        if let Some(master) = place.upstream {
            words.extend(["--replicaof", "127.0.0.1", &master.to_string()].map(OsString::from));
        }
        if let Some(page) = place.page {
            words.extend(["--http-port", &page.to_string()].map(OsString::from));
        }
        Node::run(place, dir, words)
    }

    /// Starts a Sentinel; `text` are the lines of its configuration beyond port and files.
    pub fn start_sentinel(folder: &Path, place: Place, text: &str) -> io::Result<Node> {
        let dir = folder.join(&place.name);
        std::fs::create_dir(&dir)?;
        let file = dir.join("sentinel.conf");
        std::fs::write(&file, text)?;
        Node::run(place, dir, vec![file.into(), "--sentinel".into()])
    }

    fn run(place: Place, dir: PathBuf, mut words: Vec<OsString>) -> io::Result<Node> {
        words.extend(["--port", &place.port.to_string(), "--bind", "127.0.0.1"].map(OsString::from));
        words.extend(["--dir".into(), dir.clone().into(), "--logfile".into(), dir.join(LOG).into()]);
        let child = spawn(&dir, &words)?;
        Ok(Node {
            place,
            sync: Sync::default(),
            state: None,
            replicas: Vec::new(),
            dir,
            words,
            child,
            is_gone: false,
            client: None,
            log_read: 0,
        })
    }

    /// Ends it as a crash does (kill -9): it can save nothing and tell nobody.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.forget();
        Ok(())
    }

    /// Starts it anew, with the same command line, in its old directory.
    pub fn start_again(&mut self) -> io::Result<()> {
        self.child = spawn(&self.dir, &self.words)?;
        self.is_gone = false;
        Ok(())
    }

    fn forget(&mut self) {
        self.is_gone = true;
        self.client = None;
        self.state = None;
        self.replicas.clear();
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// How it ended, the first time that it is seen to have.
    pub fn just_ended(&mut self) -> Option<ExitStatus> {
        if self.is_gone {
            return None;
        }
        let status = self.child.try_wait().ok().flatten()?;
        self.forget();
        Some(status)
    }

    /// The connection to it, made anew if there is none. What fails on it should call [`Node::hang_up`].
    pub fn client(&mut self) -> io::Result<&mut Client> {
        if self.is_gone {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if self.client.is_none() {
            self.client = Some(Client::connect(self.place.port)?);
        }
        self.client.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    pub fn hang_up(&mut self) {
        self.client = None;
    }

    /// Asks for its state.
    pub fn sample(&mut self) -> io::Result<State> {
        self.state = None;
        self.replicas.clear();
        let info = match self.client().and_then(|c| c.ask(&["INFO"])) {
            Ok(info) => info,
            Err(e) => {
                self.hang_up();
                return Err(e);
            }
        };
        let state = self.read_info(&info);
        self.state = Some(state);
        Ok(state)
    }

    fn read_info(&mut self, info: &str) -> State {
        let mut state = State::default();
        for (name, value) in info.lines().filter_map(|line| line.trim_end().split_once(':')) {
            match name {
                "role" => state.is_master = value == "master",
                "master_link_status" => state.link_up = value == "up",
                "master_sync_in_progress" => state.is_syncing = value == "1",
                "master_sync_perc" => state.sync_percent = value.parse().ok().filter(|&p: &f64| p > 0.0),
                "master_sync_seconds_left" => state.sync_seconds_left = value.parse().ok(),
                "master_link_down_since_seconds" => state.down_seconds = value.parse().ok(),
                "master_repl_offset" => state.offset = value.parse().unwrap_or(0),
                "total_net_repl_input_bytes" => state.repl_input_bytes = value.parse().unwrap_or(0),
                _ if is_numbered(name, "slave") => {
                    let field = |name| named(value, name);
                    if let (Some(port), Some(lag)) = (field("port"), field("lag")) {
                        self.replicas.push((u16::try_from(port).unwrap_or(0), lag));
                    }
                }
                _ if is_numbered(name, "db") => state.keys += named(value, "keys").unwrap_or(0),
                _ => {}
            }
        }
        state
    }

    /// The whole lines that the log has got since the last call.
    pub fn new_log_lines(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        let read = File::open(self.dir.join(LOG)).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.log_read))?;
            file.take(LOG_READ_MAX).read_to_end(&mut bytes)
        });
        if read.is_err() {
            // It has not begun to log.
            return Vec::new();
        }
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
        self.log_read += whole as u64;
        String::from_utf8_lossy(&bytes[..whole]).lines().map(str::to_string).collect()
    }

    /// The last lines that it wrote, to explain an early end.
    pub fn last_words(&self) -> String {
        let mut text = String::new();
        for name in [OUTPUT, LOG] {
            text.push_str(&String::from_utf8_lossy(&std::fs::read(self.dir.join(name)).unwrap_or_default()));
        }
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(4)..].iter().map(|line| format!("\n    {line}")).collect()
    }
}

fn spawn(dir: &Path, words: &[OsString]) -> io::Result<Child> {
    let output = File::options().create(true).append(true).open(dir.join(OUTPUT))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["quickstart", CHILD_WORD, &std::process::id().to_string()]).args(words);
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    // A group of its own: Ctrl-C is for this process, which ends the others in its own order.
    command.process_group(0).spawn()
}

impl Drop for Node {
    fn drop(&mut self) {
        // Its data is thrown away: there is nothing that a slower end could save. Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `slave0`, `db15`.
fn is_numbered(name: &str, word: &str) -> bool {
    name.strip_prefix(word).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// A number of `ip=127.0.0.1,port=6380,lag=0`.
fn named(fields: &str, name: &str) -> Option<u64> {
    fields.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

/// What a child does first: it asks the system to end it with its parent, however that ends, and becomes a plain server.
/// Returns only if that fails.
pub fn become_server(args: &[OsString]) -> i32 {
    let Some((parent, args)) = args.split_first() else { return 1 };
    if let Err(e) = set_parent_process_death_signal(Some(Signal::KILL)) {
        eprintln!("can't be tied to the parent's life: {e}");
    }
    // It may have ended before the system was asked.
    let alive = getppid().is_some_and(|pid| *parent == *pid.as_raw_nonzero().to_string());
    if !alive {
        return 1;
    }
    match std::env::current_exe() {
        Ok(program) => eprintln!("can't run {}: {}", program.display(), Command::new(&program).args(args).exec()),
        Err(e) => eprintln!("can't find the own program: {e}"),
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_removed_with_what_is_in_it() {
        let folder = Folder::new().expect("a temporary directory");
        let path = folder.path().to_path_buf();
        std::fs::write(path.join("file"), b"x").expect("writable");
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn fields_of_info() {
        assert_eq!(named("ip=127.0.0.1,port=6380,state=online,offset=72,lag=1", "lag"), Some(1));
        assert_eq!(named("keys=12,expires=0", "expires"), Some(0));
        assert_eq!(named("keys=12", "key"), None);
        assert!(is_numbered("slave10", "slave") && !is_numbered("slave_priority", "slave") && !is_numbered("db", "db"));
    }
}
