//! Moving and duplicating bytes between pipes without copying them through user space.
