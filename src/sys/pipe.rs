//! Pipes: making them, their size, how much they hold.
