//! Promise: a program with a C library keeps that one's symbols, though this crate is built with the feature `mem`, as it is here.

use crate::SYMBOLS;
use crate::image::Image;
use crate::recursion;

#[test]
#[cfg(not(target_feature = "crt-static"))]
fn a_program_with_a_c_library_has_its_symbols() {
    // The functions are there, under names of this crate's.
    let copy = memcpy_select::mem::memcpy;
    let mut dst = [0; 3];
    // SAFETY: two arrays of three bytes.
    unsafe { copy(dst.as_mut_ptr(), [1, 2, 3].as_ptr(), 3) };
    assert_eq!(dst, [1, 2, 3]);
    let image = Image::read(&std::env::current_exe().expect("the path of this program"));
    for symbol in SYMBOLS {
        assert!(image.named(symbol).is_none(), "{symbol} is not the C library's");
    }
    let is_imported = |name: &String| name == "memcpy" || name.starts_with("memcpy@");
    assert!(image.undefined.iter().any(is_imported), "memcpy is imported");
}

/// The control: asked for, they are there.
#[test]
fn a_program_that_asks_for_them_has_them() {
    let image = recursion::image();
    SYMBOLS.iter().for_each(|symbol| assert!(image.named(symbol).is_some(), "{symbol}"));
}
