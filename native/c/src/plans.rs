//! Plans: made from texts and files, put in force, written out.

use crate::error::{Code, Failure};
use crate::policy::{self, PolicyNumber, policy};
use crate::text::{Place, kept, path, utf8};
use memcpy_select::Kernel;
use memcpy_select::cpu::Cpu;
use memcpy_select::select::{
    Class, CpuName, Plan, PlanText, Policy, install_owned, load, load_file, plan_in_force, save_file, uninstall,
};
use std::ffi::{c_char, c_void};
use std::ptr;

/// Where a call puts a plan for the caller: `memcpy_select_plan **`.
pub struct Out(*mut *mut PlanText);

impl Out {
    /// The place, with null in it.
    ///
    /// # Safety
    ///
    /// `plan` is null or valid for writes until the place is no longer used.
    pub unsafe fn new(plan: *mut *mut PlanText, argument: &str) -> Result<Self, Failure> {
        if plan.is_null() {
            return Err(Failure::null(argument));
        }
        // SAFETY: not null, so the caller vouches for it.
        unsafe { plan.write(ptr::null_mut()) };
        Ok(Self(plan))
    }

    pub fn put(&self, plan: PlanText) {
        let plan = Box::into_raw(Box::new(plan));
        // SAFETY: valid for writes, by the contract of `new`.
        unsafe { self.0.write(plan) };
    }
}

/// What a plan of C's is made of.
pub fn for_this_cpu(policy: Policy, plan: Plan) -> Result<PlanText, Failure> {
    if policy == Policy::Section {
        return Err(Failure::sections());
    }
    Ok(PlanText { cpu: CpuName::of(&Cpu::detect().signature), policy, plan })
}

/// The plan that an argument points to.
///
/// # Safety
///
/// `plan` is null, or came from this library and is not freed during `'a`.
unsafe fn given<'a>(plan: *const PlanText) -> Result<&'a PlanText, Failure> {
    // SAFETY: the caller's: null, or from `Out::put` and not freed.
    unsafe { plan.as_ref() }.ok_or_else(|| Failure::null("plan"))
}

/// # Safety
///
/// As the header says: `plan` is null or valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_plan_in_force(policy: PolicyNumber, plan: *mut *mut PlanText) -> Code {
    // SAFETY: the caller's: null or valid for a write.
    let out = unsafe { Out::new(plan, "plan") };
    let found = out.and_then(|out| {
        let policy = self::policy(policy)?;
        out.put(for_this_cpu(policy, *plan_in_force(policy))?);
        Ok(())
    });
    found.map_or_else(|failure| failure.code, |()| Code::Ok)
}

/// # Safety
///
/// As the header says: `text` is null or a string, `plan` is null or valid for a write, the message has its place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_plan_from_text(
    text: *const c_char,
    plan: *mut *mut PlanText,
    message: *mut c_char,
    message_bytes: usize,
    length: *mut usize,
) -> Code {
    // SAFETY: the caller's.
    let place = unsafe { Place::new(message, message_bytes, length) };
    place.remark(|| {
        // SAFETY: the caller's: null or valid for a write.
        let out = unsafe { Out::new(plan, "plan") }?;
        // SAFETY: the caller's: null or a string, which only this call reads.
        let text = unsafe { utf8(text, "text") }?;
        let (policy, plan) = load(text, &Cpu::detect())?;
        out.put(for_this_cpu(policy, plan)?);
        Ok(String::new())
    })
}

/// # Safety
///
/// As the header says: `path` is null or a string, `plan` is null or valid for a write, the message has its place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_plan_from_file(
    path: *const c_char,
    plan: *mut *mut PlanText,
    message: *mut c_char,
    message_bytes: usize,
    length: *mut usize,
) -> Code {
    // SAFETY: the caller's.
    let place = unsafe { Place::new(message, message_bytes, length) };
    place.remark(|| {
        // SAFETY: the caller's: null or valid for a write.
        let out = unsafe { Out::new(plan, "plan") }?;
        // SAFETY: the caller's: null or a string, which only this call reads.
        let path = unsafe { self::path(path, "path") }?;
        let (policy, plan) = load_file(path)?;
        out.put(for_this_cpu(policy, plan)?);
        Ok(String::new())
    })
}

/// # Safety
///
/// As the header says: `plan` is null or a plan that is not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_plan_policy(plan: *const PlanText) -> PolicyNumber {
    // SAFETY: the caller's.
    unsafe { given(plan) }.map_or(policy::NONE, |plan| policy::number(plan.policy))
}

/// # Safety
///
/// As the header says: `plan` is null or a plan that is not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_plan_origin(plan: *const PlanText) -> *const c_char {
    // SAFETY: the caller's.
    unsafe { given(plan) }.map_or(ptr::null(), |plan| kept(plan.plan.origin().name()))
}

/// # Safety
///
/// As the header says: `plan` is null or a plan that is not freed. The other two are only looked at as addresses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_plan_kernel(
    plan: *const PlanText,
    dst: *const c_void,
    src: *const c_void,
    n: usize,
) -> *const Kernel {
    // SAFETY: the caller's.
    unsafe { given(plan) }
        .map_or(ptr::null(), |plan| ptr::from_ref(plan.plan.kernel(n, Class::of(dst.addr(), src.addr()))))
}

/// # Safety
///
/// As the header says: `plan` is null or a plan that is not freed, the text has its place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_plan_text(
    plan: *const PlanText,
    text: *mut c_char,
    text_bytes: usize,
    length: *mut usize,
) -> Code {
    // SAFETY: the caller's.
    let place = unsafe { Place::new(text, text_bytes, length) };
    // SAFETY: the caller's.
    place.give(|| unsafe { given(plan) }.map(|plan| plan.to_string().into_bytes()))
}

/// # Safety
///
/// As the header says: `plan` is null or a plan that is not freed, `path` is null or a string, the message has its place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_plan_save(
    plan: *const PlanText,
    path: *const c_char,
    message: *mut c_char,
    message_bytes: usize,
    length: *mut usize,
) -> Code {
    // SAFETY: the caller's.
    let place = unsafe { Place::new(message, message_bytes, length) };
    place.remark(|| {
        // SAFETY: the caller's.
        let plan = unsafe { given(plan) }?;
        // SAFETY: the caller's: null or a string, which only this call reads.
        let path = unsafe { self::path(path, "path") }?;
        save_file(path, plan)?;
        Ok(String::new())
    })
}

/// # Safety
///
/// As the header says: `plan` is null or a plan that is not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_plan_install(plan: *const PlanText) -> Code {
    // SAFETY: the caller's.
    let installed = unsafe { given(plan) }.and_then(|plan| Ok(install_owned(plan.policy, plan.plan)?));
    installed.map_or_else(|failure| failure.code, |()| Code::Ok)
}

#[unsafe(no_mangle)]
pub extern "C" fn memcpy_select_plan_uninstall(policy: PolicyNumber) -> Code {
    self::policy(policy).map(uninstall).map_or_else(|failure| failure.code, |()| Code::Ok)
}

/// # Safety
///
/// As the header says: `plan` is null or a plan that is not freed, and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_plan_free(plan: *mut PlanText) {
    if !plan.is_null() {
        // SAFETY: the caller's: it came from `Out::put`, which made it from a box, and is freed once.
        drop(unsafe { Box::from_raw(plan) });
    }
}
