//! Every developer command, the same in CI.

fn main() {}
