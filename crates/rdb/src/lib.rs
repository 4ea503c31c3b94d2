//! The RDB file format: reading every version, writing the one that every peer loads.
