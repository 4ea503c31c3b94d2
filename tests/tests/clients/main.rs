//! Clients and their connections: what people's tools see, what connections may cost, and how many of them there may be.

mod channels;
mod descriptors;
mod memory;
mod migrate;
mod output;
mod replies;
mod requests;
mod strangers;
mod tools;
mod tracking;
mod users;
mod valkey;
mod work;
