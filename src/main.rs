//! The `a2z` program: parse, run, exit code.
fn main() {}
