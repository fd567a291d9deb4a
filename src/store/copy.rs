//! Copying a tree into canonical form.
