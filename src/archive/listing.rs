//! Directories read through handles.
