//! One program for each claim in the README.

fn main() {}
