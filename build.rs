//! Gives the shared library its SONAME, and the tests the target it was built for.
//!
//! The SONAME's number is that of the ABI, not of the release: it changes when programs must be built anew. The
//! Makefile and `package.metadata.capi` in Cargo.toml name the same.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The tests in C are compiled for the same machine.
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=AMRELAY_TARGET={target}");
    let family = env::var("CARGO_CFG_TARGET_VENDOR").unwrap_or_default();
    if family != "apple" {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libamrelay.so.0");
    }
}
