//! Removing trees of any shape.
