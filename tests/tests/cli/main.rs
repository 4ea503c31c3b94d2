//! `rivulet-cli`, beside redis-cli where that is installed, on our server.

mod beside;
mod modes;
mod rdb;
mod terminal;
mod top;
mod transport;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use rivulet_tests::Server;
use rivulet_tests::process::rivulet;

/// What a program has left behind.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    status: Option<i32>,
    out: String,
    err: String,
}

/// How a program is called.
#[derive(Clone, Copy, Debug, Default)]
struct Call<'a> {
    args: &'a [&'a str],
    input: &'a [u8],
    /// Standard output is to be taken for a terminal.
    has_terminal: bool,
    env: &'a [(&'a str, &'a str)],
}

impl Call<'_> {
    /// Runs a program on a server.
    fn run(&self, program: &Path, server: &Server) -> Outcome {
        self.run_at(program, &["-p", &server.port.to_string()])
    }

    /// Runs a program with these arguments before the others.
    fn run_at(&self, program: &Path, first: &[&str]) -> Outcome {
        let mut command = Command::new(program);
        command.args(first).args(self.args).envs(self.env.iter().copied());
        command.env("HOME", "/nonexistent").env("TERM", "dumb").env_remove("REDISCLI_AUTH");
        command.envs(self.env.iter().copied());
        if self.has_terminal {
            command.env("FAKETTY", "1");
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        // Who does not read its input is not told it.
        let _ = child.stdin.take().expect("a pipe").write_all(self.input);
        let output = child.wait_with_output().expect("the program ends");
        let text = |bytes: &[u8]| bytes.iter().map(|&byte| byte as char).collect();
        Outcome { status: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// Runs ours with these arguments; what it says on standard output, of which it must succeed.
#[track_caller]
fn said(server: &Server, args: &[&str]) -> String {
    let outcome = Call { args, ..Call::default() }.run(&rivulet("rivulet-cli"), server);
    assert_eq!((outcome.status, outcome.err.as_str()), (Some(0), ""), "{args:?}: {}", outcome.out);
    outcome.out
}
