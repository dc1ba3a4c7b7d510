//! All vector registers at once: a pattern put into them, a call, and what they hold then.
//!
//! XSAVE and XRSTOR in the standard format, with the components that are switched on; FXSAVE and FXRSTOR without XSAVE.

use super::registers::xcr0;
use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, Ordering};
use memcpy_select::cpu::{Components, Cpu, XState};
use memcpy_select::xsave::Restore;

/// Enough for AVX-512 in the standard format on every CPU so far.
pub const AREA_BYTES: usize = 4096;

#[repr(C, align(64))]
pub struct Area(pub [u8; AREA_BYTES]);

/// What [`watched`] needs and finds.
#[repr(C)]
struct Watch {
    pattern: *const u8,
    found: *mut u8,
    /// 0: vector registers are not looked at; 1: FXSAVE; 2: XSAVE.
    way: u64,
    components: u64,
    flags: u64,
    /// Not zero: a register that the callee must keep was not kept.
    broken: u64,
    result: usize,
}

unsafe extern "sysv64" {
    fn ring0_watched(call: usize, arguments: *const [usize; 3], watch: *mut Watch);
}

global_asm!(
    r#"
    .section .text.ring0_watched, "ax"
ring0_watched:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    sub rsp, 8
    mov [rsp], rdx
    mov r9, rdi
    mov r10, rdx
    mov rdi, [rsi]
    mov r8, [rsi + 16]
    mov rsi, [rsi + 8]
    mov r11, [r10]
    mov eax, [r10 + 24]
    mov edx, [r10 + 28]
    mov rcx, [r10 + 16]
    cmp rcx, 1
    jb 2f
    je 1f
    xrstor64 [r11]
    jmp 2f
1:  fxrstor64 [r11]
2:  movabs rbx, 0x5a5ac3c300ff00f1
    lea rbp, [rbx + 0x11]
    lea r12, [rbx + 0x22]
    lea r13, [rbx + 0x33]
    lea r14, [rbx + 0x44]
    lea r15, [rbx + 0x55]
    mov rdx, r8
    call r9
    pushfq
    pop r8
    mov r10, [rsp]
    mov [r10 + 32], r8
    mov [r10 + 48], rax
    movabs rax, 0x5a5ac3c300ff00f1
    xor rbx, rax
    lea rcx, [rax + 0x11]
    xor rbp, rcx
    or rbx, rbp
    lea rcx, [rax + 0x22]
    xor r12, rcx
    or rbx, r12
    lea rcx, [rax + 0x33]
    xor r13, rcx
    or rbx, r13
    lea rcx, [rax + 0x44]
    xor r14, rcx
    or rbx, r14
    lea rcx, [rax + 0x55]
    xor r15, rcx
    or rbx, r15
    mov [r10 + 40], rbx
    mov r11, [r10 + 8]
    mov eax, [r10 + 24]
    mov edx, [r10 + 28]
    mov rcx, [r10 + 16]
    cmp rcx, 1
    jb 4f
    je 3f
    xsave64 [r11]
    jmp 4f
3:  fxsave64 [r11]
4:  cld
    add rsp, 8
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
    .text
"#
);

/// What is called, which sees the pattern in all registers that a callee keeps.
#[derive(Clone, Copy)]
pub struct Call {
    /// `extern "sysv64"`, with three words or fewer.
    pub entry: usize,
    pub arguments: [usize; 3],
}

impl Call {
    /// A closure. What it calls sees registers that compiled code has kept and uses.
    pub fn of<F: FnMut()>(body: &mut F) -> Self {
        unsafe extern "sysv64" fn run<F: FnMut()>(body: usize) {
            // SAFETY: the closure that `of` was given.
            unsafe { (*(body as *mut F))() }
        }
        Self { entry: run::<F> as *const () as usize, arguments: [&raw mut *body as usize, 0, 0] }
    }
}

/// What a call left behind.
pub struct Left {
    pub result: usize,
    pub flags: u64,
    pub kept_registers: bool,
    /// The vector components that changed.
    pub changed: Components,
}

/// The images, and where each component lies in them.
pub struct Vectors {
    pattern: Area,
    found: Area,
    xstate: XState,
    /// Those that are switched on: x87 and SSE without XSAVE.
    pub enabled: Components,
}

/// The components that trap handlers save and restore; 0 where they use FXSAVE.
pub static SAVED: AtomicU32 = AtomicU32::new(0);

const XMM: core::ops::Range<usize> = 160..416;
const HEADER: usize = 512;
const MXCSR: core::ops::Range<usize> = 24..28;
const X87_CONTROL: core::ops::Range<usize> = 0..2;

/// Everything in its initial state. Intel SDM vol. 1, 13.6: 37FH and 1F80H.
const INITIAL: Area = {
    let mut area = [0; AREA_BYTES];
    [area[0], area[1], area[24], area[25]] = [0x7f, 0x03, 0x80, 0x1f];
    Area(area)
};

/// Clears every vector register: for interrupt handlers whose way out restores them.
pub fn clear() {
    static ALL: Area = INITIAL;
    let components = Components::from_bits(SAVED.load(Ordering::Relaxed).into());
    let restore = if components.is_empty() { Restore::Fxrstor } else { Restore::Xrstor };
    // SAFETY: the instruction that fits what is switched on; an image of either format, aligned, with an empty header.
    unsafe { restore.restore(ALL.0.as_ptr(), components) }
}

impl Vectors {
    /// A pattern in which every byte of every register is another one than its neighbours.
    pub fn new() -> Self {
        let bits = xcr0();
        SAVED.store(bits as u32, Ordering::Relaxed);
        let mut vectors = Self {
            pattern: INITIAL,
            found: Area([0; AREA_BYTES]),
            xstate: Cpu::detect().xstate,
            enabled: Components::from_bits(if bits == 0 { 3 } else { bits }),
        };
        vectors.fill(bits);
        vectors
    }

    fn fill(&mut self, bits: u64) {
        let byte = |at: usize| (at * 151 + (at >> 4)) as u8 | 1;
        for at in XMM {
            self.pattern.0[at] = byte(at);
        }
        for index in self.enabled.indices().filter(|index| *index >= 2) {
            for at in self.range(index).into_iter().flatten() {
                self.pattern.0[at] = byte(at);
            }
        }
        self.pattern.0[HEADER..HEADER + 8].copy_from_slice(&bits.to_le_bytes());
    }

    fn range(&self, index: u32) -> Option<core::ops::Range<usize>> {
        let component = self.xstate.components[index as usize]?;
        let first = component.offset_bytes as usize;
        Some(first..first + component.size_bytes as usize)
    }

    /// Calls with the pattern in all vector registers, and looks at what they hold afterwards.
    ///
    /// # Safety
    ///
    /// The entry point takes these arguments.
    pub unsafe fn watch(&mut self, call: Call) -> Left {
        let way = if SAVED.load(Ordering::Relaxed) == 0 { 1 } else { 2 };
        // SAFETY: the caller's promise.
        let mut left = unsafe { self.call(call, way) };
        let changed = self.enabled.indices().filter(|index| !self.is_kept(*index));
        left.changed = Components::from_bits(changed.map(|index| 1 << index).sum());
        left
    }

    /// Calls, and looks at flags and general-purpose registers alone.
    ///
    /// # Safety
    ///
    /// As [`watch`](Self::watch).
    pub unsafe fn watch_general(&mut self, call: Call) -> Left {
        // SAFETY: the caller's promise.
        unsafe { self.call(call, 0) }
    }

    /// [`watch`](Self::watch) of a closure.
    pub fn watch_body<F: FnMut()>(&mut self, mut body: F) -> Left {
        // SAFETY: a closure that lives as long as the call.
        unsafe { self.watch(Call::of(&mut body)) }
    }

    unsafe fn call(&mut self, call: Call, way: u64) -> Left {
        let components = self.enabled.bits();
        let (pattern, found) = (self.pattern.0.as_ptr(), self.found.0.as_mut_ptr());
        let mut watch = Watch { pattern, found, way, components, flags: 0, broken: 0, result: 0 };
        // SAFETY: both areas are aligned and large enough; vector registers are the caller's to lose at a call, and
        // the control words that are loaded are those of the initial state, which compiled code expects.
        unsafe { ring0_watched(call.entry, &call.arguments, &mut watch) };
        let Watch { result, flags, broken, .. } = watch;
        Left { result, flags, kept_registers: broken == 0, changed: Components::NONE }
    }

    fn is_kept(&self, index: u32) -> bool {
        let same = |range: core::ops::Range<usize>| self.pattern.0[range.clone()] == self.found.0[range];
        // XSAVE writes nothing of a component in its initial state but says so in the header.
        let header = &self.found.0[HEADER..HEADER + 8];
        let is_in_use = SAVED.load(Ordering::Relaxed) == 0 || header[index as usize / 8] >> (index % 8) & 1 == 1;
        match index {
            0 => !is_in_use || same(X87_CONTROL),
            1 => is_in_use && same(XMM) && same(MXCSR),
            _ => is_in_use && self.range(index).is_none_or(same),
        }
    }
}
