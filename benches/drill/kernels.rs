//! How fast is each kernel, from the smallest calls to memory?
//!
//! One group a size; the buffers are hot and their offsets in a page stated: destination +0, source +2048.

mod support;

use memcpy_select::lab::copies::cell::APART_BYTES;
use support::{Range, all_contenders, buffers, size};

const LENGTHS: [usize; 6] = [64, 512, 4 << 10, 64 << 10, 1 << 20, 16 << 20];

fn main() {
    support::with_criterion(|criterion| {
        let buffers = buffers(LENGTHS[LENGTHS.len() - 1]);
        for len_bytes in LENGTHS {
            let range = Range::new(&buffers, 0, APART_BYTES, len_bytes);
            all_contenders(criterion, &format!("kernels/{}", size(len_bytes)), &range);
        }
    });
}
