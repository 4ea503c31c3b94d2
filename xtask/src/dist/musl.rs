//! What static programs are built with: Rust's library for musl, and a C compiler for it, as Lua, the allocator and the cryptography are in C.
//!
//! For this machine's processor that is Debian's musl-gcc; for ARM64 on another machine, Debian's cross compiler with the headers of its musl for
//! ARM64.

use std::env::consts::ARCH;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::target;
use crate::apt;
use crate::chore::{self, Outcome};

/// Debian's cross compiler.
const CROSS: &str = "aarch64-linux-gnu-gcc";

/// A target of static programs, with all that it takes to build for it.
pub struct Musl {
    pub triple: String,
    compiler: PathBuf,
    /// Where it is not the one that Rust uses by itself.
    linker: Option<&'static str>,
}

/// For the processor of this machine.
///
/// # Errors
/// What is missing here and could not be installed.
pub fn native() -> Outcome<Musl> {
    apt::need("musl-gcc", "musl-tools")?;
    let triple = format!("{ARCH}-unknown-linux-musl");
    library(&triple)?;
    Ok(Musl { triple, compiler: "musl-gcc".into(), linker: None })
}

/// For ARM64, on a machine that is another.
///
/// # Errors
/// What is missing here and could not be installed.
pub fn arm64() -> Outcome<Musl> {
    apt::need(CROSS, "gcc-aarch64-linux-gnu")?;
    let triple = "aarch64-unknown-linux-musl".to_string();
    library(&triple)?;
    Ok(Musl { triple, compiler: cross_compiler()?, linker: Some(CROSS) })
}

impl Musl {
    /// Tells a build of it.
    pub fn tell(&self, build: &mut Command) {
        let name = self.triple.replace('-', "_");
        build.env(format!("CC_{name}"), &self.compiler);
        if let Some(linker) = self.linker {
            build.env(format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()), linker);
        }
    }
}

/// Rust's own library, which is added if that is possible.
fn library(triple: &str) -> Outcome {
    let folder = chore::output(chore::command("rustc").args(["--print", "target-libdir", "--target", triple]))?;
    if Path::new(folder.trim()).is_dir() {
        return Ok(());
    }
    println!("Rust's library for {triple} is missing: it is added");
    chore::run(chore::command("rustup").args(["target", "add", triple]))
}

/// A script that is the cross compiler with the headers of musl.
fn cross_compiler() -> Outcome<PathBuf> {
    let folder = target().join("tools/musl-arm64");
    let script = folder.join("musl-gcc");
    if script.is_file() {
        return Ok(script);
    }
    println!(
        "the headers of musl for ARM64 are missing: Debian's package musl-dev for it is unpacked into {}",
        folder.display()
    );
    let _ = std::fs::remove_dir_all(&folder);
    apt::unpack("musl-dev", "arm64", &folder)?;
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    let specs = folder.join("usr/lib/aarch64-linux-musl/musl-gcc.specs");
    // They name the places where the package would be installed.
    let text = std::fs::read_to_string(&specs).map_err(failed)?;
    let text = text.replace("/usr/", &format!("{}/usr/", folder.display()));
    std::fs::write(&specs, text).map_err(failed)?;
    let text = format!("#!/bin/sh\nexec {CROSS} \"$@\" -mno-outline-atomics -specs '{}'\n", specs.display());
    std::fs::write(&script, text).map_err(failed)?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).map_err(failed)?;
    Ok(script)
}
