//! A bench on which the tests of the families run handlers: 16 databases, settings, and a clock that stands still until it is advanced.
//!
//! It has no dispatch: a test module gives its family's rows. It expires nothing by itself and propagates nowhere.

use rivulet_keyspace::{KeyHasher, Keyspace};
use rivulet_resp::{OwnedArgs, Reply};

use crate::ctx::{Call, Ctx, Data};
use crate::effects::{Again, Effects, Propagation};
use crate::settings::Settings;
use crate::spec::{Command, Handler};

/// What the last command did, as text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub dirty: u64,
    /// What goes to the replicas: `DEL k`, with what was found expired first. Arguments are joined by blanks.
    pub propagated: Vec<String>,
    /// `name key`, in order.
    pub events: Vec<String>,
    pub touched: Vec<String>,
    pub ready: Vec<String>,
    /// The keys that it waits for.
    pub block: Option<Vec<String>>,
    pub block_timeout_ms: Option<u64>,
    /// What runs again, if that is another command.
    pub again: Option<String>,
}

/// Runs commands of one family.
pub(crate) struct Bench {
    families: Vec<&'static [Command]>,
    pub keyspace: Keyspace,
    pub settings: Settings,
    pub call: Call,
    pub db: usize,
    pub resp3: bool,
    rng: fastrand::Rng,
    effects: Effects,
    last: Option<OwnedArgs>,
}

impl Bench {
    /// `families` are the rows whose commands the test may run.
    pub fn new(families: &[&'static [Command]]) -> Bench {
        Bench {
            families: families.to_vec(),
            keyspace: Keyspace::new(16, KeyHasher::new([1, 2])),
            settings: Settings { notify: crate::effects::class::ALL, ..Settings::default() },
            call: Call {
                now_ms: 1_700_000_000_000,
                from_master: false,
                is_replica: false,
                keeps_expired: false,
                deny_blocking: false,
                in_script: false,
                reads_any_key: true,
                note_touched: true,
                note_ready: true,
                propagates: true,
            },
            db: 0,
            resp3: false,
            rng: fastrand::Rng::with_seed(7),
            effects: Effects::default(),
            last: None,
        }
    }

    pub fn advance_ms(&mut self, ms: u64) {
        self.call.now_ms += ms;
    }

    /// Runs a line of words separated by blanks; `""` is an empty word. Answers the reply as it goes to the client.
    pub fn run(&mut self, line: &str) -> String {
        let words: Vec<&[u8]> =
            line.split_ascii_whitespace().map(|w| if w == "\"\"" { "" } else { w }.as_bytes()).collect();
        self.run_args(&words)
    }

    pub fn run_args(&mut self, words: &[&[u8]]) -> String {
        String::from_utf8_lossy(&self.run_bytes(words)).into_owned()
    }

    /// The reply's bytes.
    pub fn run_bytes(&mut self, words: &[&[u8]]) -> Vec<u8> {
        let args = OwnedArgs::from_slices(words);
        let command = self.find(words);
        self.effects = Effects::default();
        let mut out = Vec::new();
        if !command.arity_fits(words.len()) {
            out.extend_from_slice(b"-arity\r\n");
            return out;
        }
        let Handler::Data(handler) = command.handler else { panic!("{} is not run on data", command.name) };
        let mut ctx = Ctx {
            args: args.as_args(),
            reply: Reply::new(&mut out, self.resp3),
            db: Data {
                keyspace: &mut self.keyspace,
                index: self.db,
                effects: &mut self.effects,
                call: self.call,
                settings: &self.settings,
                rng: &mut self.rng,
            },
            first_key: None,
        };
        if let Err(fail) = handler(&mut ctx) {
            out.clear();
            Reply::new(&mut out, self.resp3).error(&fail.0);
        }
        self.last = Some(args);
        out
    }

    fn find(&self, words: &[&[u8]]) -> &'static Command {
        let named = |commands: &'static [Command], name: &[u8]| {
            commands.iter().find(|c| c.name.as_bytes().eq_ignore_ascii_case(name))
        };
        let command = self.families.iter().find_map(|f| named(f, words[0])).expect("the command is in the families");
        match words.get(1) {
            Some(word) if !command.subcommands.is_empty() => named(command.subcommands, word).expect("a subcommand"),
            _ => command,
        }
    }

    /// What the last command did.
    pub fn effects(&self) -> Done {
        let effects = &self.effects;
        let mut propagated: Vec<String> = effects.before.iter().map(|(_, args)| line_of(args)).collect();
        match &effects.propagation {
            Propagation::AsIs if effects.dirty > 0 => propagated.extend(self.last.iter().map(line_of)),
            Propagation::Instead(commands) => propagated.extend(commands.iter().map(line_of)),
            Propagation::AsIs | Propagation::Nothing => {}
        }
        let keys = |list: &[(usize, Box<[u8]>)]| list.iter().map(|(_, key)| text(key)).collect();
        Done {
            dirty: effects.dirty,
            propagated,
            events: effects.events.iter().map(|e| format!("{} {}", e.name, text(&e.key))).collect(),
            touched: effects.touched.iter().map(|touched| text(&touched.key)).collect(),
            ready: keys(&effects.ready),
            block: effects.block.as_ref().map(|b| b.keys.iter().map(|k| text(k)).collect()),
            block_timeout_ms: effects.block.as_ref().and_then(|b| b.timeout_ms),
            again: effects.block.as_ref().and_then(|b| match &b.again {
                Again::WithReadyKey => None,
                Again::Command(args) => Some(line_of(args)),
            }),
        }
    }

    /// The effects themselves, for what [`Done`] does not show.
    pub fn raw_effects(&self) -> &Effects {
        &self.effects
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn line_of(args: &OwnedArgs) -> String {
    args.as_args().iter().map(text).collect::<Vec<_>>().join(" ")
}
