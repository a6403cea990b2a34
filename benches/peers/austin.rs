//! How Austin 4 comes to run where the C library is too old for it.
//!
//! Its wheel wants glibc 2.38, and Debian 12 has 2.36. Debian's own package manager fetches the C library of Debian sid into a
//! folder below `target/`, where it is unpacked beside the system and never installed; its loader then starts Austin with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the libraries of the package are inside it.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// The words that start Austin 4, or why it cannot be started here.
pub fn four(austin: PathBuf) -> Result<Vec<PathBuf>, String> {
    if runs(std::slice::from_ref(&austin)) {
        return Ok(vec![austin]);
    }
    let libraries = c_library()?.join(LIBRARIES);
    let words = vec![libraries.join("ld-linux-x86-64.so.2"), "--library-path".into(), libraries, austin];
    if runs(&words) { Ok(words) } else { Err("it does not start with the C library of Debian sid either".into()) }
}

fn runs(words: &[PathBuf]) -> bool {
    let output = Command::new(&words[0]).args(&words[1..]).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

/// The folder with the unpacked package, made now if there is none yet.
fn c_library() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("debian-sid-libc6");
    let unpacked = folder.join("unpacked");
    if unpacked.exists() {
        return Ok(unpacked);
    }
    for part in ["sources", "lists/partial", "archives/partial"] {
        fs::create_dir_all(folder.join(part)).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let source = format!(
        "Types: deb\nURIs: {}\nSuites: sid\nComponents: main\n\
         Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
        mirror().ok_or("apt has no source of Debian's packages")?
    );
    fs::write(folder.join("sources/sid.sources"), source).map_err(|error| error.to_string())?;
    done(apt(&folder).arg("update"))?;
    done(apt(&folder).args(["download", "libc6"]).current_dir(&folder))?;
    let package = fs::read_dir(&folder).ok().and_then(|files| {
        files
            .flatten()
            .map(|file| file.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
    });
    // Renamed last of all: what is there is whole.
    let half = folder.join("half");
    done(Command::new("dpkg").arg("-x").arg(package.ok_or("apt-get left no package")?).arg(&half))?;
    fs::rename(&half, &unpacked).map_err(|error| error.to_string())?;
    Ok(unpacked)
}

/// Where this machine has Debian's packages from.
fn mirror() -> Option<String> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix("Debian ")?.to_owned()))
}

/// apt-get with its lists and files in `folder`, and sid as its only source.
fn apt(folder: &Path) -> Command {
    let mut command = Command::new("apt-get");
    for (name, place) in [
        ("Dir::Etc::SourceParts", "sources"),
        ("Dir::State::Lists", "lists"),
        ("Dir::Cache", "."),
        ("Dir::Cache::Archives", "archives"),
    ] {
        command.arg("-o").arg(format!("{name}={}", folder.join(place).display()));
    }
    command.args(["-o", "Dir::Etc::SourceList=/dev/null"]);
    command
}

fn done(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or_default();
    if output.status.success() { Ok(()) } else { Err(format!("{}: {last}", command.get_program().display())) }
}
