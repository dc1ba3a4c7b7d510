//! Every way to move a payload between two processes: one file each, one trait, one table.
//!
//! A path is two ends, one in each process. [`Path::open`] makes what the two share in the near process and a [`Token`]
//! by which [`Path::join`] finds it in the far one; from then on the ends [send and receive](End). The code that drives them
//! keeps one rule, the **window**: of the messages sent in one direction, never more than [`Config::depth`] have not yet
//! been received. Paths whose memory is reused rely on it, as programs do that count credits.
//!
//! A new path is a file here and a row in [`paths`]; the verb, the tests and the report iterate the table. Paths from
//! elsewhere implement the same trait and stand in the same run.

mod bare;
mod buffer;
mod byte_ring;
mod copier;
mod cow_handover;
mod descriptor;
mod end;
mod error;
mod eventfd;
mod forwarder;
mod handover;
mod io_uring;
mod line;
mod map_unmap;
mod pattern;
pub mod payload;
mod pipe;
mod posix_mq;
mod process_vm;
mod remote_read;
mod shared;
pub(crate) mod socket;
mod splice;
mod splice_file;
mod stage;
mod stream_table;
mod sysv_mq;
mod table;
mod table_pieces;
mod table_push;
mod table_request;
mod tiered;
mod unix_seqpacket;
mod unix_stream;
mod wait;

pub use buffer::Buffer;
pub use end::{End, Opening, Token};
pub use error::PathError;
pub use payload::{Consumer, Producer};
pub(crate) use stage::SHARED;
pub use stage::{Stage, Way};
pub use tiered::Tiers;
pub use wait::Patience;

use crate::transport::{Allocator, TableOptions};
use bare::Bare;
use serde::{Deserialize, Serialize};
use std::fmt;
use stream_table::StreamTable;
use table_request::TableRequest;

/// How a side waits for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Looks again and again. Where both sides share a core, it gives the core away between two looks.
    Polling,
    /// Sleeps in the kernel.
    Blocking,
    /// Looks for about as long as a sleep would cost, then sleeps. Where both sides share a core, it sleeps at once.
    Adaptive,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Polling, Self::Blocking, Self::Adaptive];

    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::Blocking => "blocking",
            Self::Adaptive => "adaptive",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What both ends of a path are made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The longest payload, in bytes.
    pub max_bytes: usize,
    /// How many messages may be under way in one direction.
    pub depth: usize,
    /// How the sides wait.
    pub mode: Mode,
    /// Whether both sides run on one logical CPU.
    pub one_core: bool,
    /// Whether payloads are written and read; paths that can map pages ahead do so then.
    pub touch: bool,
    /// Where the payload starts in its page at the sender, where the path leaves that open.
    pub src_offset: usize,
    /// Where the payload starts in its page at the receiver, where the path leaves that open.
    pub dst_offset: usize,
    /// The kernel that copies in user space, where there is a choice; `memcpy_auto` if not said.
    pub kernel: Option<String>,
    /// The limits of the tiered path.
    pub tiers: Tiers,
}

/// What a path can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The shortest payload, in bytes.
    pub min_bytes: usize,
    /// The longest payload, in bytes.
    pub max_bytes: usize,
    /// The most messages under way in one direction.
    pub max_depth: usize,
}

impl Limits {
    /// Any payload of at least `min_bytes`.
    pub const fn from(min_bytes: usize) -> Self {
        Self { min_bytes, max_bytes: MAX_BYTES, max_depth: MAX_DEPTH }
    }
}

/// The longest payload of any path, in bytes.
pub const MAX_BYTES: usize = 1 << 30;
/// The most messages under way of any path.
pub const MAX_DEPTH: usize = 1024;
/// A page of x86-64.
pub const PAGE_BYTES: usize = 4096;

/// A way to move a payload between two processes.
pub trait Path: Sync {
    /// The name in records.
    fn name(&self) -> &str;

    /// What it does, in a few words.
    fn about(&self) -> &str;

    /// What it can carry on this system.
    fn limits(&self) -> Limits;

    /// How often a payload of this length is copied, by a program or the kernel, between being written by the producer
    /// and read by the consumer. Declared by the path's author, with the configuration's tiers and modes.
    fn copies(&self, len_bytes: usize, config: &Config) -> u32;

    /// How its sides can wait.
    fn modes(&self) -> &[Mode] {
        &Mode::ALL
    }

    /// Whether a kernel of this crate copies, so that there is a choice.
    fn has_kernel(&self) -> bool {
        false
    }

    /// Whether the payload is received at the offset in its page that it was sent from, so that it cannot be moved to
    /// another.
    fn keeps_offset(&self) -> bool {
        false
    }

    /// Makes what the two ends share, in the near process.
    ///
    /// # Errors
    ///
    /// [`PathError::Unavailable`] if the system does not offer the path; any other if making it failed.
    fn open(&self, config: &Config) -> Result<Opening, PathError>;

    /// Makes the far end.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError>;
}

impl fmt::Debug for dyn Path + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Path").field(&self.name()).finish()
    }
}

/// THE table. The kernel's ways first, then those over shared memory.
static PATHS: &[&dyn Path] = &[
    &pipe::Pipe,
    &unix_stream::UnixStream,
    &unix_seqpacket::UnixSeqpacket,
    &io_uring::IoUring,
    &posix_mq::PosixMq,
    &sysv_mq::SysvMq,
    &eventfd::EventFd,
    &splice::Splice,
    &splice_file::SpliceFile,
    &process_vm::ProcessVm,
    &cow_handover::CowHandover,
    &map_unmap::MapUnmap,
    &Bare {
        name: "bare",
        about: "the floor: a shared cache line each way, no ring, no checks, in place both ways",
        copies_in: false,
        copies_out: false,
        reads_only: false,
    },
    &Bare {
        name: "bare_copy_in",
        about: "the floor, copied in and read in place",
        copies_in: true,
        copies_out: false,
        reads_only: false,
    },
    &Bare {
        name: "bare_copy_out",
        about: "the floor, written in place and copied out",
        copies_in: false,
        copies_out: true,
        reads_only: false,
    },
    &Bare {
        name: "bare_copy_copy",
        about: "the floor, copied in and copied out",
        copies_in: true,
        copies_out: true,
        reads_only: false,
    },
    &Bare {
        name: "bare_copy_in_read_only",
        about: "the floor, copied in and read in place, where the receiver cannot write",
        copies_in: true,
        copies_out: false,
        reads_only: true,
    },
    &Bare {
        name: "bare_copy_out_read_only",
        about: "the floor, written in place and copied out, where the receiver cannot write",
        copies_in: false,
        copies_out: true,
        reads_only: true,
    },
    &Bare {
        name: "bare_copy_copy_read_only",
        about: "the floor, copied in and copied out, where the receiver cannot write",
        copies_in: true,
        copies_out: true,
        reads_only: true,
    },
    &byte_ring::ByteRing,
    &tiered::Inline,
    &tiered::GIVEN,
    &tiered::MEASURED,
    &TableRequest {
        name: "table_request",
        about: "a request of StreamTable and its answer, 8 bytes in the entries",
        ..REQUEST
    },
    &TableRequest {
        name: "table_request_12",
        about: "the same, responses of 12 bytes",
        response_stride_bytes: 12,
        ..REQUEST
    },
    &table_push::TablePush,
    &StreamTable {
        name: "table_copy_copy",
        about: "StreamTable, copied in and copied out",
        copies_in: true,
        copies_out: true,
        ..StreamTable::IN_PLACE
    },
    &StreamTable {
        name: "table_in_blocks",
        about: "StreamTable, copied in and copied out, short payloads too in blocks",
        copies_in: true,
        copies_out: true,
        in_blocks: true,
        ..StreamTable::IN_PLACE
    },
    &StreamTable {
        name: "table_copy_read",
        about: "StreamTable, copied in and read in place",
        copies_in: true,
        ..StreamTable::IN_PLACE
    },
    &StreamTable {
        name: "table_write_copy",
        about: "StreamTable, written in place and copied out",
        copies_out: true,
        ..StreamTable::IN_PLACE
    },
    &StreamTable::IN_PLACE,
    &StreamTable {
        name: "table_in_place_pushed",
        about: "StreamTable, in place both ways, to the client by messages of a stream and not by answers",
        is_pushed: true,
        ..StreamTable::IN_PLACE
    },
    &table_pieces::TablePieces,
    &StreamTable {
        name: "table_copy_copy_shared",
        about: "StreamTable, copied in and copied out, blocks from one list that both sides write",
        copies_in: true,
        copies_out: true,
        allocator: Allocator::Shared,
        ..StreamTable::IN_PLACE
    },
    &StreamTable {
        name: "table_copy_read_shared",
        about: "StreamTable, copied in and read in place, blocks from one list that both sides write",
        copies_in: true,
        allocator: Allocator::Shared,
        ..StreamTable::IN_PLACE
    },
    &StreamTable {
        name: "table_write_copy_shared",
        about: "StreamTable, written in place and copied out, blocks from one list that both sides write",
        copies_out: true,
        allocator: Allocator::Shared,
        ..StreamTable::IN_PLACE
    },
    &StreamTable {
        name: "table_in_place_shared",
        about: "StreamTable, in place both ways, blocks from one list that both sides write",
        allocator: Allocator::Shared,
        ..StreamTable::IN_PLACE
    },
    &StreamTable {
        name: "table_copy_copy_proxy",
        about: "StreamTable through a proxy, copied in and copied out",
        copies_in: true,
        copies_out: true,
        is_proxied: true,
        ..StreamTable::IN_PLACE
    },
    &StreamTable {
        name: "table_in_place_proxy",
        about: "StreamTable through a proxy, in place both ways",
        is_proxied: true,
        ..StreamTable::IN_PLACE
    },
];

const REQUEST: TableRequest = TableRequest {
    name: "",
    about: "",
    response_stride_bytes: TableOptions::GEOMETRY.response_stride_bytes,
    others: 0,
};

/// A request to a table that has other clients, which ask for nothing: what it sleeps on is what they add.
static AMONG_OTHERS: &[&dyn Path] = &[
    &TableRequest { name: "table_of_2", about: "the same, of a table with two clients", others: 1, ..REQUEST },
    &TableRequest { name: "table_of_4", about: "the same, with four", others: 3, ..REQUEST },
    &TableRequest { name: "table_of_8", about: "the same, with eight", others: 7, ..REQUEST },
    &TableRequest { name: "table_of_16", about: "the same, with sixteen", others: 15, ..REQUEST },
];

/// Every path of this build, available here or not.
pub fn paths() -> &'static [&'static dyn Path] {
    PATHS
}

/// Paths to a table with several clients, which show what waiting for all of them costs.
pub fn paths_among_others() -> &'static [&'static dyn Path] {
    AMONG_OTHERS
}
