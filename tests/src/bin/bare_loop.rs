//! The least that a process item can cost: opens and reads the same files as one poll, and looks at nothing.
//!
//! Arguments: how many rounds, then the files' names within a process's directory. Prints the CPU time of one round in
//! nanoseconds.
fn main() {}
