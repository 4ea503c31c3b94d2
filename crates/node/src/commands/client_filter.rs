//! Which clients CLIENT KILL and CLIENT LIST mean: the filters of Redis 8 and Valkey 9, and their opposites.

use rivulet_acl::Users;
use rivulet_commands::fail::{Fail, SYNTAX};
use rivulet_commands::parse;
use rivulet_engine::client_id::ClientId;
use rivulet_engine::session::Kind;
use rivulet_resp::Args;

use crate::commands::client::flags;
use crate::front::clients::Client;

/// The letters that CLIENT LIST's flags are made of, those of Valkey 9 and ours.
const FLAGS: &[u8] = b"bcdehirtuxABEIMNOPRSTU";
/// What a client can be capable of: redirects.
const CAPABILITIES: &[u8] = b"r";

/// What a client is. Each is compared if it is there.
#[derive(Default)]
struct Traits {
    ids: Option<Vec<ClientId>>,
    address: Option<Vec<u8>>,
    local_address: Option<Vec<u8>>,
    ip: Option<Vec<u8>>,
    kind: Option<Kind>,
    user: Option<Box<[u8]>>,
    flags: Option<Vec<u8>>,
    name: Option<Vec<u8>>,
    library: Option<Vec<u8>>,
    library_version: Option<Vec<u8>>,
    db: Option<usize>,
    capabilities: Option<Vec<u8>>,
}

/// Which clients are meant.
#[derive(Default)]
pub struct Filter {
    is: Traits,
    is_not: Traits,
    age_s_min: Option<u64>,
    idle_s_min: Option<u64>,
    skip_me: bool,
}

/// What the words of a filter are understood by.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub users: &'a Users,
    /// So many databases there are.
    pub databases: usize,
}

/// What clients are seen from.
#[derive(Clone, Copy)]
pub struct View {
    /// Who asks.
    pub me: ClientId,
    pub now_ms: u64,
}

impl Filter {
    /// CLIENT KILL with an address alone: whoever has it, also who asks.
    pub fn of_address(address: &[u8]) -> Filter {
        let is = Traits { address: Some(address.to_vec()), ..Traits::default() };
        Filter { is, ..Filter::default() }
    }

    /// The filters of a line, from its third word on; CLIENT KILL skips who asks if it does not say otherwise.
    ///
    /// # Errors
    /// As Valkey 9 tells them; of a first ID that is none, the caller's.
    pub fn parse(args: Args<'_>, skip_me: bool, wrong_id: Fail, known: Known<'_>) -> Result<Filter, Fail> {
        let mut filter = Filter { skip_me, ..Filter::default() };
        let mut at = 2;
        while at < args.len() {
            let name = args.at(at).to_ascii_lowercase();
            let value = args.get(at + 1).ok_or(SYNTAX)?;
            let mut words = 2;
            match name.as_slice() {
                b"skipme" => filter.skip_me = yes_or_no(value)?,
                b"maxage" => filter.age_s_min = Some(seconds("maxage", value)?),
                b"idle" => filter.idle_s_min = Some(seconds("idle", value)?),
                b"id" => words = 1 + filter.is.add_ids(args, at + 1, &wrong_id)?,
                b"not-id" => words = 1 + filter.is_not.add_ids(args, at + 1, &SYNTAX)?,
                name => match name.strip_prefix(b"not-") {
                    Some(name) => filter.is_not.add(name, value, Sense::Not, known)?,
                    None => filter.is.add(name, value, Sense::Is, known)?,
                },
            }
            at += words;
        }
        Ok(filter)
    }

    /// The ids that a client must have one of, in the order in which they were said.
    pub fn ids(&self) -> Option<&[ClientId]> {
        self.is.ids.as_deref()
    }

    /// The server's own connections are nobody's to see or to end.
    pub fn fits(&self, client: &Client, view: View) -> bool {
        if client.session.is_internal {
            return false;
        }
        let seconds = |since_ms: u64| view.now_ms.saturating_sub(since_ms) / 1000;
        self.age_s_min.is_none_or(|min| seconds(client.connection.created_ms) >= min)
            && self.idle_s_min.is_none_or(|min| seconds(client.connection.last_active_ms) >= min)
            && !(self.skip_me && client.id == view.me)
            && self.is.comparisons(client).into_iter().flatten().all(|fits| fits)
            && !self.is_not.comparisons(client).into_iter().flatten().any(|fits| fits)
    }
}

/// Whether a trait is wished for or not: some errors name the filter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sense {
    Is,
    Not,
}

impl Traits {
    /// Adds the ids from a place on; answers how many words they are.
    fn add_ids(&mut self, args: Args<'_>, from: usize, wrong: &Fail) -> Result<usize, Fail> {
        let numbers = args.iter().skip(from).map_while(|word| parse::int(word).ok());
        let before = self.ids.as_ref().map_or(0, Vec::len);
        let ids = self.ids.get_or_insert_default();
        for number in numbers {
            // Those below 1 are nobody's.
            ids.push(ClientId::try_from(number).unwrap_or(0));
        }
        let added = ids.len() - before;
        if added == 0 { Err(wrong.clone()) } else { Ok(added) }
    }

    fn add(&mut self, name: &[u8], value: &[u8], sense: Sense, known: Known<'_>) -> Result<(), Fail> {
        match name {
            b"addr" => self.address = Some(value.to_vec()),
            b"laddr" => self.local_address = Some(value.to_vec()),
            b"ip" => self.ip = Some(value.to_vec()),
            b"type" => self.kind = Some(kind_of(value)?),
            b"user" if known.users.get(value).is_some() => self.user = Some(value.into()),
            b"user" => return Err(Fail::bytes([b"ERR No such user '", value, b"'"].concat())),
            b"flags" => self.flags = Some(letters("flags", FLAGS, value, sense)?),
            b"name" => self.name = Some(value.to_vec()),
            b"lib-name" => self.library = Some(value.to_vec()),
            b"lib-ver" => self.library_version = Some(value.to_vec()),
            b"db" => self.db = Some(database(value, sense, known.databases)?),
            b"capa" => self.capabilities = Some(letters("capa", CAPABILITIES, value, sense)?),
            _ => return Err(SYNTAX),
        }
        Ok(())
    }

    /// How a client compares with each trait that is there.
    fn comparisons(&self, client: &Client) -> [Option<bool>; 12] {
        fn is(wanted: &Option<Vec<u8>>, there: &[u8]) -> Option<bool> {
            wanted.as_ref().map(|wanted| wanted == there)
        }
        let (peer, session) = (&client.connection.peer, &client.session);
        let library = session.library.as_deref();
        let capabilities: &[u8] = if session.wishes().redirect { b"r" } else { b"" };
        let all_in = |letters: &Vec<u8>, there: &[u8]| letters.iter().all(|letter| there.contains(letter));
        [
            self.ids.as_ref().map(|ids| ids.contains(&client.id)),
            is(&self.address, peer.address.as_bytes()),
            is(&self.local_address, peer.local_address.as_bytes()),
            is(&self.ip, ip_of(&peer.address).as_bytes()),
            self.kind.map(|kind| client.session.kind == kind),
            self.user.as_ref().map(|user| session.login.user.name == *user),
            self.flags.as_ref().map(|letters| all_in(letters, flags(client).as_bytes())),
            has_name(&self.name, &session.name),
            has_name(&self.library, library.map_or(&[], |library| &library.name)),
            has_name(&self.library_version, library.map_or(&[], |library| &library.version)),
            self.db.map(|db| session.db == db),
            self.capabilities.as_ref().map(|letters| all_in(letters, capabilities)),
        ]
    }
}

/// Who has no name has none that could be meant.
fn has_name(wanted: &Option<Vec<u8>>, there: &[u8]) -> Option<bool> {
    wanted.as_ref().map(|wanted| !there.is_empty() && wanted == there)
}

/// The address without its port.
fn ip_of(address: &str) -> &str {
    let ip = address.rsplit_once(':').map_or(address, |(ip, _)| ip);
    ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip)
}

fn kind_of(word: &[u8]) -> Result<Kind, Fail> {
    match word.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(Kind::Normal),
        b"replica" | b"slave" => Ok(Kind::Replica),
        b"pubsub" => Ok(Kind::Pubsub),
        b"master" | b"primary" => Ok(Kind::Master),
        _ => Err(Fail::bytes([b"ERR Unknown client type '", word, b"'"].concat())),
    }
}

fn yes_or_no(word: &[u8]) -> Result<bool, Fail> {
    match word.to_ascii_lowercase().as_slice() {
        b"yes" => Ok(true),
        b"no" => Ok(false),
        _ => Err(SYNTAX),
    }
}

fn seconds(name: &str, value: &[u8]) -> Result<u64, Fail> {
    let number = parse::int(value).map_err(|_| not_integer(name))?;
    let positive = u64::try_from(number).ok().filter(|seconds| *seconds > 0);
    positive.ok_or_else(|| Fail::text(format!("ERR {name} should be greater than 0")))
}

fn not_integer(name: &str) -> Fail {
    Fail::text(format!("ERR {name} is not an integer or out of range"))
}

fn database(value: &[u8], sense: Sense, databases: usize) -> Result<usize, Fail> {
    let name = if sense == Sense::Is { "DB" } else { "NOT-DB" };
    let number = parse::int(value).map_err(|_| not_integer(name))?;
    let db = usize::try_from(number).ok().filter(|db| *db < databases);
    db.ok_or_else(|| Fail::text(format!("ERR {name} number should be between 0 and {}", databases - 1)))
}

/// Letters, all of which must be known.
fn letters(name: &str, known: &[u8], value: &[u8], sense: Sense) -> Result<Vec<u8>, Fail> {
    if value.iter().all(|letter| known.contains(letter)) {
        return Ok(value.to_vec());
    }
    let filter = match sense {
        Sense::Is => "provided".to_string(),
        Sense::Not => format!("NOT-{}", name.to_uppercase()),
    };
    let text = format!("ERR Unknown {name} found in the {filter} filter: ");
    Err(Fail::bytes([text.as_bytes(), value].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_an_ip() {
        for (address, ip) in [
            ("127.0.0.1:6379", "127.0.0.1"),
            ("[::1]:6379", "::1"),
            ("/tmp/redis.sock:0", "/tmp/redis.sock"),
            ("?", "?"),
            ("", ""),
        ] {
            assert_eq!(ip_of(address), ip);
        }
    }
}
