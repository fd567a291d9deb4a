//! Bringing a tree into canonical form.
