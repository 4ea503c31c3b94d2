//! Replication without IO: positions, the log, the decision on PSYNC, both ends of a link.
