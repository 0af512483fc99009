//! Every turn, in tables.
