//! The Redis protocol: decoding of requests and encoding of replies, RESP2 and RESP3.
