//! `process_vm_readv`: the kernel copies once, from another process's memory into this one's. It needs the right to trace the
//! other process.

use crate::lab::paths::ways::PathError;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use std::io::IoSliceMut;

/// Copies from another process's memory; returns how many system calls it took.
pub(crate) fn read_from(process: i32, mut address: usize, payload: &mut [u8]) -> Result<u64, PathError> {
    let (mut done, mut calls) = (0, 0);
    while done < payload.len() {
        let there = [RemoteIoVec { base: address, len: payload.len() - done }];
        let here = &mut [IoSliceMut::new(&mut payload[done..])];
        calls += 1;
        match process_vm_readv(Pid::from_raw(process), here, &there) {
            Ok(0) => return Err(PathError::PeerGone),
            Ok(count) => {
                done += count;
                address = address.wrapping_add(count);
            }
            Err(nix::errno::Errno::EPERM) => {
                let reason = "process_vm_readv: no right to trace the other process".to_owned();
                return Err(PathError::Unavailable { reason });
            }
            Err(nix::errno::Errno::ESRCH) => return Err(PathError::PeerGone),
            Err(cause) => {
                let cause = rustix::io::Errno::from_raw_os_error(cause as i32);
                return Err(PathError::System { call: "process_vm_readv", cause });
            }
        }
    }
    Ok(calls)
}

/// Whether the system lets this process read another's memory at all: it may read its own in any case, and says
/// otherwise where the call is missing or forbidden.
pub(crate) fn probe() -> Result<(), PathError> {
    let (source, mut copy) = ([1_u8; 8], [0_u8; 8]);
    let own = rustix::process::getpid().as_raw_nonzero().get();
    read_from(own, source.as_ptr().expose_provenance(), &mut copy).map(drop).map_err(|error| match error {
        PathError::System { call, cause } => PathError::unavailable(call)(cause),
        other => other,
    })
}
