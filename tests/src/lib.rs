//! Fixtures of the whole-server tests.
