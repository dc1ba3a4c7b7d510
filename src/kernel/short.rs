//! Instructions for the shortest copies, which stand in line in every symbol that copies.

/// Copies 0 to 15 bytes from rsi to rdi, rdx of them, and returns: two pieces of the largest size that fits, or first, middle
/// and last byte. All of it is loaded before any of it is stored. Dirties rcx, r8, r9, r10; labels 3, 4 and 9.
macro_rules! copy_0_to_15 {
    () => {
        concat!(
            "cmp edx, 8\n jae 4f\n",
            "cmp edx, 4\n jae 3f\n",
            "test edx, edx\n jz 9f\n",
            "movzx ecx, byte ptr [rsi]\n",
            "movzx r8d, byte ptr [rsi + rdx - 1]\n",
            "mov r9d, edx\n shr r9d, 1\n",
            "movzx r10d, byte ptr [rsi + r9]\n",
            "mov byte ptr [rdi], cl\n",
            "mov byte ptr [rdi + r9], r10b\n",
            "mov byte ptr [rdi + rdx - 1], r8b\n",
            "9: ret\n",
            "3: mov ecx, dword ptr [rsi]\n",
            "mov r8d, dword ptr [rsi + rdx - 4]\n",
            "mov dword ptr [rdi], ecx\n",
            "mov dword ptr [rdi + rdx - 4], r8d\n",
            "ret\n",
            "4: mov rcx, qword ptr [rsi]\n",
            "mov r8, qword ptr [rsi + rdx - 8]\n",
            "mov qword ptr [rdi], rcx\n",
            "mov qword ptr [rdi + rdx - 8], r8\n",
            "ret",
        )
    };
}
pub(crate) use copy_0_to_15;

/// Writes the low byte of rcx, which is in all eight of its bytes, to 0 to 15 bytes from rdi on, rdx of them, and returns.
/// Dirties rdx; labels 2, 3 and 9.
macro_rules! fill_0_to_15 {
    () => {
        concat!(
            "cmp edx, 8\n jae 3f\n",
            "cmp edx, 4\n jae 2f\n",
            "test edx, edx\n jz 9f\n",
            "mov byte ptr [rdi], cl\n",
            "mov byte ptr [rdi + rdx - 1], cl\n",
            "shr edx, 1\n",
            "mov byte ptr [rdi + rdx], cl\n",
            "9: ret\n",
            "2: mov dword ptr [rdi], ecx\n",
            "mov dword ptr [rdi + rdx - 4], ecx\n",
            "ret\n",
            "3: mov qword ptr [rdi], rcx\n",
            "mov qword ptr [rdi + rdx - 8], rcx\n",
            "ret",
        )
    };
}
pub(crate) use fill_0_to_15;
