//! The trampoline: all registers in, one call, all registers out.

use super::{Before, Rng};
use crate::suite::sys;
use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use memcpy_select::cpu::{self, Components, Features};
use memcpy_select::kernel::CopyFn;

/// The widest vector registers that this CPU and its operating system provide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Vectors {
    Xmm = 0,
    Ymm = 1,
    Zmm = 2,
}

pub fn width_here() -> Vectors {
    let features = cpu::features();
    if features.contains(Features::AVX512F) {
        Vectors::Zmm
    } else if features.contains(Features::AVX) {
        Vectors::Ymm
    } else {
        Vectors::Xmm
    }
}

/// What goes into the registers and what comes out. The assembly below reads and writes it by offset.
#[repr(C, align(64))]
pub struct Frame {
    /// An XSAVE image whose header names no component: XRSTOR puts all of them into their initial state.
    initial_state: [u8; 4096],
    pub vectors_in: [[u8; 64]; 32],
    pub vectors_out: [[u8; 64]; 32],
    pub opmasks_in: [u32; 8],
    pub opmasks_out: [u32; 8],
    /// `rbx`, `rbp`, `r12` to `r15`.
    pub callee_saved_in: [u64; 6],
    pub callee_saved_out: [u64; 6],
    /// The words above the return address.
    pub stack_in: [u64; 8],
    pub stack_out: [u64; 8],
    /// What the registers without a role in the calling convention hold: `rax`, `rcx`, `r8` to `r11`.
    scratch_in: [u64; 6],
    pub stack_pointer_before: u64,
    pub stack_pointer_after: u64,
    pub flags_after: u64,
    pub in_use_before: u64,
    pub in_use_after: u64,
    dst: *mut u8,
    src: *const u8,
    len: usize,
    /// The components to initialise by XRSTOR instead of filling the registers; 0: fill.
    initialise: u32,
    has_xinuse: u32,
    pub width: Vectors,
    pub mxcsr_in: u32,
    pub mxcsr_out: u32,
    host_mxcsr: u32,
    /// As FNSTENV stores it: control word, status word, tag word, then pointers.
    pub x87_out: [u32; 7],
    pub x87_control_in: u16,
    host_x87_control: u16,
}

/// Flush to zero and round toward zero, all exceptions masked: neither is the default.
const MXCSR: u32 = 0xff80;
const MXCSR_DEFAULT: u32 = 0x1f80;
/// Round down, 64-bit precision, all exceptions masked.
const X87_CONTROL: u16 = 0x077f;

impl Frame {
    pub fn new() -> Box<Self> {
        let mut initial_state = [0; 4096];
        // XRSTOR takes MXCSR from the image (bytes 24 to 27) even where it initialises the registers.
        initial_state[24..28].copy_from_slice(&MXCSR_DEFAULT.to_le_bytes());
        Box::new(Self {
            initial_state,
            vectors_in: [[0; 64]; 32],
            vectors_out: [[0; 64]; 32],
            opmasks_in: [0; 8],
            opmasks_out: [0; 8],
            callee_saved_in: [0; 6],
            callee_saved_out: [0; 6],
            stack_in: [0; 8],
            stack_out: [0; 8],
            scratch_in: [0; 6],
            stack_pointer_before: 0,
            stack_pointer_after: 0,
            flags_after: 0,
            in_use_before: 0,
            in_use_after: 0,
            dst: core::ptr::null_mut(),
            src: core::ptr::null(),
            len: 0,
            initialise: 0,
            has_xinuse: u32::from(cpu::xinuse().is_some()),
            width: width_here(),
            mxcsr_in: MXCSR,
            mxcsr_out: 0,
            host_mxcsr: 0,
            x87_out: [0; 7],
            x87_control_in: X87_CONTROL,
            host_x87_control: 0,
        })
    }

    /// Chooses what the registers hold before the call.
    pub fn prepare(&mut self, before: Before, rng: &mut Rng) {
        for words in [&mut self.callee_saved_in, &mut self.scratch_in] {
            words.fill_with(|| rng.next());
        }
        self.stack_in.fill_with(|| rng.next());
        self.initialise = 0;
        match before {
            Before::Filled => {
                self.mxcsr_in = MXCSR;
                self.vectors_in.iter_mut().for_each(|register| rng.fill(register));
                // Sixteen bits are all that AVX-512 F gives a mask register.
                self.opmasks_in.fill_with(|| rng.next() as u32 & 0xffff);
            }
            Before::Initial => {
                self.vectors_in = [[0; 64]; 32];
                self.opmasks_in = [0; 8];
                // Another value would count as SSE state in use (AMD).
                self.mxcsr_in = MXCSR_DEFAULT;
                if self.has_xinuse != 0 {
                    let components = match self.width {
                        Vectors::Xmm => Components::SSE,
                        Vectors::Ymm => Components::SSE.union(Components::AVX),
                        Vectors::Zmm => Components::SSE.union(Components::AVX).union(Components::AVX512),
                    };
                    self.initialise = components.bits() as u32;
                }
            }
        }
    }

    /// Whether the call left any vector register with other contents.
    pub fn vectors_changed(&self) -> bool {
        let (registers, bytes) = match self.width {
            Vectors::Xmm => (16, 16),
            Vectors::Ymm => (16, 32),
            Vectors::Zmm => (32, 64),
        };
        let (before, after) = (&self.vectors_in[..registers], &self.vectors_out[..registers]);
        before.iter().zip(after).any(|(before, after)| before[..bytes] != after[..bytes])
    }

    /// Calls `entry` with these registers.
    ///
    /// # Safety
    ///
    /// The preconditions of `entry`. It may break every rule of the calling convention, if only it returns.
    pub unsafe fn call(&mut self, entry: CopyFn, dst: *mut u8, src: *const u8, len: usize) {
        (self.dst, self.src, self.len) = (dst, src, len);
        // One at a time, and no process is copied meanwhile.
        let _whole = sys::whole();
        FRAME.store(self, Ordering::Relaxed);
        ENTRY.store(entry as usize, Ordering::Relaxed);
        // SAFETY: the frame is ours alone; the trampoline restores what the calling convention asks for.
        unsafe { memcpy_select_test_trampoline() };
    }
}

/// The trampoline finds its frame and the entry point here, since no register can be trusted.
static FRAME: AtomicPtr<Frame> = AtomicPtr::new(core::ptr::null_mut());
static ENTRY: AtomicUsize = AtomicUsize::new(0);

unsafe extern "sysv64" {
    fn memcpy_select_test_trampoline();
}

// Labels carry numbers that are no binary digits: 10 and 11 would be read as constants.
global_asm!(
    r"
    .text
    .p2align 4
    .globl memcpy_select_test_trampoline
memcpy_select_test_trampoline:
    push    rbx
    push    rbp
    push    r12
    push    r13
    push    r14
    push    r15
    sub     rsp, 72                             # eight words of the caller's stack, and alignment to 16
    mov     rdi, qword ptr [rip + {frame}]
    mov     qword ptr [rdi + {stack_pointer_before}], rsp
    stmxcsr dword ptr [rdi + {host_mxcsr}]
    fnstcw  word ptr [rdi + {host_x87_control}]
    .irp word, 0, 1, 2, 3, 4, 5, 6, 7
    mov     rax, qword ptr [rdi + {stack_in} + 8*\word]
    mov     qword ptr [rsp + 8*\word], rax
    .endr

    ldmxcsr dword ptr [rdi + {mxcsr_in}]        # before XRSTOR: on Intel it brings SSE state into use itself
    mov     eax, dword ptr [rdi + {initialise}]
    test    eax, eax
    jz      20f
    xor     edx, edx
    xrstor64 [rdi + {initial_state}]
    jmp     29f
20: mov     eax, dword ptr [rdi + {width}]
    cmp     eax, 1
    ja      22f
    je      21f
    .irp register, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movdqu  xmm\register, xmmword ptr [rdi + {vectors_in} + 64*\register]
    .endr
    jmp     29f
21: .irp register, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovdqu ymm\register, ymmword ptr [rdi + {vectors_in} + 64*\register]
    .endr
    jmp     29f
22: .irp register, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovdqu64 zmm\register, zmmword ptr [rdi + {vectors_in} + 64*\register]
    .endr
    .irp register, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    vmovdqu64 zmm\register, zmmword ptr [rdi + {vectors_in} + 64*\register]
    .endr
    .irp mask, 0, 1, 2, 3, 4, 5, 6, 7
    mov     eax, dword ptr [rdi + {opmasks_in} + 4*\mask]
    kmovw   k\mask, eax
    .endr

29: fninit
    fldcw   word ptr [rdi + {x87_control_in}]
    cmp     dword ptr [rdi + {has_xinuse}], 0
    je      30f
    mov     ecx, 1
    xgetbv
    mov     dword ptr [rdi + {in_use_before}], eax
    mov     dword ptr [rdi + {in_use_before} + 4], edx
30: mov     rbx, qword ptr [rdi + {callee_saved_in}]
    mov     rbp, qword ptr [rdi + {callee_saved_in} + 8]
    mov     r12, qword ptr [rdi + {callee_saved_in} + 16]
    mov     r13, qword ptr [rdi + {callee_saved_in} + 24]
    mov     r14, qword ptr [rdi + {callee_saved_in} + 32]
    mov     r15, qword ptr [rdi + {callee_saved_in} + 40]
    mov     rax, qword ptr [rdi + {scratch_in}]
    mov     rcx, qword ptr [rdi + {scratch_in} + 8]
    mov     r8, qword ptr [rdi + {scratch_in} + 16]
    mov     r9, qword ptr [rdi + {scratch_in} + 24]
    mov     r10, qword ptr [rdi + {scratch_in} + 32]
    mov     r11, qword ptr [rdi + {scratch_in} + 40]
    mov     rsi, qword ptr [rdi + {src}]
    mov     rdx, qword ptr [rdi + {len}]
    mov     rdi, qword ptr [rdi + {dst}]
    call    qword ptr [rip + {entry}]

    mov     rdi, qword ptr [rip + {frame}]      # no flag and no other register changes up to here
    mov     qword ptr [rdi + {stack_pointer_after}], rsp
    mov     rsp, qword ptr [rdi + {stack_pointer_before}]
    pushfq
    pop     qword ptr [rdi + {flags_after}]
    cld
    mov     qword ptr [rdi + {callee_saved_out}], rbx
    mov     qword ptr [rdi + {callee_saved_out} + 8], rbp
    mov     qword ptr [rdi + {callee_saved_out} + 16], r12
    mov     qword ptr [rdi + {callee_saved_out} + 24], r13
    mov     qword ptr [rdi + {callee_saved_out} + 32], r14
    mov     qword ptr [rdi + {callee_saved_out} + 40], r15
    stmxcsr dword ptr [rdi + {mxcsr_out}]
    fnstenv [rdi + {x87_out}]
    .irp word, 0, 1, 2, 3, 4, 5, 6, 7
    mov     rax, qword ptr [rsp + 8*\word]
    mov     qword ptr [rdi + {stack_out} + 8*\word], rax
    .endr
    cmp     dword ptr [rdi + {has_xinuse}], 0
    je      40f
    mov     ecx, 1
    xgetbv
    mov     dword ptr [rdi + {in_use_after}], eax
    mov     dword ptr [rdi + {in_use_after} + 4], edx

40: mov     eax, dword ptr [rdi + {width}]
    cmp     eax, 1
    ja      42f
    je      41f
    .irp register, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movdqu  xmmword ptr [rdi + {vectors_out} + 64*\register], xmm\register
    .endr
    jmp     49f
41: .irp register, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovdqu ymmword ptr [rdi + {vectors_out} + 64*\register], ymm\register
    .endr
    vzeroupper
    jmp     49f
42: .irp register, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovdqu64 zmmword ptr [rdi + {vectors_out} + 64*\register], zmm\register
    .endr
    .irp register, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    vmovdqu64 zmmword ptr [rdi + {vectors_out} + 64*\register], zmm\register
    .endr
    .irp mask, 0, 1, 2, 3, 4, 5, 6, 7
    kmovw   eax, k\mask
    mov     dword ptr [rdi + {opmasks_out} + 4*\mask], eax
    .endr
    vzeroupper

49: fninit
    fldcw   word ptr [rdi + {host_x87_control}]
    ldmxcsr dword ptr [rdi + {host_mxcsr}]
    add     rsp, 72
    pop     r15
    pop     r14
    pop     r13
    pop     r12
    pop     rbp
    pop     rbx
    ret
    ",
    frame = sym FRAME,
    entry = sym ENTRY,
    initial_state = const offset_of!(Frame, initial_state),
    vectors_in = const offset_of!(Frame, vectors_in),
    vectors_out = const offset_of!(Frame, vectors_out),
    opmasks_in = const offset_of!(Frame, opmasks_in),
    opmasks_out = const offset_of!(Frame, opmasks_out),
    callee_saved_in = const offset_of!(Frame, callee_saved_in),
    callee_saved_out = const offset_of!(Frame, callee_saved_out),
    stack_in = const offset_of!(Frame, stack_in),
    stack_out = const offset_of!(Frame, stack_out),
    scratch_in = const offset_of!(Frame, scratch_in),
    stack_pointer_before = const offset_of!(Frame, stack_pointer_before),
    stack_pointer_after = const offset_of!(Frame, stack_pointer_after),
    flags_after = const offset_of!(Frame, flags_after),
    in_use_before = const offset_of!(Frame, in_use_before),
    in_use_after = const offset_of!(Frame, in_use_after),
    dst = const offset_of!(Frame, dst),
    src = const offset_of!(Frame, src),
    len = const offset_of!(Frame, len),
    initialise = const offset_of!(Frame, initialise),
    has_xinuse = const offset_of!(Frame, has_xinuse),
    width = const offset_of!(Frame, width),
    mxcsr_in = const offset_of!(Frame, mxcsr_in),
    mxcsr_out = const offset_of!(Frame, mxcsr_out),
    host_mxcsr = const offset_of!(Frame, host_mxcsr),
    x87_out = const offset_of!(Frame, x87_out),
    x87_control_in = const offset_of!(Frame, x87_control_in),
    host_x87_control = const offset_of!(Frame, host_x87_control),
);
