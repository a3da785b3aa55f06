//! Programs by lot, run without faults and then with crashes at moments by lot: the same comes out.

mod interpreter;
mod program;
mod random_programs;
