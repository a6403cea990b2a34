//! Under sudo pyperf becomes the user who called it, and keeps only the three capabilities that it takes to read a process, and to
//! do so on time.
//!
//! From then on every file that it writes belongs to that user, lands only where that user may write, and a symlink that
//! somebody planted leads nowhere that user could not go anyway. This must happen before a second thread starts:
//! capabilities belong to a thread and are inherited by those that it starts.

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, User, initgroups, setgroups, setresgid, setresuid};

use crate::problem::Advice;

/// What stays of root's power: `SYS_PTRACE` opens another user's memory, `DAC_READ_SEARCH` the files of `/proc` and the
/// interpreter that guard it by mode, `SYS_NICE` puts the sampling thread first.
const KEPT: [Capability; 3] = [Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH, Capability::CAP_SYS_NICE];

/// The user on whose behalf pyperf runs as root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
}

/// The change of user failed, which must not be ignored: files would be written as root.
#[derive(Debug, thiserror::Error)]
#[error("cannot become user {uid}, who called sudo")]
pub struct NotDropped {
    uid: u32,
    #[source]
    cause: DropError,
}

#[derive(Debug, thiserror::Error)]
enum DropError {
    #[error(transparent)]
    User(#[from] nix::Error),
    #[error(transparent)]
    Capabilities(#[from] caps::errors::CapsError),
}

impl Advice for NotDropped {
    fn hint(&self) -> Option<String> {
        Some("run pyperf as root itself: sudo -i, then pyperf attach".into())
    }
}

/// Becomes the caller if pyperf runs as root on behalf of another user; does nothing otherwise.
///
/// # Errors
///
/// When the kernel refuses one of the steps.
pub fn become_caller(caller: Option<Caller>) -> Result<(), NotDropped> {
    match caller {
        Some(caller) if caller.uid != 0 && Uid::effective().is_root() => {
            switch_to(caller).map_err(|cause| NotDropped { uid: caller.uid, cause })
        }
        _ => Ok(()),
    }
}

/// Raises the limit of open files as far as it goes: a process takes up to six of them, and each of its threads up to
/// four.
pub fn allow_many_files() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

fn switch_to(caller: Caller) -> Result<(), DropError> {
    let (uid, gid) = (Uid::from_raw(caller.uid), Gid::from_raw(caller.gid));
    prctl::set_keepcaps(true)?;
    match User::from_uid(uid)? {
        Some(user) => {
            let name = std::ffi::CString::new(user.name).map_err(|_| nix::Error::EINVAL)?;
            initgroups(&name, gid)?;
        }
        None => setgroups(&[gid])?,
    }
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    prctl::set_keepcaps(false)?;
    // A container may have been given fewer capabilities than these; what it has not cannot be kept.
    let permitted = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = KEPT.into_iter().filter(|cap| permitted.contains(cap)).collect();
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    Ok(())
}
