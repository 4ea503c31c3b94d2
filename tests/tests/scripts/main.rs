//! Scripts and functions in real processes: what they do to data, replicas and files, and what a busy one may cost.

mod busy;
mod debugger;
mod effects;
mod errors;
mod functions;
