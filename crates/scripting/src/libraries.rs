//! The libraries of functions, and the Lua state that they run in.
//!
//! A library is loaded by running its text, which may only register functions. It joins the others when all of it is right; until then
//! nothing has changed.

use std::collections::{BTreeMap, HashMap, HashSet};

use rivulet_commands::fail::Fail;
use rivulet_resp::Reply;

use crate::api::push_error;
use crate::context::Identity;
use crate::host::Host;
use crate::input::Input;
use crate::lua::{Kind, Lua, Outcome, Ref};
use crate::random::Random;
use crate::sandbox::Purpose;
use crate::shebang::{Flag, Flags, check_name, split_library};
use crate::vm::{Ended, Remains, Vm};

/// What one function, or one library, takes beside its names and its text, in bytes.
const OVERHEAD_BYTES: usize = size_of::<Function>() + size_of::<(Vec<u8>, usize)>() + 24;

/// All libraries.
pub struct Libraries {
    vm: Vm,
    identity: Identity,
    limit_bytes: usize,
    by_name: BTreeMap<Vec<u8>, Library>,
    /// The functions by their name in small letters: a call may write it in any case.
    functions: HashMap<Vec<u8>, u32>,
    slots: Vec<Option<Function>>,
    free: Vec<u32>,
}

/// A library, as FUNCTION LIST and files have it.
pub struct Library {
    code: Box<[u8]>,
    slots: Vec<u32>,
}

/// A function that is there, until libraries change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionId(u32);

/// A registered function.
pub struct Function {
    name: Vec<u8>,
    description: Option<Vec<u8>>,
    flags: Flags,
    callback: Ref,
}

impl Function {
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    pub fn description(&self) -> Option<&[u8]> {
        self.description.as_deref()
    }

    pub fn flags(&self) -> Flags {
        self.flags
    }
}

/// What a library that is being loaded has registered.
#[derive(Default)]
pub(crate) struct Registration {
    functions: Vec<Function>,
}

/// A library that was loaded and has not joined the others.
struct Loaded {
    name: Vec<u8>,
    code: Box<[u8]>,
    functions: Vec<Function>,
}

/// What to do with libraries that are there when a dump is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// All of them go.
    Flush,
    /// They stay; one of the same name is an error.
    Append,
    /// One of the same name goes.
    Replace,
}

impl Libraries {
    /// No libraries. Their code may hold `limit_bytes` of memory, at most 2 GiB; a run that wants more ends with an error.
    pub fn new(identity: Identity, limit_bytes: usize) -> Libraries {
        Libraries {
            vm: Vm::new(Purpose::Functions, &identity, limit_bytes),
            identity,
            limit_bytes,
            by_name: BTreeMap::new(),
            functions: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// FUNCTION LOAD, also of a text from a file: answers the library's name.
    ///
    /// # Errors
    /// The text is no library, a library or function of a name is there, or the load was ended by the host. Nothing has changed then.
    pub fn load(&mut self, code: &[u8], replace: bool, host: &mut dyn Host) -> Result<Vec<u8>, Fail> {
        let (name, _) = split_library(code)?;
        if !replace && self.by_name.contains_key(&name) {
            return Err(library_exists(&name));
        }
        let policy = if replace { Policy::Replace } else { Policy::Append };
        self.load_all([code], policy, host).map(|()| name)
    }

    /// Loads several libraries, all or none.
    ///
    /// # Errors
    /// As [`Libraries::load`], for the first library that is wrong.
    pub fn load_all<C: AsRef<[u8]>>(
        &mut self,
        codes: impl IntoIterator<Item = C>,
        policy: Policy,
        host: &mut dyn Host,
    ) -> Result<(), Fail> {
        let mut loaded: Vec<Loaded> = Vec::new();
        let result = codes.into_iter().try_for_each(|code| {
            loaded.push(self.load_apart(code.as_ref(), host)?);
            Ok(())
        });
        match result.and_then(|()| self.check(&loaded, policy)) {
            Ok(()) => {
                self.join(loaded, policy);
                Ok(())
            }
            Err(fail) => {
                loaded.into_iter().flat_map(|l| l.functions).for_each(|f| self.vm.release(f.callback));
                Err(fail)
            }
        }
    }

    fn load_apart(&mut self, code: &[u8], host: &mut dyn Host) -> Result<Loaded, Fail> {
        let (name, body) = split_library(code)?;
        let chunk = self.vm.compile(body, c"@user_function");
        let chunk = chunk.map_err(|why| Fail::bytes([b"ERR Error compiling function: ", why.as_slice()].concat()))?;
        self.vm.context().registration.set(Some(Box::default()));
        let result = self.vm.run_load(&chunk, host);
        let registered = self.vm.context().registration.take().unwrap_or_default();
        self.vm.release(chunk);
        let functions = registered.functions;
        let fail = match result {
            Err(fail) => fail,
            Ok(()) if functions.is_empty() => Fail::new("ERR No functions registered"),
            Ok(()) => {
                let looked_at = functions.iter().take(LOOKED_AT_MAX);
                looked_at.for_each(|function| self.vm.find_globals_directly(&function.callback));
                return Ok(Loaded { name, code: code.into(), functions });
            }
        };
        functions.into_iter().for_each(|f| self.vm.release(f.callback));
        Err(fail)
    }

    /// Whether all that was loaded may join.
    fn check(&self, loaded: &[Loaded], policy: Policy) -> Result<(), Fail> {
        let replaced = |name: &[u8]| match policy {
            Policy::Flush => true,
            Policy::Append => false,
            Policy::Replace => loaded.iter().any(|l| l.name == name),
        };
        for (i, library) in loaded.iter().enumerate() {
            if loaded[..i].iter().any(|l| l.name == library.name) {
                return Err(library_exists(&library.name));
            }
            if self.by_name.contains_key(&library.name) && !replaced(&library.name) {
                return Err(Fail::bytes([b"ERR Library ", library.name.as_slice(), b" already exists"].concat()));
            }
        }
        let staying = self.by_name.iter().filter(|(name, _)| !replaced(name)).flat_map(|(_, l)| &l.slots);
        let staying = staying.filter_map(|&at| self.slots[at as usize].as_ref());
        let mut names: HashSet<Vec<u8>> = staying.map(|f| f.name.to_ascii_lowercase()).collect();
        for library in loaded {
            if let Some(function) = library.functions.iter().find(|f| names.contains(&f.name.to_ascii_lowercase())) {
                return Err(Fail::bytes([b"ERR Function ", function.name.as_slice(), b" already exists"].concat()));
            }
            // Names of one library may differ in case alone; a call finds the first one.
            names.extend(library.functions.iter().map(|f| f.name.to_ascii_lowercase()));
        }
        Ok(())
    }

    fn join(&mut self, loaded: Vec<Loaded>, policy: Policy) {
        if policy == Policy::Flush {
            while let Some(name) = self.by_name.keys().next().cloned() {
                self.delete(&name);
            }
        }
        for library in loaded {
            self.delete(&library.name);
            let slots = library.functions.into_iter().map(|f| self.add(f)).collect();
            self.by_name.insert(library.name, Library { code: library.code, slots });
        }
    }

    fn add(&mut self, function: Function) -> u32 {
        let at = self.free.pop().unwrap_or(self.slots.len() as u32);
        self.functions.entry(function.name.to_ascii_lowercase()).or_insert(at);
        match self.slots.get_mut(at as usize) {
            Some(slot) => *slot = Some(function),
            None => self.slots.push(Some(function)),
        }
        at
    }

    /// Forgets a library; answers whether it was there.
    pub fn delete(&mut self, name: &[u8]) -> bool {
        let Some(library) = self.by_name.remove(name) else { return false };
        for at in library.slots {
            if let Some(function) = self.slots[at as usize].take() {
                let name = function.name.to_ascii_lowercase();
                if self.functions.get(&name) == Some(&at) {
                    self.functions.remove(&name);
                }
                self.vm.release(function.callback);
                self.free.push(at);
            }
        }
        true
    }

    /// Forgets all libraries and their Lua state, which is given back: to drop it takes long when there are many.
    pub fn flush(&mut self) -> Remains {
        let mut fresh = Libraries::new(self.identity.clone(), self.limit_bytes);
        fresh.vm.set_random(self.vm.random());
        std::mem::replace(self, fresh).vm.into_remains()
    }

    /// The function of FCALL, by its name in any case.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, name: &[u8]) -> Result<FunctionId, Fail> {
        let at = match self.functions.get(name) {
            Some(at) => Some(at),
            None => self.functions.get(&name.to_ascii_lowercase()),
        };
        at.map(|&at| FunctionId(at)).ok_or(Fail::new("ERR Function not found"))
    }

    /// A function that was found.
    pub fn function(&self, id: FunctionId) -> Option<&Function> {
        self.slots.get(id.0 as usize)?.as_ref()
    }

    /// Runs a function and writes its reply.
    pub fn run(&mut self, id: FunctionId, input: &Input<'_>, host: &mut dyn Host, reply: &mut Reply<'_>) -> Ended {
        let Libraries { vm, slots, .. } = self;
        let Some(function) = slots.get(id.0 as usize).and_then(|f| f.as_ref()) else {
            reply.error(b"ERR Function not found");
            return Ended::Failed { is_counted: false };
        };
        vm.run_function(&function.callback, &function.name, input, host, reply)
    }

    /// The texts of all libraries, in the order of their names: for files, digests and dumps.
    pub fn codes(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.by_name.values().map(|l| &*l.code)
    }

    /// All libraries with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Library)> {
        self.by_name.iter().map(|(name, library)| (name.as_slice(), library))
    }

    /// A library's functions, in the order in which it registered them.
    pub fn functions_of<'l>(&'l self, library: &'l Library) -> impl ExactSizeIterator<Item = &'l Function> {
        library.slots.iter().map(|&at| self.slots[at as usize].as_ref().expect("a library's functions are there"))
    }

    /// How many libraries there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many functions there are.
    pub fn functions_len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Bytes that the Lua state holds.
    pub fn vm_bytes(&self) -> usize {
        self.vm.used_bytes()
    }

    /// Bytes that the libraries take outside of it.
    pub fn cache_bytes(&self) -> usize {
        let libraries: usize = self.by_name.iter().map(|(name, l)| name.len() + l.code.len() + OVERHEAD_BYTES).sum();
        let names = self.slots.iter().flatten().map(|f| 2 * f.name.len() + f.description.as_ref().map_or(0, Vec::len));
        libraries + names.sum::<usize>() + self.functions_len() * OVERHEAD_BYTES
    }

    /// Changes how many bytes the state may hold.
    pub fn set_limit(&mut self, limit_bytes: usize) {
        self.limit_bytes = limit_bytes;
        self.vm.set_limit(limit_bytes);
    }

    pub(crate) fn random(&self) -> Random {
        self.vm.random()
    }

    pub(crate) fn set_random(&mut self, random: Random) {
        self.vm.set_random(random);
    }
}

impl Library {
    pub fn code(&self) -> &[u8] {
        &self.code
    }
}

fn library_exists(name: &[u8]) -> Fail {
    Fail::bytes([b"ERR Library '", name, b"' already exists"].concat())
}

/// `redis.register_function`, in both forms: a name and a function, or a table with names for them.
pub(crate) fn register_function(lua: &mut Lua<'_>) -> Outcome {
    let Some(mut registration) = lua.context().registration.take() else {
        return raise(lua, "redis.register_function can only be called on FUNCTION LOAD command");
    };
    let result = read_function(lua).and_then(|function| {
        if registration.functions.iter().any(|f| f.name == function.name) {
            lua.release(function.callback);
            return Err("Function already exists in the library");
        }
        registration.functions.push(function);
        Ok(())
    });
    lua.context().registration.set(Some(registration));
    match result {
        Ok(()) => Ok(0),
        Err(text) => raise(lua, text),
    }
}

fn raise(lua: &mut Lua<'_>, text: &str) -> Outcome {
    push_error(lua, text.as_bytes());
    Err(lua.raise_top())
}

/// So many functions of a library find global variables directly, the others with a detour: to look at each takes time that a load may not have.
const LOOKED_AT_MAX: usize = 64;

const WRONG_NAME: &str =
    "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

fn read_function(lua: &mut Lua<'_>) -> Result<Function, &'static str> {
    match lua.top() {
        1 => read_table(lua),
        2 => read_pair(lua),
        _ => Err("wrong number of arguments to redis.register_function"),
    }
}

fn read_pair(lua: &mut Lua<'_>) -> Result<Function, &'static str> {
    let name = lua.arg_bytes(1).ok_or("first argument to redis.register_function must be a string")?;
    if lua.kind(2) != Kind::Function {
        return Err("second argument to redis.register_function must be a function");
    }
    check_name(name).map_err(|_| WRONG_NAME)?;
    lua.push_copy(2);
    let callback = lua.take_ref();
    Ok(Function { name: name.to_vec(), description: None, flags: Flags::default(), callback })
}

/// What the fields of a table have said so far.
#[derive(Default)]
struct Fields {
    name: Option<Vec<u8>>,
    description: Option<Vec<u8>>,
    flags: Flags,
    has_callback: bool,
}

fn read_table(lua: &mut Lua<'_>) -> Result<Function, &'static str> {
    if lua.kind(1) != Kind::Table {
        return Err(
            "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
        );
    }
    let mut fields = Fields::default();
    lua.push_nil();
    while lua.next(1) {
        read_field(lua, &mut fields)?;
        lua.pop(1);
    }
    let name = fields.name.ok_or("redis.register_function must get a function name argument")?;
    if !fields.has_callback {
        return Err("redis.register_function must get a callback argument");
    }
    check_name(&name).map_err(|_| WRONG_NAME)?;
    lua.raw_get_field(1, b"callback");
    let callback = lua.take_ref();
    Ok(Function { name, description: fields.description, flags: fields.flags, callback })
}

/// Reads the field whose key and value are on top; both stay.
fn read_field(lua: &mut Lua<'_>, fields: &mut Fields) -> Result<(), &'static str> {
    if lua.kind(-2) != Kind::String {
        return Err(match lua.kind(-2) {
            Kind::Number => "unknown argument given to redis.register_function",
            _ => "named argument key given to redis.register_function is not a string",
        });
    }
    let key = lua.string(-2).unwrap_or_default().to_ascii_lowercase();
    match key.as_slice() {
        b"function_name" => {
            fields.name = Some(text(lua, "function_name argument given to redis.register_function must be a string")?);
        }
        b"description" => {
            let error = "description argument given to redis.register_function must be a string";
            fields.description = Some(text(lua, error)?);
        }
        b"callback" => {
            if lua.kind(-1) != Kind::Function {
                return Err("callback argument given to redis.register_function must be a function");
            }
            fields.has_callback = true;
        }
        b"flags" => {
            if lua.kind(-1) != Kind::Table {
                return Err("flags argument to redis.register_function must be a table representing function flags");
            }
            fields.flags = read_flags(lua)?;
        }
        _ => return Err("unknown argument given to redis.register_function"),
    }
    Ok(())
}

fn text(lua: &mut Lua<'_>, error: &'static str) -> Result<Vec<u8>, &'static str> {
    lua.bytes(-1).map(<[u8]>::to_vec).ok_or(error)
}

/// The flags that the list on top names, up to its first nil.
fn read_flags(lua: &mut Lua<'_>) -> Result<Flags, &'static str> {
    let mut flags = Flags::default();
    for i in 1.. {
        lua.raw_get_index(-1, i);
        let kind = lua.kind(-1);
        let flag = lua.string(-1).and_then(Flag::of);
        lua.pop(1);
        match (kind, flag) {
            (Kind::Nil, _) => break,
            (_, Some(flag)) => flags.set(flag),
            _ => return Err("unknown flag given"),
        }
    }
    Ok(flags)
}
