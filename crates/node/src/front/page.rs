//! The page's connections: one end of a pair of sockets each, as the page is a client of its own server.
//!
//! What the page itself asks with is internal: it may do all, and is in no count and no list of clients. A person who logs in on the page is a client as
//! any other.

mod driver;
