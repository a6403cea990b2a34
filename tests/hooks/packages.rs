//! Packages of npm that tests need, installed once under `target`, and the small ones that are written here.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The processors in a folder of their own, with `node_modules` beside them: small packages of every shape.
pub fn with_modules(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hooks-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    copy(&super::support::folder(), &folder);
    let files = [
        ("package.json", r#"{"name": "load-test", "private": true}"#),
        ("node_modules/packaged/package.json", r#"{"name": "packaged", "main": "./lib/entry"}"#),
        ("node_modules/packaged/lib/entry.js", "module.exports = { from: 'main' };"),
        (
            "node_modules/exported/package.json",
            r#"{"name": "exported", "exports": {".": {"import": "./i.mjs", "require": "./r.js"}, "./sub/*": "./lib/*.js"}}"#,
        ),
        ("node_modules/exported/i.mjs", "export const from = 'import';"),
        ("node_modules/exported/r.js", "exports.from = 'require';"),
        ("node_modules/exported/lib/x.js", "exports.sub = 'x';"),
        ("node_modules/exported/hidden.js", "exports.hidden = true;"),
        ("node_modules/@scope/scoped/index.js", "module.exports = 'scoped';"),
    ];
    for (file, text) in files {
        let file = folder.join(file);
        fs::create_dir_all(file.parent().expect("in a folder")).expect("ours");
        fs::write(file, text).expect("ours");
    }
    folder
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("ours");
    for entry in fs::read_dir(from).expect("there").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("ours");
        }
    }
}

/// A folder with these packages of npm in its `node_modules`, made once. Without npm it fails, and says so.
pub fn installed(packages: &[&str]) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo puts it into the target directory");
    let folder = target.join("node-packages").join(packages.join("+").replace('@', "-"));
    fs::create_dir_all(&folder).expect("ours");
    let lock = File::create(folder.join("lock")).expect("ours");
    lock.lock().expect("the file system has locks");
    if !folder.join("done").exists() {
        fs::write(folder.join("package.json"), r#"{"name": "load-test", "private": true}"#).expect("ours");
        let mut npm = Command::new("npm");
        npm.env("PATH", super::node::path())
            .args(["install", "--no-audit", "--no-fund", "--ignore-scripts"])
            .args(packages)
            .current_dir(&folder);
        let output = npm.output().expect("npm is needed to install what these tests load");
        assert!(output.status.success(), "npm: {}", String::from_utf8_lossy(&output.stderr));
        fs::write(folder.join("done"), "").expect("ours");
    }
    folder
}
