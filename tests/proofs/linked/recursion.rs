//! Promise: none of the symbols reaches one of them, whatever the plan; and a program in which one does is caught.

use crate::SYMBOLS;
use crate::builds::Build;
use crate::image::Image;
use crate::walk::{Words, Wrong, functions, walk};
use iced_x86::FlowControl;
use std::path::PathBuf;
use std::sync::OnceLock;

/// The program at a fixed address in the profile `dev`.
pub fn image() -> Image {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    Image::read(PATH.get_or_init(|| Build { images: &["static"], ..Build::DEV }.build().remove(0).1))
}

/// Checks all symbols of an image at a fixed address, or of one at any.
pub fn check(image: &mut Image) -> Result<(), Wrong> {
    let words = Words::of(image);
    words.check_start(image)?;
    SYMBOLS.iter().try_for_each(|symbol| walk(image, &words, symbol).map(drop))
}

#[test]
fn no_symbol_reaches_a_symbol() {
    let mut image = image();
    check(&mut image).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let words = Words::of(&image);
    println!("{:<10}{:>10}{:>22}  functions reached", "symbol", "bytes", "with all it reaches");
    for symbol in SYMBOLS {
        let reached = walk(&mut image, &words, symbol).expect("just walked");
        let functions = functions(&image, &reached);
        let bytes: u64 = functions.iter().map(|function| function.bytes).sum();
        let own = image.named(symbol).expect("just walked").bytes;
        println!("{symbol:<10}{own:>10}{bytes:>22}  {}", functions.len());
    }
}

/// Changes where the first direct call or jump of a function goes that leads out of it.
fn redirect(image: &mut Image, from: &str, kind: FlowControl, to: &str) {
    let words = Words::of(image);
    let (start, to) = (image.named(from).expect("a symbol").clone(), image.named(to).expect("a symbol").address);
    let own = start.address..start.address + start.bytes;
    let reached = walk(image, &words, from).expect("the image is right before");
    let leaves = reached
        .values()
        .find(|i| own.contains(&i.ip()) && i.flow_control() == kind && !own.contains(&i.near_branch_target()));
    let leaves = *leaves.unwrap_or_else(|| panic!("{from} has no {kind:?}"));
    let (section, at) = image.bytes_at(leaves.next_ip() - 4).expect("code");
    section.bytes[at..at + 4].copy_from_slice(&(to.wrapping_sub(leaves.next_ip()) as u32).to_le_bytes());
}

#[test]
fn a_symbol_that_reaches_another_is_caught() {
    use FlowControl::{Call, ConditionalBranch, UnconditionalBranch};
    for (from, kind, to) in [
        ("memmove", Call, "memcpy"),
        ("memmove", ConditionalBranch, "memcpy"),
        ("memcmp", UnconditionalBranch, "bcmp"),
        ("memcpy", UnconditionalBranch, "memmove"),
        ("bcmp", UnconditionalBranch, "memcmp"),
    ] {
        let mut image = image();
        redirect(&mut image, from, kind, to);
        let wrong = check(&mut image).expect_err("one symbol reaches another");
        let Wrong::ReachesSymbol { symbol, .. } = &wrong else { panic!("{from} to {to}: {wrong:?}") };
        assert_eq!(symbol, to, "{from}: {wrong:?}");
    }
}

#[test]
fn a_word_that_holds_a_symbol_is_caught() {
    let mut image = image();
    let slot = image.with("in_force7SYMBOLS").address;
    let memcpy = image.named("memcpy").expect("a symbol").address;
    let step = image.with("in_force15symbols_by_step").address;
    let (section, at) = image.bytes_at(slot).expect("data");
    let word = (at..at + 64).step_by(8).find(|at| section.bytes[*at..at + 8] == step.to_le_bytes());
    let word = word.expect("a word that leads to the way by the step");
    section.bytes[word..word + 8].copy_from_slice(&memcpy.to_le_bytes());
    assert_eq!(check(&mut image), Err(Wrong::Word { target: String::from("memcpy") }));
}
