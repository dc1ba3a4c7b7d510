//! What a loader would do for a position-independent program. Sources: System V ABI, "Program Header", "Dynamic Section", and the
//! AMD64 supplement, "Initial Stack" and "Relocation".

/// Adds the program's address to every word that its relocations name; nothing in a program that has none. Whether all of them
/// were of that kind.
///
/// # Safety
///
/// `stack` is the one that the kernel started this program with, and nothing has relocated it.
pub unsafe fn this_program(stack: *const usize) -> bool {
    const AT_PHDR: usize = 3;
    const AT_PHNUM: usize = 5;
    const PT_DYNAMIC: u32 = 2;
    const PT_PHDR: u32 = 6;
    const HEADER_WORDS: usize = 7;

    // SAFETY: the count of arguments, those and a zero, the environment and a zero, then pairs up to one of kind 0.
    let (headers, count) = unsafe {
        let mut at = stack.add(2 + stack.read());
        while at.read() != 0 {
            at = at.add(1);
        }
        let mut pair = at.add(1).cast::<[usize; 2]>();
        let (mut headers, mut count) = (core::ptr::null::<[usize; HEADER_WORDS]>(), 0);
        while pair.read()[0] != 0 {
            let [kind, value] = pair.read();
            match kind {
                AT_PHDR => headers = core::ptr::with_exposed_provenance(value),
                AT_PHNUM => count = value,
                _ => {}
            }
            pair = pair.add(1);
        }
        (headers, count)
    };
    let (mut base, mut dynamic) = (0, None);
    for at in 0..count {
        // SAFETY: there are so many program headers.
        let header = unsafe { headers.add(at).read() };
        // The kind in the low half of the first word, the address in the third.
        match header[0] as u32 {
            PT_PHDR => base = headers.addr().wrapping_sub(header[2]),
            PT_DYNAMIC => dynamic = Some(header[2]),
            _ => {}
        }
    }
    // SAFETY: the program's own dynamic section.
    dynamic.is_none_or(|dynamic| unsafe { apply(base, core::ptr::with_exposed_provenance(base + dynamic)) })
}

/// # Safety
///
/// `dynamic` is the dynamic section of this program, which is at `base`.
unsafe fn apply(base: usize, mut dynamic: *const [usize; 2]) -> bool {
    const DT_RELA: usize = 7;
    const DT_RELASZ: usize = 8;
    const RELATIVE: usize = 8;
    let (mut table, mut bytes) = (0, 0);
    loop {
        // SAFETY: entries follow each other up to one of kind 0.
        let [kind, value] = unsafe { dynamic.read() };
        match kind {
            0 => break,
            DT_RELA => table = value,
            DT_RELASZ => bytes = value,
            _ => {}
        }
        dynamic = dynamic.wrapping_add(1);
    }
    let table = core::ptr::with_exposed_provenance::<[usize; 3]>(base + table);
    (0..bytes / size_of::<[usize; 3]>()).all(|at| {
        // SAFETY: the table has so many entries.
        let [place, kind, addend] = unsafe { table.add(at).read() };
        let place = core::ptr::with_exposed_provenance_mut::<usize>(base + place);
        if kind == RELATIVE {
            // SAFETY: the linker names words of this program that may be written.
            unsafe { place.write_unaligned(base.wrapping_add(addend)) };
        }
        kind == RELATIVE
    })
}
