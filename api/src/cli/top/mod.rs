//! `stint top`: a live board of runs, queue and cost in the terminal.

mod board;
mod draw;
mod keys;
mod live;

pub(super) use live::{Args, run};
