//! The oracle: what a copy has to do, one byte at a time, too simple to be wrong.

/// Copies `src` to `memory[at..]`, byte by byte.
///
/// [`core::hint::black_box`] keeps the compiler from making it a call of the `memcpy` that is being tested.
pub fn copy(memory: &mut [u8], at: usize, src: &[u8]) {
    let memory = &mut memory[at..at + src.len()];
    let mut index = 0;
    // Without optimisation an iterator would take several times as long.
    while index < src.len() {
        memory[index] = core::hint::black_box(src[index]);
        index += 1;
    }
}

/// Whether all bytes are this one.
pub fn is_filled(memory: &[u8], byte: u8) -> bool {
    // Each is the one before it: a comparison of the C library, which is fast without optimisation, too.
    memory.first().is_none_or(|first| *first == byte && memory[1..] == memory[..memory.len() - 1])
}

/// The first position at which two equally long slices differ.
pub fn first_difference(left: &[u8], right: &[u8]) -> Option<usize> {
    assert_eq!(left.len(), right.len(), "only equally long slices are compared");
    left.iter().zip(right).position(|(left, right)| left != right)
}
