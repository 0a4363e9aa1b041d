//! Each op of the engine in one folder: its CPU version and its reference.
