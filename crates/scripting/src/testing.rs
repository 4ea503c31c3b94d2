//! A host with a map, for tests.

use std::collections::BTreeMap;

use rivulet_resp::{Args, Reply};

use crate::host::{Host, Interrupt, LogLevel, Replication};

/// GET, SET, ECHO, and what a test says in `scripted`.
#[derive(Default)]
pub(crate) struct MapHost {
    pub(crate) map: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) logged: Vec<(LogLevel, Vec<u8>)>,
    pub(crate) replication: Vec<Replication>,
    /// Interrupts until the run is ended.
    pub(crate) ends_after: Option<u32>,
    pub(crate) interrupts: u32,
}

impl Host for MapHost {
    fn call(&mut self, command: Args<'_>, resp3: bool, reply: &mut Vec<u8>) {
        let mut reply = Reply::new(reply, resp3);
        let name = command.at(0).to_ascii_lowercase();
        match (name.as_slice(), command.len()) {
            (b"get", 2) => match self.map.get(command.at(1)) {
                Some(value) => reply.bulk(value),
                None => reply.null(),
            },
            (b"set", 3) => {
                self.map.insert(command.at(1).to_vec(), command.at(2).to_vec());
                reply.ok();
            }
            (b"echo", 2) => reply.bulk(command.at(1)),
            // The reply that the argument is.
            (b"raw", 2) => reply.raw(command.at(1)),
            (b"panic", _) => panic!("a host that fails"),
            (b"get" | b"set" | b"echo", _) => {
                reply.error(b"ERR Wrong number of args calling Redis command from script")
            }
            _ => reply.error(b"ERR Unknown Redis command called from script"),
        }
    }

    fn may_run(&mut self, command: Args<'_>) -> Option<bool> {
        match command.at(0) {
            b"get" => Some(true),
            b"set" => Some(false),
            _ => None,
        }
    }

    fn log(&mut self, level: LogLevel, text: &[u8]) {
        self.logged.push((level, text.to_vec()));
    }

    fn set_replication(&mut self, to: Replication) {
        self.replication.push(to);
    }

    fn interrupt(&mut self) -> Interrupt {
        self.interrupts += 1;
        match self.ends_after {
            Some(after) if self.interrupts >= after => Interrupt::End(crate::KILLED),
            _ => Interrupt::Continue,
        }
    }

    fn cpu_seconds(&mut self) -> f64 {
        0.5
    }
}

use rivulet_resp::OwnedArgs;

use crate::{Ended, Engine, Identity, Input};

pub(crate) const LIMIT_BYTES: usize = 64 << 20;

pub(crate) fn engine() -> Engine {
    Engine::new(Identity { redis_version: "7.0.15" }, LIMIT_BYTES)
}

/// An engine and a host, with the commands of a client.
pub(crate) struct Server {
    pub(crate) engine: Engine,
    pub(crate) host: MapHost,
    pub(crate) ended: Option<Ended>,
}

impl Server {
    pub(crate) fn new() -> Server {
        Server { engine: engine(), host: MapHost::default(), ended: None }
    }

    /// The reply of EVAL without keys, as bytes.
    pub(crate) fn eval(&mut self, script: &str) -> String {
        self.eval_with(script, &["0"], false)
    }

    /// The reply of EVAL.
    pub(crate) fn eval_with(&mut self, script: &str, rest: &[&str], resp3: bool) -> String {
        let words: Vec<&str> = ["EVAL", script].into_iter().chain(rest.iter().copied()).collect();
        let args = OwnedArgs::from_slices(&words);
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, resp3);
        let id =
            Input::of_script(args.as_args()).and_then(|i| Ok((i, self.engine.scripts().evaluated(script.as_bytes())?)));
        match id {
            Ok((input, id)) => self.ended = Some(self.engine.eval(id, &input, &mut self.host, &mut reply)),
            Err(fail) => reply.error(&fail.0),
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The reply of FCALL without keys.
    pub(crate) fn fcall(&mut self, name: &str) -> String {
        let args = OwnedArgs::from_slices(&["FCALL", name, "0"]);
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, false);
        match self.engine.libraries().find(name.as_bytes()) {
            Ok(id) => {
                let input = Input::of_function(args.as_args()).expect("it is right");
                self.ended = Some(self.engine.fcall(id, &input, &mut self.host, &mut reply));
            }
            Err(fail) => reply.error(&fail.0),
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The error of loading a library, or its name.
    pub(crate) fn load(&mut self, code: &str) -> String {
        let loaded = self.engine.libraries().load(code.as_bytes(), true, &mut self.host);
        String::from_utf8_lossy(&loaded.unwrap_or_else(|fail| fail.0.into_owned())).into_owned()
    }
}
