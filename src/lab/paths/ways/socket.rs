//! Pairs of Unix sockets, and descriptors sent over them.

use crate::lab::paths::ways::PathError;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How much a socket is asked to hold; the system grants as much as it lets users have.
const BUFFER_BYTES: usize = 8 << 20;

/// Two connected sockets with the largest buffers that this user may have.
pub(crate) fn pair(kind: SocketType) -> Result<(OwnedFd, OwnedFd), PathError> {
    let (one, other) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
        .map_err(PathError::unavailable("socketpair"))?;
    for socket in [&one, &other] {
        set_socket_send_buffer_size(socket, BUFFER_BYTES).map_err(PathError::system("SO_SNDBUF"))?;
        set_socket_recv_buffer_size(socket, BUFFER_BYTES).map_err(PathError::system("SO_RCVBUF"))?;
    }
    Ok((one, other))
}

/// Sends bytes and descriptors as one message.
pub(crate) fn send_with(
    socket: impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> rustix::io::Result<usize> {
    let mut space =
        [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(crate::lab::paths::ways::Token::MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(rustix::io::Errno::TOOBIG);
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, flags | SendFlags::NOSIGNAL)
}

/// Receives one message: how many bytes it has, and its descriptors. One that was cut off is an error.
pub(crate) fn receive_with(
    socket: impl AsFd,
    bytes: &mut [u8],
    flags: RecvFlags,
) -> rustix::io::Result<(usize, Vec<OwnedFd>)> {
    let mut space =
        [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(crate::lab::paths::ways::Token::MAX_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut ancillary, flags | RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = part {
            descriptors.extend(received);
        }
    }
    if message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(rustix::io::Errno::MSGSIZE);
    }
    Ok((message.bytes, descriptors))
}
