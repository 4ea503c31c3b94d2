//! What must be true of a string before a command changes it: the words of SET, and DELIFEQ, DELEX and DIGEST.
//!
//! The names are those of Valkey (IFEQ, DELIFEQ) and of Redis 8.4 (all others). A digest is the XXH3 hash of the bytes as 16 hexadecimal digits.

use rivulet_keyspace::EntryRef;
use rivulet_resp::Args;
use twox_hash::XxHash3_64;

use crate::ctx::Ctx;
use crate::fail::{Fail, SYNTAX, WRONG_TYPE};
use crate::keys::{self, with_read};
use crate::places::{KeyRange, Keys};
use crate::spec::key;

/// A condition on what is at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition<'a> {
    /// NX.
    Absent,
    /// XX.
    Present,
    /// IFEQ: a string that is this.
    Equal(&'a [u8]),
    /// IFNE: a string that is not this, or nothing.
    NotEqual(&'a [u8]),
    /// IFDEQ: a string with this digest.
    DigestEqual(u64),
    /// IFDNE: a string with another digest, or nothing.
    DigestNotEqual(u64),
}

impl<'a> Condition<'a> {
    /// The comparison that a word and its value ask for, if the word is one.
    pub fn comparison(args: Args<'a>, i: usize) -> Result<Option<Condition<'a>>, Fail> {
        let Some(value) = args.get(i + 1) else { return Ok(None) };
        Ok(if args.is(i, "ifeq") {
            Some(Condition::Equal(value))
        } else if args.is(i, "ifne") {
            Some(Condition::NotEqual(value))
        } else if args.is(i, "ifdeq") {
            Some(Condition::DigestEqual(parse_digest(value)?))
        } else if args.is(i, "ifdne") {
            Some(Condition::DigestNotEqual(parse_digest(value)?))
        } else {
            None
        })
    }

    pub fn is_comparison(self) -> bool {
        !matches!(self, Condition::Absent | Condition::Present)
    }

    /// Whether it is true of an entry. What is compared must be a string.
    pub fn holds(self, entry: Option<EntryRef<'_>>) -> Result<bool, Fail> {
        match self {
            Condition::Absent => return Ok(entry.is_none()),
            Condition::Present => return Ok(entry.is_some()),
            _ => {}
        }
        let Some(entry) = entry else {
            return Ok(matches!(self, Condition::NotEqual(_) | Condition::DigestNotEqual(_)));
        };
        let present = entry.string().ok_or(WRONG_TYPE)?;
        Ok(match self {
            Condition::Absent | Condition::Present => false,
            Condition::Equal(value) => present.eq_bytes(value),
            Condition::NotEqual(value) => !present.eq_bytes(value),
            Condition::DigestEqual(value) => present.with(XxHash3_64::oneshot) == value,
            Condition::DigestNotEqual(value) => present.with(XxHash3_64::oneshot) != value,
        })
    }
}

fn parse_digest(text: &[u8]) -> Result<u64, Fail> {
    const NO_DIGEST: Fail = Fail::new("ERR digest must be exactly 16 hexadecimal characters");
    let digits = std::str::from_utf8(text).ok().filter(|text| text.len() == 16 && !text.starts_with('+'));
    digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).ok_or(NO_DIGEST)
}

pub(super) fn digest(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key, reply) = (ctx.key(1), &mut ctx.reply);
    with_read(&mut ctx.db, key, |entry| {
        match entry {
            None => reply.null(),
            Some(entry) => {
                let digest = entry.string().ok_or(WRONG_TYPE)?.with(XxHash3_64::oneshot);
                reply.bulk(format!("{digest:016x}").as_bytes());
            }
        }
        Ok(())
    })
}

pub(super) fn delifeq(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    delete_if(ctx, Condition::Equal(ctx.args.at(2)))
}

/// The key of DELEX, which is read only where something is compared.
pub(super) fn delex_keys(args: Args<'_>) -> Keys {
    let flags = if args.len() > 2 { key::RW | key::ACCESS | key::DELETE } else { key::RM | key::DELETE };
    Keys::of(KeyRange::one(1, flags))
}

pub(super) fn delex(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    match ctx.args.len() {
        // As DEL, of any type.
        2 => delete_if(ctx, Condition::Present),
        4 => delete_if(ctx, Condition::comparison(ctx.args, 2)?.ok_or(SYNTAX)?),
        _ => Err(Fail::arity("delex")),
    }
}

/// Deletes the key at argument 1 if it is there and the condition holds; the replicas get the deletion.
fn delete_if(ctx: &mut Ctx<'_>, condition: Condition<'_>) -> Result<(), Fail> {
    let key = ctx.key(1);
    ctx.db.expire_if_due(key);
    let entry = ctx.db.get(key);
    let goes = entry.is_some() && condition.holds(entry)?;
    if goes {
        keys::delete_instead(ctx, key, ctx.db.settings.lazyfree_lazy_user_del);
    }
    ctx.reply.int(i64::from(goes));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn a_comparison_decides() {
        let mut b = Bench::new(&[crate::string::COMMANDS, crate::list::COMMANDS]);
        const NO_STRING: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
        b.run("SET k a");
        b.run("RPUSH l a");
        for (line, want) in [
            ("SET k b IFEQ x", "$-1\r\n"),
            ("SET k b IFEQ a", "+OK\r\n"),
            ("SET k c IFNE b", "$-1\r\n"),
            ("SET k c IFNE x GET", "$1\r\nb\r\n"),
            ("SET k d GET IFEQ x", "$1\r\nc\r\n"),
            ("GET k", "$1\r\nc\r\n"),
            ("SET none x IFEQ a", "$-1\r\n"),
            ("SET made x IFNE a", "+OK\r\n"),
            ("SET l x IFEQ a", NO_STRING),
            ("SET k x NX IFEQ c", "-ERR syntax error\r\n"),
            ("SET k x IFEQ c XX", "-ERR syntax error\r\n"),
            ("SET k x IFEQ c IFNE d", "-ERR syntax error\r\n"),
            ("SET k x IFEQ", "-ERR syntax error\r\n"),
            ("SET k x IFDEQ 12", "-ERR digest must be exactly 16 hexadecimal characters\r\n"),
            ("DELIFEQ k x", ":0\r\n"),
            ("DELIFEQ l a", NO_STRING),
            ("DELIFEQ k c", ":1\r\n"),
            ("DELIFEQ k c", ":0\r\n"),
            ("DELEX made IFEQ y", ":0\r\n"),
            ("DELEX made IFNE", "-ERR wrong number of arguments for 'delex' command\r\n"),
            ("DELEX made IF x", "-ERR syntax error\r\n"),
            ("DELEX l IFNE x", NO_STRING),
            ("DELEX made IFNE y", ":1\r\n"),
            ("DELEX made IFNE y", ":0\r\n"),
            ("DELEX l", ":1\r\n"),
        ] {
            assert_eq!(b.run(line), want, "{line}");
        }
    }

    #[test]
    fn replicas_get_what_was_done() {
        let mut b = Bench::new(&[crate::string::COMMANDS]);
        b.run("SET k a");
        b.run("SET k b IFEQ a GET");
        assert_eq!(b.effects().propagated, ["SET k b"]);
        b.run("SET k c IFEQ b KEEPTTL");
        assert_eq!(b.effects().propagated, ["SET k c KEEPTTL"]);
        b.run("SET k d IFNE b PX 5");
        assert_eq!(b.effects().propagated, ["SET k d PXAT 1700000000005"]);
        b.run("DELIFEQ k d");
        assert_eq!((b.effects().propagated, b.effects().events), (vec!["DEL k".into()], vec!["del k".into()]));
        b.run("MSETEX 2 a 1 b 2 EX 1");
        assert_eq!(b.effects().propagated, ["SET a 1 PXAT 1700000001000", "SET b 2 PXAT 1700000001000"]);
        assert_eq!(b.effects().events, ["set a", "expire a", "set b", "expire b"]);
        assert_eq!(b.run("MSETEX 2 a 1 c 2 XX"), ":0\r\n");
        assert_eq!(b.effects(), Default::default());
    }

    #[test]
    fn a_digest_is_that_of_the_text() {
        let mut b = Bench::new(&[crate::string::COMMANDS]);
        b.run_args(&[b"SET", b"k", b"Hello world"]);
        assert_eq!(b.run("DIGEST k"), "$16\r\nb6acb9d84a38ff74\r\n");
        assert_eq!(b.run("DIGEST none"), "$-1\r\n");
        assert_eq!(b.run("SET k 7 IFDEQ b6acb9d84a38ff75"), "$-1\r\n");
        assert_eq!(b.run("SET k 7 IFDEQ B6ACB9D84A38FF74"), "+OK\r\n");
        assert_eq!(b.run("SET n 7"), "+OK\r\n");
        assert_eq!(b.run("DIGEST k"), b.run("DIGEST n"), "an integer's text is the string");
        assert_eq!(b.run("DELEX k IFDNE b6acb9d84a38ff74"), ":1\r\n");
    }
}
