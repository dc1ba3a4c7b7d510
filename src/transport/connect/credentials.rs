//! Which process is at the other end of a socket, as the kernel says.
//!
//! The calls are made without `rustix` because its process number cannot be 0, and the kernel reports 0 for a process that
//! has no number in this process's PID namespace.

use super::ConnectError;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, geteuid, getpid, pidfd_open};
use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A peer's process and user when it connected or listened: all connections of a process have the same ones. So have those of all
/// processes of a user that this one cannot see, and those that were not made by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::transport) struct Origin {
    /// 0 for a process that this one cannot see: it runs in another PID namespace.
    pub(in crate::transport) process: i32,
    /// The effective user. A user without a number in this process's user namespace reads as the overflow user.
    pub(in crate::transport) user: u32,
}

impl Origin {
    pub(super) fn of_peer(socket: BorrowedFd<'_>) -> Result<Self, Errno> {
        let [process, user, _group] = option(socket, libc::SO_PEERCRED)?;
        Ok(Self { process, user: user as u32 })
    }

    /// Whether the user is this process's own, beyond doubt, where users without a number read as `overflow_user`.
    ///
    /// All users that a user namespace does not map read as one, the overflow user. So that number says nothing where it is
    /// this process's own, unless the namespace maps every user.
    pub(super) fn check_user(self, overflow_user: u32) -> Result<(), ConnectError> {
        let maps_all_users = || fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| covers_all(&map));
        let is_own = self.user == geteuid().as_raw() && (self.user != overflow_user || maps_all_users());
        if is_own { Ok(()) } else { Err(ConnectError::OtherUser { user: self.user }) }
    }
}

/// A descriptor of the process at the other end, readable when it has ended; `None` if it is this process, or if the system
/// gives none.
pub(super) fn peer_process(socket: BorrowedFd<'_>) -> Option<OwnedFd> {
    let process = Pid::from_raw(Origin::of_peer(socket).ok()?.process);
    if process == Some(getpid()) {
        return None;
    }
    // Linux 6.5 and later name the process itself. Before that, and where a filter of system calls does not know the option,
    // its number has to do: should another process have got it meanwhile, the socket's hang-up remains.
    match option(socket, libc::SO_PEERPIDFD) {
        // SAFETY: the call has just made this descriptor for its caller.
        Ok([descriptor]) => Some(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        Err(Errno::NOPROTOOPT | Errno::PERM | Errno::NOSYS) => pidfd_open(process?, PidfdFlags::empty()).ok(),
        Err(_) => None,
    }
}

/// An option of a socket, whose value is so many words.
fn option<const WORDS: usize>(socket: BorrowedFd<'_>, name: libc::c_int) -> Result<[i32; WORDS], Errno> {
    let mut words = [0; WORDS];
    let mut len_bytes = size_of_val(&words) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len_bytes` bytes to `words`, which has as many.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, words.as_mut_ptr().cast(), &raw mut len_bytes)
    };
    if result != 0 {
        return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    Ok(words)
}

/// What a user reads as that has no number here.
pub(super) fn overflow_user() -> u32 {
    /// The kernel's own default.
    const USUAL: u32 = 65534;
    let text = fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap_or_default();
    text.trim().parse().unwrap_or(USUAL)
}

/// Whether the lines of a `uid_map` (first user inside, first one outside, count) name every user. Ranges never overlap.
fn covers_all(map: &str) -> bool {
    let counts = map.lines().map(|line| line.split_whitespace().nth(2).and_then(|count| count.parse::<u64>().ok()));
    counts.map(Option::unwrap_or_default).sum::<u64>() >= u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_map_covers_all_users_or_it_does_not() {
        for all in ["         0          0 4294967295\n", "0 0 4294967295", "0 0 1000\n1000 1000 4294966295\n"] {
            assert!(covers_all(all), "{all}");
        }
        for part in ["", "0 0 65536\n", "0 1000 1\n", "0 0 4294967294\n", "nonsense", "0 0 -1"] {
            assert!(!covers_all(part), "{part}");
        }
    }

    #[test]
    fn the_other_end_of_a_pair_is_this_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let found = Origin::of_peer(one.as_fd()).unwrap();
        assert_eq!(found, Origin { process: getpid().as_raw_pid(), user: geteuid().as_raw() });
        assert!(peer_process(one.as_fd()).is_none());
    }
}
