//! Programs of others with all the processes that they start, which end when the value does, also in a panic and whatever they did to leave their parents.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::process::TempDir;
use crate::wait;

/// The variable by which the processes of a family are known: children keep it.
const VARIABLE: &str = "RIVULET_TEST_FAMILY";

/// A family of processes.
pub struct Family {
    dir: TempDir,
    members: Vec<Member>,
}

/// One that the test itself has started.
struct Member {
    name: String,
    child: Child,
    output: PathBuf,
}

impl Family {
    pub fn new() -> Self {
        Self { dir: TempDir::new(), members: Vec::new() }
    }

    /// Starts a program, whose output is kept under this name.
    pub fn spawn(&mut self, name: &str, command: &mut Command) {
        let output = self.dir.path().join(name);
        let file = File::create(&output).expect("a file for the output");
        command.env(VARIABLE, self.dir.path()).stdin(Stdio::null());
        command.stdout(file.try_clone().expect("a second handle")).stderr(file);
        let child = command.spawn().unwrap_or_else(|e| panic!("{name}: {e}"));
        self.members.push(Member { name: name.to_string(), child, output });
    }

    /// Waits for the end of a program that was started; `None` if that takes longer.
    pub fn end_within(&mut self, name: &str, limit: Duration) -> Option<ExitStatus> {
        let member = self.members.iter_mut().find(|member| member.name == name).expect("it was started");
        let mut status = None;
        wait::within(limit, || {
            status = member.child.try_wait().expect("it is a child");
            status.is_some()
        });
        status
    }

    /// Runs a program to its end, which must be a good one and come in time; answers what it said.
    #[track_caller]
    pub fn run(&mut self, name: &str, command: &mut Command, limit: Duration) -> String {
        self.spawn(name, command);
        let status = self.end_within(name, limit);
        assert!(status.is_some_and(|status| status.success()), "{name}: {status:?} within {limit:?}\n{}", self.said());
        self.output(name)
    }

    /// Asks a program to end, and waits until it and all its children have.
    #[track_caller]
    pub fn terminate(&mut self, name: &str, limit: Duration) {
        let member = self.members.iter().find(|member| member.name == name).expect("it was started");
        signal("-TERM", &[member.child.id()]);
        let status = self.end_within(name, limit);
        assert!(status.is_some_and(|status| status.success()), "{name}: {status:?} within {limit:?}\n{}", self.said());
    }

    /// Ends every process of the family at once.
    pub fn kill(&mut self) {
        wait::within(Duration::from_secs(10), || {
            let running = self.running();
            signal("-KILL", &running);
            // Those that the test has started stay until they are asked for.
            self.members.iter_mut().for_each(|member| drop(member.child.try_wait()));
            running.is_empty()
        });
    }

    /// The processes that run: those that were started, and those that these have started.
    pub fn running(&self) -> Vec<u32> {
        let mark = format!("{VARIABLE}={}", self.dir.path().display());
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| is_marked(*pid, mark.as_bytes())).collect()
    }

    /// What a program has said so far.
    pub fn output(&self, name: &str) -> String {
        let text = std::fs::read(self.dir.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// What all of them have said.
    pub fn said(&self) -> String {
        let of_one = |member: &Member| format!("---- {}\n{}", member.name, read(&member.output));
        self.members.iter().map(of_one).collect()
    }
}

impl Default for Family {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("{}", self.said());
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// Whether the environment of a process has the variable. That of one that has ended is empty.
fn is_marked(pid: u32, mark: &[u8]) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark)
}

/// Some may have ended meanwhile.
fn signal(name: &str, pids: &[u32]) {
    if !pids.is_empty() {
        let pids = pids.iter().map(u32::to_string);
        let _ = Command::new("kill").arg(name).args(pids).stderr(Stdio::null()).status();
    }
}
