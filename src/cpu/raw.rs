//! The instructions: the only place in `cpu` that executes something. What they answer is decoded elsewhere.

#![allow(unsafe_code)]

pub(super) use native::{features, reader, xcr0, xinuse};

#[cfg(any(
    all(target_arch = "x86", not(target_env = "sgx"), target_feature = "sse"),
    all(target_arch = "x86_64", not(target_env = "sgx"))
))]
mod native {
    use crate::cpu::Features;
    use core::arch::asm;
    use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};
    use raw_cpuid::{CpuId, CpuIdReader, CpuIdReaderNative};

    /// CPUID on the core that runs this.
    pub(in crate::cpu) fn reader() -> impl CpuIdReader + Copy {
        CpuIdReaderNative
    }

    /// XGETBV: the extended control register `index`. Intel SDM vol. 2D, XGETBV.
    ///
    /// # Safety
    ///
    /// CR4.OSXSAVE is set, and `index` is 0, or 1 where CPUID leaf 0DH.1 EAX\[2\] is set.
    unsafe fn xgetbv(index: u32) -> u64 {
        let (low, high): (u32, u32);
        // SAFETY: the caller vouches that the instruction exists and takes this index; it writes EDX:EAX alone.
        unsafe {
            asm!(
                "xgetbv",
                in("ecx") index,
                out("eax") low,
                out("edx") high,
                options(nomem, nostack, preserves_flags),
            );
        }
        u64::from(high) << 32 | u64::from(low)
    }

    /// Intel SDM vol. 1, 13.3: CPUID leaf 01H ECX\[27\] mirrors CR4.OSXSAVE.
    fn has_osxsave() -> bool {
        CpuId::new().get_feature_info().is_some_and(|info| info.has_oxsave())
    }

    pub(in crate::cpu) fn xcr0() -> Option<u64> {
        has_osxsave().then(|| {
            // SAFETY: CR4.OSXSAVE is set, and index 0 is XCR0.
            unsafe { xgetbv(0) }
        })
    }

    /// Intel SDM vol. 1, 13.6: XGETBV with ECX = 1 exists where CPUID leaf 0DH.1 EAX\[2\] is set.
    fn has_xinuse() -> bool {
        has_osxsave() && CpuId::new().get_extended_state_info().is_some_and(|info| info.has_xgetbv())
    }

    pub(in crate::cpu) fn xinuse() -> Option<u64> {
        const UNKNOWN: u8 = 0;
        const NO: u8 = 1;
        const YES: u8 = 2;
        // CPUID costs microseconds in a guest: asked once. Threads that race for it find the same.
        static KNOWN: AtomicU8 = AtomicU8::new(UNKNOWN);
        let known = match KNOWN.load(Ordering::Relaxed) {
            UNKNOWN => {
                let found = if has_xinuse() { YES } else { NO };
                KNOWN.store(found, Ordering::Relaxed);
                found
            }
            known => known,
        };
        (known == YES).then(|| {
            // SAFETY: CR4.OSXSAVE is set, and CPUID allows index 1.
            unsafe { xgetbv(1) }
        })
    }

    pub(in crate::cpu) fn features() -> Features {
        /// Set beside the features once they are known: `Features` has no such bit.
        const KNOWN: u32 = 1 << 31;
        static CACHED: AtomicU32 = AtomicU32::new(0);
        let cached = CACHED.load(Ordering::Relaxed);
        if cached & KNOWN != 0 {
            return Features::from_bits_truncate(cached);
        }
        let found = Features::decode(reader(), xcr0());
        // Threads that race for it store the same.
        CACHED.store(found.bits() | KNOWN, Ordering::Relaxed);
        found
    }
}

/// Where there is no CPUID, nothing is known and nothing is present.
#[cfg(not(any(
    all(target_arch = "x86", not(target_env = "sgx"), target_feature = "sse"),
    all(target_arch = "x86_64", not(target_env = "sgx"))
)))]
mod native {
    use crate::cpu::{Features, words};
    use raw_cpuid::CpuIdReader;

    pub(in crate::cpu) fn reader() -> impl CpuIdReader + Copy {
        |_leaf: u32, _subleaf: u32| words::ZERO
    }

    pub(in crate::cpu) fn xcr0() -> Option<u64> {
        None
    }

    pub(in crate::cpu) fn xinuse() -> Option<u64> {
        None
    }

    pub(in crate::cpu) fn features() -> Features {
        Features::NONE
    }
}
