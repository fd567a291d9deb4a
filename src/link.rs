//! The build script: how kiln is linked.

#![allow(clippy::print_stdout)] // How a build script speaks to cargo.

fn main() {
    println!("cargo:rerun-if-changed=src/link.rs");
    // Every sandbox begins with an execution of kiln, and the loader's work on it is a good part of what that costs: 60 000 addresses, which
    // take a tenth of the space and half of the time in this form. A linker that does not know the option says so and goes on.
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    if var("CARGO_CFG_TARGET_OS") == "linux" && var("CARGO_CFG_TARGET_ENV") == "gnu" {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
