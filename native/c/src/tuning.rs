//! Measuring, and plans that stay from start to start.

use crate::error::{Code, Failure};
use crate::plans::{Out, for_this_cpu};
use crate::policy::{PolicyNumber, policy};
use crate::text::{Place, path};
use memcpy_select::select::{PlanText, Policy, SavedPlan, Tuned, calibrate_within, tune, tune_at};
use std::ffi::{c_char, c_uint};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

#[unsafe(no_mangle)]
pub extern "C" fn memcpy_select_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// What was done, as a failure where the plans do not stay.
fn said(tuned: &Tuned) -> Result<String, Failure> {
    match tuned {
        Tuned::Calibrated { saved: Err(_), .. } => Err(Failure::new(Code::NotSaved, tuned.to_string())),
        _ => Ok(tuned.to_string()),
    }
}

/// # Safety
///
/// As the header says: the message has its place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_tune(message: *mut c_char, message_bytes: usize, length: *mut usize) -> Code {
    // SAFETY: the caller's.
    let place = unsafe { Place::new(message, message_bytes, length) };
    place.remark(|| said(&tune()))
}

/// # Safety
///
/// As the header says: `path` is null or a string, the message has its place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_tune_at(
    path: *const c_char,
    message: *mut c_char,
    message_bytes: usize,
    length: *mut usize,
) -> Code {
    // SAFETY: the caller's.
    let place = unsafe { Place::new(message, message_bytes, length) };
    place.remark(|| {
        // SAFETY: the caller's: null or a string, which only this call reads.
        let path = unsafe { self::path(path, "path") }?;
        said(&tune_at(path))
    })
}

/// # Safety
///
/// As the header says: `user` and `no_simd` are null or valid for a write, the verdict has its place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_calibrate(
    limit_ms: c_uint,
    user: *mut *mut PlanText,
    no_simd: *mut *mut PlanText,
    verdict: *mut c_char,
    verdict_bytes: usize,
    length: *mut usize,
) -> Code {
    // SAFETY: the caller's.
    let place = unsafe { Place::new(verdict, verdict_bytes, length) };
    place.remark(|| {
        // SAFETY: the caller's: null or valid for a write.
        let user = unsafe { Out::new(user, "user") }?;
        // SAFETY: the caller's: null or valid for a write.
        let no_simd = unsafe { Out::new(no_simd, "no_simd") }?;
        let calibration = calibrate_within(Duration::from_millis(limit_ms.into()), |_| {});
        user.put(for_this_cpu(Policy::User, calibration.plan)?);
        no_simd.put(for_this_cpu(Policy::NoSimd, calibration.no_simd.0)?);
        Ok(calibration.to_string())
    })
}

/// # Safety
///
/// As the header says: the text has its place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_saved_plan_path(
    text: *mut c_char,
    text_bytes: usize,
    length: *mut usize,
) -> Code {
    // SAFETY: the caller's.
    let place = unsafe { Place::new(text, text_bytes, length) };
    place.give(|| Ok(SavedPlan::here()?.path().as_os_str().as_bytes().to_vec()))
}

/// There is no file where it would be.
fn nothing_saved(saved: &SavedPlan) -> Failure {
    let message =
        format!("{}: there is no saved plan: nothing was done; memcpy_select_tune makes one", saved.path().display());
    Failure::new(Code::NotFound, message)
}

/// # Safety
///
/// As the header says: `plan` is null or valid for a write, the message has its place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_saved_plan(
    policy: PolicyNumber,
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
        let policy = self::policy(policy)?;
        let saved = SavedPlan::here()?;
        let plans = saved.load()?.ok_or_else(|| nothing_saved(&saved))?;
        out.put(for_this_cpu(policy, if policy == Policy::User { plans.user } else { plans.no_simd })?);
        Ok(String::new())
    })
}

/// # Safety
///
/// As the header says: the message has its place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_saved_plan_forget(
    message: *mut c_char,
    message_bytes: usize,
    length: *mut usize,
) -> Code {
    // SAFETY: the caller's.
    let place = unsafe { Place::new(message, message_bytes, length) };
    place.remark(|| {
        let saved = SavedPlan::here()?;
        match saved.forget() {
            Ok(true) => Ok(format!("{}: removed", saved.path().display())),
            Ok(false) => Err(nothing_saved(&saved)),
            Err(error) => {
                let path = saved.path().display();
                let message = format!("{path}: {error}: nothing was removed; remove it by other means");
                Err(Failure::new(Code::System, message))
            }
        }
    })
}
