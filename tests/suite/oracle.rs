//! The oracle: what a copy has to do, one byte at a time, too simple to be wrong.

/// Copies `src` to `memory[at..]`, byte by byte.
///
/// [`core::hint::black_box`] keeps the compiler from making it a call of the `memcpy` that is being tested.
pub fn copy(memory: &mut [u8], at: usize, src: &[u8]) {
    for (index, byte) in src.iter().enumerate() {
        memory[at + index] = core::hint::black_box(*byte);
    }
}

/// The first position at which two equally long slices differ.
pub fn first_difference(left: &[u8], right: &[u8]) -> Option<usize> {
    assert_eq!(left.len(), right.len(), "only equally long slices are compared");
    left.iter().zip(right).position(|(left, right)| left != right)
}
