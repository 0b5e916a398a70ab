//! Programs made for a test.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a shell script that can be run. Another process writes it: a file that this one holds open for writing while
/// another test forks could not be run (`ETXTBSY`).
pub(crate) fn install(path: &Path, body: &str) {
    let mut install = Command::new("install");
    install
        .args(["-m", "755", "/dev/stdin"])
        .arg(path)
        .stdin(Stdio::piped());
    let mut install = install.spawn().unwrap();
    let script = format!("#!/bin/sh\n{body}\n");
    install
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    assert!(install.wait().unwrap().success(), "install {}", path.display());
}
