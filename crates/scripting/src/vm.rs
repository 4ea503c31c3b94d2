//! A Lua state with its sandbox, and the way of a run through it.

use rivulet_commands::fail::Fail;
use rivulet_resp::Reply;

use crate::api::hexadecimal;
use crate::bytecode::assigns_globals;
use crate::context::{Context, Identity};
use crate::debugger::{self, Session};
use crate::host::Host;
use crate::input::Input;
use crate::lua::{Failure, Lua, PAUSE_PERCENT, Ref, State};
use crate::random::Random;
use crate::sandbox::{self, Failed, Globals, Purpose};

/// How a run ended; its reply is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The script returned. Its reply may be an error all the same.
    Returned,
    /// An error ended it, or it returned one that a command replied.
    Failed {
        /// The error is one that a command replied, and was counted then.
        is_counted: bool,
    },
    /// The host ended it.
    Killed,
}

/// A state and what it was built with.
pub(crate) struct Vm {
    state: State,
    globals: Globals,
    /// What was left when the collector had been through all the last time.
    live_bytes: usize,
}

/// What is left of a state that was replaced: to drop it takes long, and may be done on another thread.
pub struct Remains {
    _state: State,
}

/// So much garbage is left to lie, however little else there is: to go through what lives costs the same for much garbage as for little.
const GARBAGE_BYTES: usize = 512 << 10;
/// While a script runs, the collector begins again at so many percent of what was left: more of them where that is little.
const PAUSE_PERCENT_MAX: usize = 400;

impl Vm {
    pub(crate) fn new(purpose: Purpose, identity: &Identity, limit_bytes: usize) -> Vm {
        let mut state = State::new(limit_bytes, Context::new());
        let globals = state.enter(|lua| sandbox::build(lua, purpose, identity));
        let mut vm = Vm { state, globals, live_bytes: 0 };
        vm.collected();
        vm
    }

    pub(crate) fn into_remains(self) -> Remains {
        Remains { _state: self.state }
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.state.shared().heap.used_bytes()
    }

    pub(crate) fn set_limit(&mut self, limit_bytes: usize) {
        self.state.shared().heap.set_limit(limit_bytes);
    }

    /// The numbers of `math.random` are one sequence for all states.
    pub(crate) fn random(&self) -> Random {
        self.state.shared().context.random.get()
    }

    pub(crate) fn set_random(&mut self, random: Random) {
        self.state.shared().context.random.set(random);
    }

    /// Compiles a text to a function.
    ///
    /// # Errors
    /// What the compiler says.
    pub(crate) fn compile(&mut self, text: &[u8], chunk_name: &std::ffi::CStr) -> Result<Ref, Vec<u8>> {
        self.state.enter(|lua| match lua.compile(text, chunk_name) {
            Ok(()) => Ok(lua.take_ref()),
            Err(_) => Err(lua.bytes(-1).unwrap_or_default().to_vec()),
        })
    }

    /// Lets a function that never assigns to a global variable find them without the table between that refuses assignments: each look at
    /// one costs a third. What is not there is refused as before.
    pub(crate) fn find_globals_directly(&mut self, function: &Ref) {
        let Vm { state, globals, .. } = self;
        state.enter(|lua| {
            lua.push_ref(function);
            let code = lua.dump(-1);
            if code.is_some_and(|code| assigns_globals(&code) == Some(false)) {
                lua.push_ref(&globals.real);
                lua.set_environment(-2);
            }
            lua.pop(1);
        });
    }

    pub(crate) fn release(&mut self, function: Ref) {
        self.state.enter(|lua| lua.release(function));
    }

    /// Runs a script, which finds its input in KEYS and ARGV. Errors name its SHA-1.
    pub(crate) fn run_script(
        &mut self,
        function: &Ref,
        sha: &[u8; 20],
        input: &Input<'_>,
        host: &mut dyn Host,
        reply: &mut Reply<'_>,
    ) -> Ended {
        let prepare = |lua: &mut Lua<'_>, globals: &Globals| {
            lua.push_ref(&globals.real);
            let real = lua.top();
            lua.push_ref(&globals.keys);
            lua.push_list(input.keys());
            lua.raw_set_named(real);
            lua.push_ref(&globals.argv);
            lua.push_list(input.arguments());
            lua.raw_set_named(real);
            lua.push_ref(function);
            0
        };
        self.run(|| hexadecimal(sha), host, reply, prepare)
    }

    /// The script that runs next is debugged; `text` is what it was made of.
    pub(crate) fn begin_debugging(&mut self, text: &[u8]) {
        self.context().debugger.begin(Session::new(text));
        self.state.watch_lines(true);
    }

    /// It has ended: answers what its client is to be sent.
    pub(crate) fn end_debugging(&mut self) -> Vec<u8> {
        self.state.watch_lines(false);
        self.context().debugger.end().map_or_else(debugger::farewell, Session::into_farewell)
    }

    /// Runs a function, which is given its keys and its arguments.
    pub(crate) fn run_function(
        &mut self,
        function: &Ref,
        name: &[u8],
        input: &Input<'_>,
        host: &mut dyn Host,
        reply: &mut Reply<'_>,
    ) -> Ended {
        let prepare = |lua: &mut Lua<'_>, _: &Globals| {
            lua.push_ref(function);
            lua.push_list(input.keys());
            lua.push_list(input.arguments());
            2
        };
        self.run(|| name.to_vec(), host, reply, prepare)
    }

    /// Calls what `prepare` pushes: a function and so many arguments.
    fn run(
        &mut self,
        name: impl FnOnce() -> Vec<u8>,
        host: &mut dyn Host,
        reply: &mut Reply<'_>,
        prepare: impl FnOnce(&mut Lua<'_>, &Globals) -> i32,
    ) -> Ended {
        let Vm { state, globals, .. } = self;
        let ended = state.enter(|lua| {
            let shared = lua.shared();
            shared.killed.set(false);
            shared.context.resp3.set(false);
            lua.push_ref(&globals.handler);
            let arguments = prepare(lua, globals);
            let result = shared.context.host.lend(host, || lua.call(arguments, 1, Some(1)));
            match result {
                Ok(()) => {
                    let is_counted = crate::reply::is_counted_error(lua);
                    let mark = reply.written();
                    crate::reply::write(lua, reply, shared.context.resp3.get());
                    let errors = shared.context.errors.take();
                    // One that is the whole reply is the caller's.
                    if !reply.since(mark).starts_with(b"-") {
                        errors.iter().for_each(|error| host.replied_error(&error.text, error.is_counted));
                    }
                    Ok(if is_counted { Ended::Failed { is_counted } } else { Ended::Returned })
                }
                Err(failure) => {
                    let failed = sandbox::failed(lua, failure);
                    write_error(reply, &failed, &name());
                    let killed = shared.killed.get();
                    let ended = if killed { Ended::Killed } else { Ended::Failed { is_counted: failed.is_counted } };
                    Err((ended, failure))
                }
            }
        });
        match ended {
            Ok(ended) => {
                self.clean(false);
                ended
            }
            Err((ended, failure)) => {
                self.clean(ended == Ended::Killed || failure == Failure::Memory);
                ended
            }
        }
    }

    /// After a run; one that was cut short may leave much, which is free at once.
    fn clean(&mut self, was_cut_short: bool) {
        let used_bytes = self.used_bytes();
        let crowded = (self.state.shared().heap.limit_bytes() / 2).max(2 * self.live_bytes);
        if was_cut_short || used_bytes > crowded {
            self.state.collect();
            self.collected();
        } else if used_bytes > self.live_bytes + self.garbage_bytes() && self.state.collect_some() {
            self.collected();
        }
    }

    /// How much garbage may lie until a run is followed by a step of the collector, which a script may have stopped.
    fn garbage_bytes(&self) -> usize {
        self.live_bytes.max(GARBAGE_BYTES)
    }

    /// The collector has been through all.
    fn collected(&mut self) {
        self.live_bytes = self.used_bytes();
        let wanted = 110 + 100 * self.garbage_bytes() / self.live_bytes.max(1);
        self.state.set_pause(wanted.clamp(PAUSE_PERCENT, PAUSE_PERCENT_MAX));
    }

    /// Runs a library's code, which may do nothing but register functions.
    ///
    /// # Errors
    /// The text of what was raised.
    pub(crate) fn run_load(&mut self, code: &Ref, host: &mut dyn Host) -> Result<(), Fail> {
        let Vm { state, globals, .. } = self;
        let result = state.enter(|lua| {
            let shared = lua.shared();
            shared.killed.set(false);
            choose_globals(lua, globals, globals.load.as_ref());
            lua.push_ref(&globals.handler);
            let handler = lua.top();
            lua.push_ref(code);
            let result = shared.context.host.lend(host, || lua.call(0, 0, Some(handler)));
            let result = result.map_err(|failure| {
                let failed = sandbox::failed(lua, failure);
                (Fail::bytes([b"ERR Error registering functions: ", failed.text.as_slice()].concat()), failure)
            });
            choose_globals(lua, globals, Some(&globals.real));
            result.map_err(|(fail, failure)| (fail, failure == Failure::Memory || shared.killed.get()))
        });
        result.map_err(|(fail, was_cut_short)| {
            self.clean(was_cut_short);
            fail
        })
    }

    pub(crate) fn context(&self) -> &Context {
        &self.state.shared().context
    }
}

/// Chooses what global variables lead to.
fn choose_globals(lua: &mut Lua<'_>, globals: &Globals, to: Option<&Ref>) {
    lua.push_ref(&globals.metatable);
    lua.push_ref(to.unwrap_or(&globals.real));
    lua.raw_set_field(-2, b"__index");
    lua.pop(1);
}

fn write_error(reply: &mut Reply<'_>, failed: &Failed, name: &[u8]) {
    let Some((source, line)) = &failed.place else {
        return reply.error(&failed.text);
    };
    // A text of C ends there.
    let text = failed.text.split(|byte| *byte == 0).next().unwrap_or_default();
    reply.error(&[text, b" script: ".as_slice(), name, b", on ", source, b":", line, b"."].concat());
}
