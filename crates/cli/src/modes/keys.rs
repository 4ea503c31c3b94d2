//! `--bigkeys` and `--memkeys`: the biggest key of each type, by elements or by memory.

use rivulet_client::Reply;
use rivulet_resp::inline::quote;

use super::scan::{Pages, db_size};
use super::{Interrupt, padded, percent};
use crate::out::{Fatal, say};
use crate::session::Session;

/// By what keys are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Elements,
    /// Of so many elements of each value; 0 leaves it to the server.
    Memory {
        samples: u64,
    },
}

/// A type of keys, and what was found of it.
pub struct TypeOf {
    pub name: String,
    /// The command that counts elements; a type that is not known has none.
    pub size_command: Option<&'static str>,
    pub unit: &'static str,
    pub count: u64,
    pub total: u64,
    pub biggest: u64,
    pub biggest_key: Option<String>,
}

/// A key, its type as a place in the list of types, and its size.
pub struct Sized {
    pub key: Vec<u8>,
    pub of: usize,
    pub size: u64,
}

/// Types in the order in which they are reported.
pub fn known_types() -> Vec<TypeOf> {
    let known = [
        ("list", "LLEN", "items"),
        ("hash", "HLEN", "fields"),
        ("string", "STRLEN", "bytes"),
        ("stream", "XLEN", "entries"),
        ("set", "SCARD", "members"),
        ("zset", "ZCARD", "members"),
    ];
    known.into_iter().map(|(name, command, unit)| TypeOf::new(name, Some(command), unit)).collect()
}

impl TypeOf {
    fn new(name: &str, size_command: Option<&'static str>, unit: &'static str) -> TypeOf {
        TypeOf { name: name.into(), size_command, unit, count: 0, total: 0, biggest: 0, biggest_key: None }
    }
}

/// The types of keys; of those that have gone meanwhile there is none. Types that were not known are added.
///
/// # Errors
/// The server refuses, or the link is lost.
pub fn types_of(session: &mut Session, keys: &[Vec<u8>], types: &mut Vec<TypeOf>) -> Result<Vec<Option<usize>>, Fatal> {
    let commands: Vec<[&[u8]; 2]> = keys.iter().map(|key| [b"TYPE".as_slice(), key]).collect();
    let mut found = Vec::with_capacity(keys.len());
    for (reply, key) in ask_all(session, &commands)?.into_iter().zip(keys) {
        if reply.is_error() {
            return Err(Fatal(format!("TYPE returned an error: {}", reply.text())));
        }
        let Reply::Status(name) = &reply else {
            return Err(Fatal(format!("Invalid reply type for TYPE on key '{}'!", key.escape_ascii())));
        };
        let name = String::from_utf8_lossy(name);
        found.push(match types.iter().position(|known| known.name == name) {
            Some(place) => Some(place),
            None if name == "none" => None,
            None => {
                types.push(TypeOf::new(&name, None, "?"));
                Some(types.len() - 1)
            }
        });
    }
    Ok(found)
}

/// The sizes of keys whose types are known; those that have gone, or can't be measured, have none.
///
/// # Errors
/// The link is lost.
pub fn sizes_of(
    session: &mut Session,
    keys: Vec<Vec<u8>>,
    found: &[Option<usize>],
    types: &[TypeOf],
    by: By,
) -> Result<Vec<Sized>, Fatal> {
    let mut asked = Vec::new();
    let mut sized = Vec::new();
    for (key, of) in keys.into_iter().zip(found) {
        let Some(of) = *of else { continue };
        let command = command(&key, types[of].size_command, by);
        if let Some(command) = command {
            asked.push((sized.len(), command));
        }
        sized.push(Sized { key, of, size: 0 });
    }
    let commands: Vec<&[Vec<u8>]> = asked.iter().map(|(_, command)| command.as_slice()).collect();
    for (reply, (at, _)) in ask_all(session, &commands)?.into_iter().zip(&asked) {
        let own = &mut sized[*at];
        match reply {
            Reply::Integer(size) => own.size = u64::try_from(size).unwrap_or(0),
            _ => {
                let what = types[own.of].size_command.filter(|_| by == By::Elements).unwrap_or("MEMORY USAGE");
                eprintln!("Warning:  {what} on '{}' failed (may have changed type)", String::from_utf8_lossy(&own.key));
            }
        }
    }
    Ok(sized)
}

fn command(key: &[u8], size_command: Option<&str>, by: By) -> Option<Vec<Vec<u8>>> {
    match by {
        By::Elements => Some(vec![size_command?.into(), key.to_vec()]),
        By::Memory { samples } => {
            let mut command = vec![b"MEMORY".to_vec(), b"USAGE".to_vec(), key.to_vec()];
            if samples > 0 {
                command.extend([b"SAMPLES".to_vec(), samples.to_string().into_bytes()]);
            }
            Some(command)
        }
    }
}

/// Asks several things at once.
///
/// # Errors
/// The link is lost.
pub fn ask_all<C: AsRef<[A]>, A: AsRef<[u8]>>(session: &mut Session, commands: &[C]) -> Result<Vec<Reply>, Fatal> {
    let connection = session.connection.as_mut().ok_or("\nI/O error")?;
    Ok(connection.ask_all(commands)?)
}

/// What all keys come to.
struct Survey {
    by: By,
    types: Vec<TypeOf>,
    keys_in_all: u64,
    sampled: u64,
    key_bytes: u64,
    /// When the page was asked for.
    percent: f64,
}

/// Looks at all keys, shows what is bigger than all before, and sums up.
///
/// # Errors
/// The server refuses, or the link is lost.
pub fn run(session: &mut Session, by: By) -> Result<(), Fatal> {
    let interrupt = Interrupt::watch()?;
    let keys_in_all = db_size(session)?;
    say!(
        "\n# Scanning the entire keyspace to find biggest keys as well as\n\
         # average sizes per key type.  You can use -i 0.1 to sleep 0.1 sec\n\
         # per 100 SCAN commands (not usually needed).\n\n"
    );
    let mut survey = Survey { by, types: known_types(), keys_in_all, sampled: 0, key_bytes: 0, percent: 0.0 };
    let mut pages = Pages::new(session);
    loop {
        survey.percent = percent(survey.sampled, survey.keys_in_all);
        let Some(keys) = pages.next_page(session)? else { break };
        let found = types_of(session, &keys, &mut survey.types)?;
        for sized in sizes_of(session, keys, &found, &survey.types, by)? {
            survey.add(&sized);
        }
        pages.rest(session);
        if interrupt.has_come() {
            break;
        }
    }
    survey.show(interrupt.has_come());
    Ok(())
}

impl Survey {
    fn unit(&self, of: &TypeOf) -> &'static str {
        if self.by == By::Elements { of.unit } else { "bytes" }
    }

    fn add(&mut self, sized: &Sized) {
        let of = &mut self.types[sized.of];
        of.total = of.total.saturating_add(sized.size);
        of.count += 1;
        self.key_bytes += sized.key.len() as u64;
        self.sampled += 1;
        if of.biggest < sized.size {
            let shown = String::from_utf8_lossy(&quote(&sized.key)).into_owned();
            of.biggest = sized.size;
            let unit = if self.by == By::Elements { of.unit } else { "bytes" };
            say!(
                "[{}%] Biggest {:<6} found so far '{shown}' with {} {unit}\n",
                padded(self.percent),
                of.name,
                sized.size
            );
            of.biggest_key = Some(shown);
        }
        if self.sampled.is_multiple_of(1_000_000) {
            say!("[{}%] Sampled {} keys so far\n", padded(self.percent), self.sampled);
        }
    }

    fn show(&self, is_interrupted: bool) {
        say!("\n-------- summary -------\n\n");
        if is_interrupted {
            say!("[{}%] ", padded(self.percent));
        }
        let average = |total: u64, count: u64| if count == 0 { 0.0 } else { total as f64 / count as f64 };
        say!("Sampled {} keys in the keyspace!\n", self.sampled);
        let (bytes, sampled) = (self.key_bytes, self.sampled);
        say!("Total key length in bytes is {bytes} (avg len {:.2})\n\n", average(bytes, sampled));
        for of in &self.types {
            if let Some(key) = &of.biggest_key {
                say!("Biggest {:>6} found '{key}' has {} {}\n", of.name, of.biggest, self.unit(of));
            }
        }
        say!("\n");
        for of in &self.types {
            say!(
                "{} {}s with {} {} ({}% of keys, avg size {:.2})\n",
                of.count,
                of.name,
                of.total,
                self.unit(of),
                padded(percent(of.count, sampled)),
                average(of.total, of.count)
            );
        }
    }
}
