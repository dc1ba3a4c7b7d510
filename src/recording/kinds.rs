//! What calls, copies and lines are told apart by.

#![forbid(unsafe_code)]

/// What a call did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Kind {
    /// Copied from one range to another.
    Copy = 0,
    /// Copied within overlapping ranges to a lower address: a copy that goes forward is right.
    MoveDown = 1,
    /// Copied within overlapping ranges to a higher address: only a copy that goes backward is right.
    MoveUp = 2,
    /// Copied a range onto itself.
    Same = 3,
    /// Filled a range with one byte.
    Fill = 4,
}

impl Kind {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Copy, Self::MoveDown, Self::MoveUp, Self::Same, Self::Fill];

    /// The kind of a copy, from its addresses and its length.
    #[inline]
    pub const fn of_copy(dst_address: usize, src_address: usize, len: usize) -> Self {
        let (up, down) = (dst_address.wrapping_sub(src_address), src_address.wrapping_sub(dst_address));
        if up >= len && down >= len {
            Self::Copy
        } else if up == 0 {
            Self::Same
        } else if up < len {
            Self::MoveUp
        } else {
            Self::MoveDown
        }
    }

    /// Whose times it is counted with.
    pub const fn group(self) -> Group {
        match self {
            Self::Copy => Group::Copies,
            Self::MoveDown | Self::MoveUp | Self::Same => Group::Moves,
            Self::Fill => Group::Fills,
        }
    }
}

/// Kinds whose times are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Group {
    /// [`Kind::Copy`].
    Copies = 0,
    /// Overlapping ones.
    Moves = 1,
    /// [`Kind::Fill`].
    Fills = 2,
}

impl Group {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Copies, Self::Moves, Self::Fills];
}

/// The function that was called. The `_chk` forms count as what they check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Function {
    /// `memcpy`.
    Memcpy = 0,
    /// `memmove`.
    Memmove = 1,
    /// `mempcpy`.
    Mempcpy = 2,
    /// `memset`.
    Memset = 3,
}

impl Function {
    /// All, in the order of their numbers: bit `n` of [`Site::functions`](super::Site::functions) is the `n`th.
    pub const ALL: [Self; 4] = [Self::Memcpy, Self::Memmove, Self::Mempcpy, Self::Memset];

    /// Its name in C.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memcpy => "memcpy",
            Self::Memmove => "memmove",
            Self::Mempcpy => "mempcpy",
            Self::Memset => "memset",
        }
    }
}

/// What carried out a timed copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Arm {
    /// The installed libc's routine.
    Libc = 0,
    /// memcpy-select's, by the plan in force in the recorded program.
    Plan = 1,
}

/// How many sampled calls an arm carries out before the next turn. What is timed in one turn is of one moment, and alike.
pub const TURN_SAMPLES: u32 = 8;

impl Arm {
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Libc, Self::Plan];
}

/// What carries out the calls: the value of [`Header::under`](super::Header::under).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Under {
    /// The installed libc's routines, as without the recorder. Only [`Arm::Libc`] is timed.
    Libc = 0,
    /// memcpy-select's, by the plan. Only [`Arm::Plan`] is timed.
    Plan = 1,
    /// Both in turns of random order, some thousands of calls each: both arms are timed where the program's own calls keep
    /// their code and what the CPU predicts of it warm.
    Both = 2,
}

impl Under {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Libc, Self::Plan, Self::Both];

    /// How the recorder is asked for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Libc => "libc",
            Self::Plan => "plan",
            Self::Both => "both",
        }
    }
}

/// Which line of a destination was watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Line {
    /// The one that holds its first byte.
    First = 0,
    /// The one that holds its last byte.
    Last = 1,
}
