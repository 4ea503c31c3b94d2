//! What a server sends: a value of RESP2 or RESP3, owned.

use std::borrow::Cow;

use rivulet_resp::double;

/// A reply, or a push. Texts are bytes as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Status(Vec<u8>),
    Error(Vec<u8>),
    Integer(i64),
    Bulk(Vec<u8>),
    /// The null of RESP3, and both of RESP2.
    Null,
    /// Its text: [`Reply::as_f64`] has the number.
    Double(Vec<u8>),
    Boolean(bool),
    BigNumber(Vec<u8>),
    Verbatim {
        format: [u8; 3],
        text: Vec<u8>,
    },
    Array(Vec<Reply>),
    Set(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
    /// What the server sends unasked.
    Push(Vec<Reply>),
    /// A reply with what the server says about it.
    Attributed {
        attributes: Vec<(Reply, Reply)>,
        reply: Box<Reply>,
    },
}

impl Reply {
    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        matches!(self.without_attributes(), Reply::Error(_))
    }

    /// Whether it is the status `OK`.
    pub fn is_ok(&self) -> bool {
        matches!(self.without_attributes(), Reply::Status(text) if text == b"OK")
    }

    /// The reply itself.
    pub fn without_attributes(&self) -> &Reply {
        match self {
            Reply::Attributed { reply, .. } => reply.without_attributes(),
            other => other,
        }
    }

    /// The bytes of a text, of whatever kind: also of an error.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self.without_attributes() {
            Reply::Status(text)
            | Reply::Error(text)
            | Reply::Bulk(text)
            | Reply::Double(text)
            | Reply::BigNumber(text)
            | Reply::Verbatim { text, .. } => Some(text),
            _ => None,
        }
    }

    /// What a person is shown of a simple reply; nothing of a collection.
    pub fn text(&self) -> Cow<'_, str> {
        match self.without_attributes() {
            Reply::Integer(n) => n.to_string().into(),
            Reply::Boolean(value) => value.to_string().into(),
            other => String::from_utf8_lossy(other.as_bytes().unwrap_or_default()),
        }
    }

    /// A whole number, also one that is a text.
    pub fn as_i64(&self) -> Option<i64> {
        match self.without_attributes() {
            Reply::Integer(n) => Some(*n),
            Reply::Error(_) => None,
            other => std::str::from_utf8(other.as_bytes()?).ok()?.parse().ok(),
        }
    }

    /// A number, also one that is a text.
    pub fn as_f64(&self) -> Option<f64> {
        match self.without_attributes() {
            Reply::Integer(n) => Some(*n as f64),
            Reply::Error(_) => None,
            other => double::parse(other.as_bytes()?),
        }
    }

    /// The elements of an array, a set or a push.
    pub fn items(&self) -> Option<&[Reply]> {
        match self.without_attributes() {
            Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => Some(items),
            _ => None,
        }
    }

    /// The pairs of a map, or of an array that is one in RESP2.
    pub fn pairs(&self) -> Option<Vec<(&Reply, &Reply)>> {
        match self.without_attributes() {
            Reply::Map(pairs) => Some(pairs.iter().map(|(key, value)| (key, value)).collect()),
            Reply::Array(items) if items.len() % 2 == 0 => {
                Some(items.chunks_exact(2).map(|pair| (&pair[0], &pair[1])).collect())
            }
            _ => None,
        }
    }

    /// What a map has under a name.
    pub fn field(&self, name: &str) -> Option<&Reply> {
        let (_, value) = self.pairs()?.into_iter().find(|(key, _)| key.as_bytes() == Some(name.as_bytes()))?;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(text.as_bytes().to_vec())
    }

    #[test]
    fn maps_of_both_protocols_are_read_alike() {
        let of_resp2 = Reply::Array(vec![bulk("a"), Reply::Integer(1), bulk("b"), bulk("2")]);
        let of_resp3 = Reply::Map(vec![(bulk("a"), Reply::Integer(1)), (bulk("b"), bulk("2"))]);
        for map in [of_resp2, of_resp3] {
            assert_eq!(map.field("a").and_then(Reply::as_i64), Some(1));
            assert_eq!(map.field("b").and_then(Reply::as_i64), Some(2));
            assert_eq!(map.field("c"), None);
        }
        assert_eq!(Reply::Array(vec![bulk("a")]).pairs(), None);
    }

    #[test]
    fn numbers() {
        assert_eq!(Reply::Double(b"1.5".to_vec()).as_f64(), Some(1.5));
        assert_eq!(bulk("inf").as_f64(), Some(f64::INFINITY));
        assert_eq!(Reply::Error(b"5".to_vec()).as_i64(), None, "an error is no number");
        assert_eq!(bulk("x").as_i64(), None);
    }
}
