//! What does alignment cost each kernel?
//!
//! One group a placement of destination and source modulo a cache line, and whether the two alias modulo 4096. The
//! length, 4096 bytes, stays in the first-level cache, where a split line shows most.

mod support;

use memcpy_select::lab::copies::cell::APART_BYTES;
use support::{Range, all_contenders, buffers};

const LEN_BYTES: usize = 4096;

/// Name, destination and source offset in a page.
const PLACEMENTS: [(&str, usize, usize); 8] = [
    ("aligned", 0, APART_BYTES),
    ("src+1", 0, APART_BYTES + 1),
    ("dst+1", 1, APART_BYTES),
    ("both+1", 1, APART_BYTES + 1),
    ("dst+32", 32, APART_BYTES),
    ("aliased", 0, 0),
    ("aliased dst+1", 1, 0),
    ("aliased src+1", 0, 1),
];

fn main() {
    support::with_criterion(|criterion| {
        let buffers = buffers(LEN_BYTES);
        for (name, dst_offset, src_offset) in PLACEMENTS {
            let range = Range::new(&buffers, dst_offset, src_offset, LEN_BYTES);
            all_contenders(criterion, &format!("alignment/{name}"), &range);
        }
    });
}
