//! The promise: the interpreter that judges the kernels does what a processor does, and sees each way to break the
//! contract.

use crate::interpreter::{Fault, Place, run};
use memcpy_select::cpu::Components;
use memcpy_select::kernels;
use std::arch::global_asm;

const PLACE: Place = Place { dst_address: 0x10_0000, src_address: 0x20_0800 };

#[test]
fn it_agrees_with_the_processor_on_every_kernel_that_runs_here() {
    for kernel in kernels().iter().filter(|kernel| !["libc", "portable"].contains(&kernel.name())) {
        let Some(ready) = kernel.ready() else { continue };
        for len in (0..=700).chain([4095, 4096, 8191, 8192, 8199]) {
            let src: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let mut native = vec![0; len];
            ready.copy(&mut native, &src).unwrap();
            let outcome = run(kernel.entry() as *const u8, kernel.writes(), PLACE, &src);
            assert_eq!(outcome.unwrap_or_else(|fault| panic!("{}, {len} bytes: {fault}", kernel.name())).dst, native);
        }
    }
}

/// A routine in assembly and the fault that it must cause at 64 bytes.
macro_rules! faulty {
    ($test:ident, $symbol:literal, $fault:pat, $($line:literal),+ $(,)?) => {
        global_asm!(concat!(".globl ", $symbol, "\n", $symbol, ":\n") $(, concat!($line, "\n"))+);

        #[test]
        fn $test() {
            unsafe extern "sysv64" {
                #[link_name = $symbol]
                fn entry(dst: *mut u8, src: *const u8, len: usize);
            }
            let fault = run(entry as *const u8, Components::NONE, PLACE, &[7; 64]).map(|outcome| outcome.dst).unwrap_err();
            assert!(matches!(fault, $fault), "{fault}");
        }
    };
}

faulty!(
    a_load_beyond_the_source,
    "selftest_load",
    Fault::LoadOutsideSource { bytes: 8, .. },
    "mov rax, [rsi + rdx - 7]",
    "ret"
);
faulty!(a_load_of_the_destination, "selftest_dst", Fault::LoadOutsideSource { .. }, "mov al, [rdi]", "ret");
faulty!(
    a_store_beyond_the_destination,
    "selftest_store",
    Fault::StoreOutsideDestination { bytes: 1, .. },
    "mov byte ptr [rdi + rdx], 0",
    "ret"
);
faulty!(
    a_store_to_the_return_address,
    "selftest_return",
    Fault::StoreOutsideDestination { bytes: 8, .. },
    "mov qword ptr [rsp], 0",
    "ret"
);
faulty!(a_misaligned_aligned_move, "selftest_align", Fault::MisalignedAccess { .. }, "movdqa xmm0, [rsi + 8]", "ret");
faulty!(
    a_byte_that_nobody_loads,
    "selftest_unread",
    Fault::SourceByteNotLoaded { offset: 0 },
    "lea rsi, [rsi + 1]",
    "lea rcx, [rdx - 1]",
    "rep movsb",
    "ret"
);
faulty!(
    a_byte_that_nobody_stores,
    "selftest_short",
    Fault::DestinationByteNotStored { offset: 63 },
    "mov rcx, rdx",
    "dec rcx",
    "rep movsb",
    "mov al, [rsi]",
    "ret"
);
faulty!(
    a_missing_fence,
    "selftest_fence",
    Fault::NonTemporalStoreUnfenced { .. },
    "sfence",
    "movdqu xmm0, [rsi]",
    "movntdq [rdi], xmm0",
    "mov rcx, rdx",
    "rep movsb",
    "ret"
);
faulty!(a_direction_flag, "selftest_flag", Fault::DirectionFlagSet, "mov rcx, rdx", "rep movsb", "std", "ret");
faulty!(
    a_clobbered_register,
    "selftest_r12",
    Fault::CalleeSavedChanged { register: "r12" },
    "mov rcx, rdx",
    "rep movsb",
    "xor r12d, r12d",
    "ret"
);
faulty!(an_unbalanced_stack, "selftest_stack", Fault::StackChanged, "push rax", "ret");
faulty!(
    an_upper_half_in_use,
    "selftest_upper",
    Fault::UpperStateDirty { register: 3 },
    "vmovdqu ymm3, [rsi]",
    "mov rcx, rdx",
    "rep movsb",
    "ret"
);
faulty!(
    a_high_register,
    "selftest_high",
    Fault::HighRegisterWritten { register: 17 },
    "vmovdqu64 zmm17, [rsi]",
    "mov rcx, rdx",
    "rep movsb",
    "ret"
);
faulty!(an_instruction_that_it_was_not_taught, "selftest_unknown", Fault::UnknownInstruction { .. }, "cpuid", "ret");
faulty!(a_loop_without_end, "selftest_loop", Fault::TooManySteps, "2:", "jmp 2b");
faulty!(
    a_masked_move_is_not_guessed,
    "selftest_mask",
    Fault::UnknownInstruction { .. },
    "vmovdqu8 zmm0{{k1}}, [rsi]",
    "ret"
);
