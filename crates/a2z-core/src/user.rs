//! What a user is to this migration: one type, one table of transitions. Pure: no I/O, no SQL, no clock.

pub mod state;
