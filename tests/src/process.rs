//! Servers and tools as processes. Each has its own directory and port, and ends when its value does, also in a panic.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::Duration;

use crate::client::{Client, Reply, Words};
use crate::wait;

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Rivulet,
    Redis7,
    Redis8,
    Valkey9,
}

impl Kind {
    /// The program, if it is there.
    pub fn program(self) -> Option<PathBuf> {
        match self {
            Self::Rivulet => Some(rivulet("rivulet-server")),
            Self::Redis7 => tool("redis-server"),
            Self::Redis8 => peer("redis8-server"),
            Self::Valkey9 => peer("valkey-server"),
        }
    }

    /// Whether it is there; says so if not.
    pub fn is_there(self) -> bool {
        let there = self.program().is_some();
        if !there {
            println!("skipped: {self:?} is not installed");
        }
        there
    }
}

/// One of the project's own programs, built if need be.
pub fn rivulet(program: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let server = BUILT.get_or_init(|| {
        if let Some(path) = std::env::var_os("RIVULET_SERVER") {
            return path.into();
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--profile", "quick", "-p", "rivulet-server", "-p", "rivulet-cli"])
            .current_dir(root)
            .status();
        assert!(status.is_ok_and(|s| s.success()), "rivulet-server can't be built");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
        target.join("quick/rivulet-server")
    });
    server.with_file_name(program)
}

/// A program from the search path.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|p| p.is_file())
}

/// A program of the newer peers, which stand beside the system's own.
pub fn peer(name: &str) -> Option<PathBuf> {
    let dir = match std::env::var_os("RIVULET_PEERS") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(&std::env::var_os("HOME")?).join(".cache/rivulet-peers/bin"),
    };
    Some(dir.join(name)).filter(|p| p.is_file())
}

/// A directory that goes when the value does.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rivulet-tests-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for TempDir {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A port that nobody listens on now, below those that the system gives to outgoing connections.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 97) as u16 * 100;
    loop {
        let port = 22000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 10000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A server that runs.
pub struct Server {
    pub kind: Kind,
    pub port: u16,
    pub dir: TempDir,
    args: Vec<String>,
    env: Vec<(String, String)>,
    shell_line: Option<String>,
    password: Option<String>,
    child: Option<Child>,
    client: Option<Client>,
}

impl Server {
    /// Starts a server with these further arguments, and waits until it answers. Panics if it does not.
    #[track_caller]
    pub fn start(kind: Kind, args: &[&str]) -> Self {
        let mut server = Self::prepare(kind, args);
        server.launch();
        server
    }

    /// A server that does not run yet: its directory can be filled first.
    pub fn prepare(kind: Kind, args: &[&str]) -> Self {
        let args: Vec<String> = args.iter().map(|a| a.to_string()).collect();
        let password = args.iter().position(|a| a == "--requirepass").map(|at| args[at + 1].clone());
        Self {
            kind,
            port: free_port(),
            dir: TempDir::new(),
            args,
            env: Vec::new(),
            shell_line: None,
            password,
            child: None,
            client: None,
        }
    }

    /// A file with settings, which is read before the arguments.
    pub fn set_config_file(&mut self, path: &Path) {
        self.args.insert(0, path.display().to_string());
    }

    /// A variable of the environment, for each start from now on.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.push((name.to_string(), value.to_string()));
    }

    /// What a shell does before it becomes the server, for each start from now on: `ulimit` for example.
    pub fn set_shell_line(&mut self, line: &str) {
        self.shell_line = Some(line.to_string());
    }

    /// Nanoseconds that the thread which executes commands has been running.
    pub fn busy_ns(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.pid())).expect("the server runs");
        text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("a number")
    }

    /// Starts the process and waits until it serves.
    #[track_caller]
    pub fn launch(&mut self) {
        self.launch_with(&[]);
    }

    /// Starts the process with arguments for this time only, and waits until it serves.
    #[track_caller]
    pub fn launch_with(&mut self, more: &[&str]) {
        self.spawn(more);
        wait::until("the server serves", || {
            let child = self.child.as_mut().expect("it was spawned");
            if let Ok(Some(status)) = child.try_wait() {
                panic!("{:?} ended: {status}\n{}", self.kind, self.log());
            }
            let Some(mut client) = self.connect() else { return false };
            let reply = client.try_call("PING");
            let up = reply.is_ok_and(|r| !r.is_error() || !r.text().starts_with("LOADING"));
            self.client = up.then_some(client);
            up
        });
    }

    /// Starts the process only.
    pub fn spawn(&mut self, more: &[&str]) {
        let program = self.kind.program().unwrap_or_else(|| panic!("{:?} is not installed", self.kind));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.dir.path().join("log"));
        let log = log.expect("a log file");
        let mut command = match &self.shell_line {
            None => Command::new(program),
            Some(line) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("{line}; exec \"$0\" \"$@\"")).arg(program);
                shell
            }
        };
        // A file with settings is the first argument, where there is one.
        let file = self.args.first().filter(|a| !a.starts_with("--"));
        command.args(file).args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"]);
        command.arg("--dir").arg(self.dir.path()).args(&self.args[usize::from(file.is_some())..]).args(more);
        command.env("LC_ALL", "C").envs(self.env.iter().cloned()).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        self.child = Some(command.spawn().expect("the server starts"));
    }

    /// A further connection, logged in.
    pub fn client(&self) -> Client {
        self.connect().unwrap_or_else(|| panic!("{:?} does not take a connection", self.kind))
    }

    /// A further connection, if the server takes one and answers.
    pub fn client_if_up(&self) -> Option<Client> {
        let mut client = self.connect()?;
        client.try_call("PING").ok().map(|_| client)
    }

    fn connect(&self) -> Option<Client> {
        let mut client = Client::connect(self.port).ok()?;
        if let Some(password) = &self.password {
            client.try_call(&["AUTH", password]).ok()?;
        }
        Some(client)
    }

    /// The connection that the short forms use.
    pub fn main(&mut self) -> &mut Client {
        if self.client.is_none() {
            self.client = Some(self.client());
        }
        self.client.as_mut().expect("there is one now")
    }

    /// A command; a connection that was closed is made again.
    #[track_caller]
    pub fn call(&mut self, command: &(impl Words + ?Sized)) -> Reply {
        if let Ok(reply) = self.main().try_call(command) {
            return reply;
        }
        self.client = None;
        self.main().call(command)
    }

    /// A command that must not fail.
    #[track_caller]
    pub fn must(&mut self, command: &(impl Words + ?Sized)) -> Reply {
        let reply = self.call(command);
        assert!(!reply.is_error(), "{:?}: {}: {reply:?}", self.kind, crate::client::shown_command(&command.words()));
        reply
    }

    /// A field of INFO; empty if there is none.
    pub fn info(&mut self, field: &str) -> String {
        let text = self.call("INFO everything").text();
        let line = text.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_default().trim_end().to_string()
    }

    /// A numeric field of INFO.
    pub fn count(&mut self, field: &str) -> i64 {
        self.info(field).parse().unwrap_or_else(|_| panic!("{:?} has no number {field}", self.kind))
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Ends the process at once, as a crash does.
    pub fn kill(&mut self) {
        self.client = None;
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits until the process has ended by itself; answers how.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> ExitStatus {
        self.client = None;
        let mut child = self.child.take().expect("the server runs");
        let mut status = None;
        wait::until("the server has ended", || {
            status = child.try_wait().ok().flatten();
            status.is_some()
        });
        status.expect("it has ended")
    }

    /// SHUTDOWN with these words; waits for the end.
    pub fn shutdown(&mut self, words: &str) {
        let _ = self.main().try_call(&format!("SHUTDOWN {words}"));
        self.client = None;
        let mut child = self.child.take().expect("the server runs");
        if !wait::within(Duration::from_secs(30), || child.try_wait().is_ok_and(|s| s.is_some())) {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{:?} does not shut down\n{}", self.kind, self.log());
        }
    }

    /// SHUTDOWN SAVE and a new start on the same port and data.
    pub fn restart(&mut self) {
        self.shutdown("SAVE");
        self.launch();
    }

    /// Follows a master and waits until the link is up.
    #[track_caller]
    pub fn follow(&mut self, master: &Server) {
        self.must(&format!("REPLICAOF 127.0.0.1 {}", master.port));
        self.wait_for_link();
    }

    #[track_caller]
    pub fn wait_for_link(&mut self) {
        if !wait::within(wait::PATIENCE, || self.info("master_link_status") == "up") {
            panic!("{:?} has no link to its master\n{}", self.kind, self.log());
        }
    }

    /// The log's end.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.dir.path().join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// Writes a file into the server's directory; answers its path.
    pub fn write_file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).expect("a file in the directory");
        path
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("---- log of {:?} on port {}\n{}\n----", self.kind, self.port, self.log());
        }
    }
}

/// Runs a tool to its end; answers its output and whether it went well.
pub fn run(program: impl AsRef<OsStr>, args: &[&str]) -> (String, bool) {
    let output = Command::new(program.as_ref()).args(args).stdin(Stdio::null()).env("LC_ALL", "C").output();
    let output = output.unwrap_or_else(|e| panic!("{}: {e}", program.as_ref().to_string_lossy()));
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&text).into_owned(), output.status.success())
}
