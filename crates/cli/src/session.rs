//! A conversation with a server: it connects again when the link is lost, follows a cluster's redirections, and remembers what the server keeps of
//! a connection: database, transaction, protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rivulet_client::{Address, ClientError, ClientTls, Connection, Failure, Login, Reply, Timeouts};

use crate::clock;
use crate::format::{Delimiters, Output, invalidated, render, render_verbatim};
use crate::options::{Options, Resp3};
use crate::out::{self, Fatal, say, words};

mod debugger;
mod redirect;
mod replica;
mod watch;

/// How often one that is being waited for looks whether Ctrl-C was pressed.
const LOOK: Duration = Duration::from_millis(100);

/// How long is waited for what nobody has asked for.
const ASIDE: Duration = Duration::from_secs(5);

/// Nodes that send us on, one after the other, for one command.
const REDIRECTS_MAX: usize = 16;

/// Why a command was not carried out.
#[derive(Debug)]
pub enum Lost {
    /// The link is gone; the next command makes another one.
    Link,
    /// The program ends.
    Program(Fatal),
}

/// What the last reply was, as far as that matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Last {
    pub is_error: bool,
    pub is_null: bool,
}

/// What goes before a command when a cluster has sent us on.
#[derive(Clone, Debug)]
struct Redirect {
    has_asking: bool,
}

pub struct Session {
    pub options: Options,
    pub connection: Option<Connection>,
    pub address: Address,
    pub output: Output,
    pub is_interactive: bool,
    /// Set by Ctrl-C.
    pub interrupted: Arc<AtomicBool>,
    /// Ctrl-C ends the program at once.
    pub is_deaf: Arc<AtomicBool>,
    pub last: Last,
    /// The database that is wanted, and the one that this connection has.
    pub wanted_database: i64,
    pub database: i64,
    /// In a transaction: the database before it.
    pub transaction: Option<i64>,
    pub debugger: Debugger,
    resp3: Resp3,
    delimiters: Delimiters,
    tls: Option<ClientTls>,
    redirect: Option<Redirect>,
    is_shutting_down: bool,
}

/// The debugger of Lua scripts, as far as it changes how we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Debugger {
    Off,
    /// The next EVAL begins a session.
    Armed,
    On,
    /// It has just ended, and the script's reply follows.
    Ended,
}

impl Session {
    pub fn new(options: Options, tls: Option<ClientTls>) -> Session {
        let delimiters =
            Delimiters { element: options.element_delimiter.clone(), reply: options.reply_delimiter.clone() };
        Session {
            connection: None,
            address: options.address(),
            output: options.output,
            is_interactive: false,
            interrupted: Arc::default(),
            is_deaf: Arc::default(),
            last: Last::default(),
            wanted_database: options.database,
            database: 0,
            transaction: None,
            debugger: Debugger::Off,
            resp3: options.resp3,
            delimiters,
            tls,
            redirect: None,
            is_shutting_down: false,
            options,
        }
    }

    /// What stands before the line that is typed.
    pub fn prompt(&self) -> String {
        if self.debugger == Debugger::On {
            return "lua debugger> ".into();
        }
        if self.connection.is_none() {
            return "not connected> ".into();
        }
        let mut prompt = match &self.address {
            Address::Unix { path } => format!("redis {}", path.display()),
            address => address.to_string(),
        };
        if self.database != 0 {
            prompt += &format!("[{}]", self.database);
        }
        if self.transaction.is_some() {
            prompt += "(TX)";
        }
        prompt + "> "
    }

    /// Connects, if there is no connection.
    ///
    /// # Errors
    /// Nobody answers, or the server refuses; standard error was told unless `is_quiet`.
    pub fn connect(&mut self, is_quiet: bool) -> Result<(), Fatal> {
        if self.connection.is_some() { Ok(()) } else { self.reconnect(is_quiet) }
    }

    /// Connects anew. A server that refuses the login keeps the connection.
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub fn reconnect(&mut self, is_quiet: bool) -> Result<(), Fatal> {
        (self.connection, self.database, self.transaction) = (None, 0, None);
        let timeouts = Timeouts {
            connect: self.options.timeout,
            read: self.is_interactive.then_some(LOOK),
            write: None,
            prefers_ipv6: self.options.prefers_ipv6,
        };
        match Connection::connect(&self.address, self.tls.as_ref(), &timeouts) {
            Ok(connection) => self.connection = Some(connection),
            Err(error) => {
                if let Failure::Tls(_) = error.failure {
                    eprintln!("Could not negotiate a TLS connection: {}", words(&error));
                } else if !is_quiet {
                    let shown = match &self.address {
                        Address::Tcp { host, port } => format!("{host}:{port}"),
                        address => address.to_string(),
                    };
                    eprintln!("Could not connect to Redis at {shown}: {}", words(&error));
                }
                return Err(Fatal::said());
            }
        }
        self.log_in()
    }

    fn log_in(&mut self) -> Result<(), Fatal> {
        if let Some(password) = self.options.password.clone() {
            let mut auth = vec![b"AUTH".to_vec()];
            auth.extend(self.options.user.clone());
            auth.push(password);
            self.must(&auth, "AUTH")?;
        }
        self.select()?;
        if self.resp3 == Resp3::No || self.options.is_resp2 {
            return Ok(());
        }
        match self.must(&[b"HELLO".to_vec(), b"3".to_vec()], "HELLO 3") {
            Err(_) if self.resp3 == Resp3::Implied && self.connection.is_some() => Ok(()),
            other => other,
        }
    }

    /// Goes to the database that is wanted, if it is another one.
    ///
    /// # Errors
    /// The server refuses, or the link is gone; standard error was told.
    pub fn select(&mut self) -> Result<(), Fatal> {
        let wanted = self.wanted_database;
        if wanted == self.database {
            return Ok(());
        }
        self.must(&[b"SELECT".to_vec(), wanted.to_string().into_bytes()], &format!("SELECT {wanted}"))?;
        self.database = wanted;
        Ok(())
    }

    fn must(&mut self, args: &[Vec<u8>], name: &str) -> Result<(), Fatal> {
        match self.ask(args) {
            Ok(reply) if reply.is_error() => {
                eprintln!("{name} failed: {}", reply.text());
                Err(Fatal::said())
            }
            Ok(_) => Ok(()),
            Err(_) => {
                eprintln!("\nI/O error");
                Err(Fatal::said())
            }
        }
    }

    /// Sends a command and reads its reply, without showing it.
    ///
    /// # Errors
    /// The link is gone.
    pub fn ask<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Reply, ClientError> {
        let address = self.address.clone();
        let Some(connection) = &mut self.connection else {
            return Err(ClientError { address, failure: Failure::Closed });
        };
        connection.send(args)?;
        self.receive()
    }

    /// What comes next. Pushes are shown or dropped.
    pub fn receive(&mut self) -> Result<Reply, ClientError> {
        loop {
            match self.receive_any()? {
                push @ Reply::Push(_) => self.show_push(&push),
                reply => return Ok(reply),
            }
        }
    }

    /// What comes next, also a push. Ctrl-C ends the program, or what it watches.
    fn receive_any(&mut self) -> Result<Reply, ClientError> {
        let address = self.address.clone();
        let Some(connection) = &mut self.connection else {
            return Err(ClientError { address, failure: Failure::Closed });
        };
        loop {
            match connection.receive() {
                Err(ClientError { failure: Failure::TimedOut, .. }) if self.is_interactive => {
                    if self.interrupted.load(Ordering::Relaxed) {
                        return Err(ClientError { address, failure: Failure::TimedOut });
                    }
                }
                other => return other,
            }
        }
    }

    fn show_push(&self, push: &Reply) {
        if !self.options.shows_pushes {
            return;
        }
        match invalidated(push) {
            Some(text) if self.output == Output::Standard => out::write(&text),
            _ => out::write(&render(push, self.output, &self.delimiters)),
        }
    }

    fn show(&mut self, reply: &Reply, is_verbatim: bool) {
        if self.debugger == Debugger::On && self.output == Output::Raw {
            return self.show_debugger(reply);
        }
        out::write(&match is_verbatim {
            true => render_verbatim(reply, &self.delimiters),
            false => render(reply, self.output, &self.delimiters),
        });
    }

    /// Runs a command `repeat` times and shows the replies.
    ///
    /// # Errors
    /// The link was lost, or the program is to end; standard error was told of the former.
    pub fn run(&mut self, args: &[Vec<u8>], repeat: i64) -> Result<(), Lost> {
        // What was pressed before was not meant for this command.
        self.interrupted.store(false, Ordering::Relaxed);
        for _ in 0..REDIRECTS_MAX {
            if self.connection.is_none() || self.redirect.is_some() {
                self.reconnect(false).map_err(|_| Lost::Link)?;
            }
            if self.redirect.take().is_some_and(|redirect| redirect.has_asking) {
                self.must(&[b"ASKING".to_vec()], "ASKING").map_err(|_| Lost::Link)?;
            }
            self.run_here(args, repeat)?;
            if self.redirect.is_none() {
                return Ok(());
            }
        }
        self.redirect = None;
        eprintln!("Error: the nodes of the cluster send us on and on");
        Err(Lost::Link)
    }

    fn run_here(&mut self, args: &[Vec<u8>], repeat: i64) -> Result<(), Lost> {
        let words = Words(args);
        self.is_shutting_down = words.is(0, "shutdown");
        self.note_debugger(&words);
        let is_verbatim = words.is_for_readers();
        let mut left = repeat;
        while left != 0 {
            left -= i64::from(left > 0);
            // Both are asked for in the words of `--replica`.
            if words.is(0, "sync") || words.is(0, "psync") {
                say!("Entering replica output mode...  (press Ctrl-C to quit)\n");
                return Err(self.follow_stream().map_or_else(Lost::Program, |()| Lost::Link));
            }
            self.send(args)?;
            if words.is(0, "monitor") {
                return self.watch(is_verbatim);
            }
            if ["subscribe", "psubscribe", "ssubscribe"].iter().any(|name| words.is(0, name)) {
                self.watch_channels(is_verbatim)?;
                continue;
            }
            if !self.read_shown(is_verbatim)? {
                return Ok(());
            }
            self.note_state(&words);
            if self.redirect.is_some() {
                return Ok(());
            }
            if !self.options.interval.is_zero() {
                clock::sleep(self.options.interval);
            }
        }
        Ok(())
    }

    fn send(&mut self, args: &[Vec<u8>]) -> Result<(), Lost> {
        let Some(connection) = &mut self.connection else { return Err(Lost::Link) };
        match connection.send(args) {
            Ok(()) => Ok(()),
            // A server that closes may have said why first.
            Err(ClientError { failure: Failure::Write(_), .. }) => Ok(()),
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// Reads a reply and shows it; answers whether there was one: a server that shuts down gives none.
    fn read_shown(&mut self, is_verbatim: bool) -> Result<bool, Lost> {
        let reply = match self.receive() {
            Ok(reply) => reply,
            Err(_) if self.is_shutting_down => {
                self.connection = None;
                return Ok(false);
            }
            Err(error) => return Err(self.lost(&error)),
        };
        self.last = Last { is_error: reply.is_error(), is_null: matches!(reply.without_attributes(), Reply::Null) };
        if self.options.follows_cluster && self.take_redirect(&reply) {
            return Ok(true);
        }
        if !self.is_interactive && self.options.fails_on_error && reply.is_error() {
            return Err(Lost::Program(Fatal(reply.text().into_owned())));
        }
        self.show(&reply, is_verbatim);
        Ok(true)
    }

    /// Reads the reply of a script whose debugging has ended.
    ///
    /// # Errors
    /// The link was lost.
    pub fn read_last(&mut self) -> Result<(), Lost> {
        self.read_shown(false).map(|_| ())
    }

    /// The link is lost: a program that is not interactive ends, and so does one whose server says what can't be read.
    fn lost(&mut self, error: &ClientError) -> Lost {
        self.connection = None;
        let is_interrupted = matches!(error.failure, Failure::TimedOut);
        if is_interrupted {
            return Lost::Program(Fatal::said());
        }
        let may_return = matches!(error.failure, Failure::Closed | Failure::Read(_) | Failure::Write(_));
        if self.is_interactive && may_return {
            eprintln!("Error: {}", words(error));
            return Lost::Link;
        }
        Lost::Program(Fatal(format!("Error: {}", words(error))))
    }

    /// What a command has changed on the server's side.
    fn note_state(&mut self, words: &Words<'_>) {
        let Last { is_error, is_null } = self.last;
        match words.0.len() {
            2 if words.is(0, "select") && !is_error => {
                self.wanted_database = crate::options::number(std::ffi::OsStr::new(&*words.text(1)));
                self.database = self.wanted_database;
            }
            2 | 3 if words.is(0, "auth") => drop(self.select()),
            1 if words.is(0, "multi") && !is_error => self.transaction = Some(self.database),
            1 if words.is(0, "exec") => {
                if let Some(before) = self.transaction.take().filter(|_| is_error || is_null) {
                    (self.wanted_database, self.database) = (before, before);
                }
            }
            1 if words.is(0, "discard") && !is_error => {
                if let Some(before) = self.transaction.take() {
                    (self.wanted_database, self.database) = (before, before);
                }
            }
            1 if words.is(0, "reset") && !is_error => {
                (self.transaction, self.wanted_database, self.database) = (None, 0, 0);
                self.resp3 = Resp3::No;
            }
            _ => {}
        }
    }

    fn note_debugger(&mut self, words: &Words<'_>) {
        if words.0.len() == 3 && words.is(0, "script") && words.is(1, "debug") {
            let is_armed = words.is(2, "yes") || words.is(2, "sync");
            self.debugger = if is_armed { Debugger::Armed } else { Debugger::Off };
        }
        if words.is(0, "eval") && self.debugger == Debugger::Armed {
            (self.debugger, self.output) = (Debugger::On, Output::Raw);
        }
    }

    /// Another connection, for what is nobody's command.
    pub fn aside(&self) -> Option<Connection> {
        self.connection.as_ref()?;
        let login =
            Login { user: self.options.user.clone(), password: self.options.password.clone(), ..Login::default() };
        let timeouts = Timeouts { prefers_ipv6: self.options.prefers_ipv6, ..Timeouts::all(ASIDE) };
        let mut connection = Connection::connect(&self.address, self.tls.as_ref(), &timeouts).ok()?;
        // Who is refused asks all the same: the answer says so.
        let _ = connection.log_in(&login);
        Some(connection)
    }
}

/// The words of a command, compared without regard to case.
pub struct Words<'a>(pub &'a [Vec<u8>]);

impl Words<'_> {
    pub fn is(&self, at: usize, word: &str) -> bool {
        self.0.get(at).is_some_and(|own| own.eq_ignore_ascii_case(word.as_bytes()))
    }

    fn text(&self, at: usize) -> String {
        String::from_utf8_lossy(&self.0[at]).into_owned()
    }

    /// Whether the reply is a text for readers, which is shown as it is.
    fn is_for_readers(&self) -> bool {
        let (at_least_2, exactly) = (self.0.len() >= 2, self.0.len());
        let second = |words: &[&str]| words.iter().any(|word| self.is(1, word));
        self.is(0, "info")
            || self.is(0, "lolwut")
            || (at_least_2 && self.is(0, "debug") && second(&["htstats", "htstats-key", "client-eviction"]))
            || (at_least_2 && self.is(0, "memory") && second(&["malloc-stats", "doctor"]))
            || (exactly == 2 && self.is(0, "cluster") && second(&["nodes", "info"]))
            || (at_least_2 && self.is(0, "client") && second(&["list", "info"]))
            || (exactly == 3 && self.is(0, "latency") && second(&["graph"]))
            || (exactly == 2 && self.is(0, "latency") && second(&["doctor"]))
            || (at_least_2 && self.is(0, "proxy") && second(&["info"]))
    }
}
