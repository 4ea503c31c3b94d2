//! What somebody who is logged in can have done, as commands of that user.

use std::sync::PoisonError;
use std::time::Duration;

use rivulet_client::Reply;
use rivulet_topology::Address;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::sessions::Line;

/// A proof of large data takes its time; the server ends it itself before.
const VERIFY_MS: &str = "60000";
const PATIENCE: Duration = Duration::from_secs(75);

/// An action, as the page asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
pub enum Action {
    /// Proves that all replicas are equal.
    Verify,
    /// Hands over to a replica, or to the one that is ahead; at a Sentinel from the master of a name to the replica that it chooses.
    Failover { to: Option<String>, master: Option<String> },
    /// Gives up a failover that waits.
    Abort,
}

impl Action {
    /// Reads a request's body.
    ///
    /// # Errors
    /// It is no action.
    pub fn parse(body: &[u8]) -> Result<Action, String> {
        serde_json::from_slice(body).map_err(|error| format!("no action: {error}"))
    }

    /// The command's words.
    fn words(&self) -> Result<Vec<String>, String> {
        let words = |text: &str| text.split(' ').map(str::to_string).collect::<Vec<_>>();
        Ok(match self {
            Action::Verify => words(&format!("REPLICATION VERIFY ALL TIMEOUT {VERIFY_MS}")),
            Action::Failover { to: None, master: None } => words("FAILOVER"),
            Action::Failover { to: None, master: Some(name) } => {
                ["SENTINEL", "FAILOVER", name].map(str::to_string).to_vec()
            }
            Action::Failover { to: Some(_), master: Some(_) } => {
                return Err("a Sentinel chooses the replica itself".into());
            }
            Action::Failover { to: Some(to), master: None } => {
                let to = Address::parse(to).ok_or("no address of a replica")?;
                let mut words = words("FAILOVER TO");
                words.extend([to.host, to.port.to_string()]);
                words
            }
            Action::Abort => words("FAILOVER ABORT"),
        })
    }

    /// Has it done and waits for that; answers what the server replied, or why there is no reply.
    pub fn run(&self, line: &Line) -> Result<Value, String> {
        let words = self.words()?;
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        // A thread that panicked has left the connection in the middle of a reply at worst, which the next one tells.
        let mut own = line.try_lock().or_else(|error| match error {
            std::sync::TryLockError::Poisoned(poisoned) => Ok(PoisonError::into_inner(poisoned)),
            std::sync::TryLockError::WouldBlock => Err("the last action has not ended".to_string()),
        })?;
        let reply = own.ask(&words, PATIENCE)?;
        if reply.is_error() { Err(reply.text().into_owned()) } else { Ok(json!({ "reply": value_of(&reply) })) }
    }
}

/// A reply as JSON. Maps are objects; in RESP2 they come as arrays of names and values, which only the caller can know, so what looks like one is one.
fn value_of(reply: &Reply) -> Value {
    if let Some(items) = reply.items() {
        let names = reply.pairs().filter(|pairs| !pairs.is_empty() && pairs.iter().all(|(name, _)| is_name(name)));
        return match names {
            Some(pairs) => pairs.into_iter().map(|(name, value)| (name.text().into_owned(), value_of(value))).collect(),
            None => items.iter().map(value_of).collect(),
        };
    }
    match reply {
        Reply::Integer(n) => json!(n),
        Reply::Null => Value::Null,
        Reply::Map(pairs) => pairs.iter().map(|(name, value)| (name.text().into_owned(), value_of(value))).collect(),
        other => json!(other.text()),
    }
}

/// A field's name: a text of letters and underscores.
fn is_name(reply: &Reply) -> bool {
    let is_word = |text: &[u8]| !text.is_empty() && text.iter().all(|b| b.is_ascii_lowercase() || *b == b'_');
    matches!(reply, Reply::Bulk(text) if is_word(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Action, String> {
        Action::parse(text.as_bytes())
    }

    #[test]
    fn actions_and_their_commands() {
        let words = |text: &str| parse(text).and_then(|action| action.words()).map(|words| words.join(" "));
        assert_eq!(words(r#"{"action":"verify"}"#).as_deref(), Ok("REPLICATION VERIFY ALL TIMEOUT 60000"));
        assert_eq!(words(r#"{"action":"failover"}"#).as_deref(), Ok("FAILOVER"));
        assert_eq!(words(r#"{"action":"failover","to":"[::1]:7"}"#).as_deref(), Ok("FAILOVER TO ::1 7"));
        let named = parse(r#"{"action":"failover","master":"a b"}"#).and_then(|action| action.words());
        assert_eq!(named, Ok(vec!["SENTINEL".into(), "FAILOVER".into(), "a b".into()]));
        assert_eq!(words(r#"{"action":"abort"}"#).as_deref(), Ok("FAILOVER ABORT"));
        for wrong in [
            "",
            "{}",
            r#"{"action":"flushall"}"#,
            r#"{"action":"failover","to":"x y"}"#,
            r#"{"action":"failover","to":"a:1","master":"m"}"#,
            r#"{"action":"failover","x":1}"#,
        ] {
            assert!(words(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn replies_become_json() {
        let bulk = |text: &str| Reply::Bulk(text.as_bytes().to_vec());
        let node = Reply::Array(vec![
            bulk("addr"),
            bulk("a:1"),
            bulk("equal"),
            bulk("yes"),
            bulk("keys"),
            Reply::Array(vec![]),
        ]);
        let reply = Reply::Array(vec![bulk("offset"), Reply::Integer(5), bulk("replicas"), Reply::Array(vec![node])]);
        let expected = json!({"offset": 5, "replicas": [{"addr": "a:1", "equal": "yes", "keys": []}]});
        assert_eq!(value_of(&reply), expected);
        assert_eq!(value_of(&Reply::Array(vec![bulk("a:1"), bulk("b")])), json!(["a:1", "b"]));
        assert_eq!(value_of(&Reply::Status(b"OK".to_vec())), json!("OK"));
    }
}
