//! Random programs, run without faults and then with random crashes: the result is the same.

mod interpreter;
mod program;
mod random_programs;
