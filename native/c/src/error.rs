//! Failures: a code for each kind, and a message with what is known of this one.

use memcpy_select::select::{LoadError, LoadFileCause, LoadFileError, PlanError, SavePlanError};
use std::ffi::{CStr, c_char, c_uint};
use std::io::ErrorKind;

/// A `memcpy_select_error` from C: a number, since C may pass any.
pub type ErrorNumber = c_uint;

/// `memcpy_select_error`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Ok = 0,
    Null = 1,
    Policy = 2,
    NotUtf8 = 3,
    Truncated = 4,
    NotFound = 5,
    System = 6,
    NoHome = 7,
    NotSaved = 8,
    NotAPlan = 9,
    OtherCpu = 10,
    OtherVersion = 11,
    Unavailable = 12,
    VectorRegisters = 13,
    Sections = 14,
    NotAKernel = 15,
    Overlap = 16,
}

/// The name of each code in the header, and what it says in general.
const CODES: [(Code, &CStr, &CStr); 17] = [
    (Code::Ok, c"MEMCPY_SELECT_OK", c"done"),
    (
        Code::Null,
        c"MEMCPY_SELECT_ERROR_NULL",
        c"a pointer that must not be null is null: nothing was done; pass one that points to something",
    ),
    (
        Code::Policy,
        c"MEMCPY_SELECT_ERROR_POLICY",
        c"this is no policy: nothing was done; pass MEMCPY_SELECT_POLICY_USER or MEMCPY_SELECT_POLICY_NO_SIMD",
    ),
    (Code::NotUtf8, c"MEMCPY_SELECT_ERROR_NOT_UTF8", c"the text is not UTF-8: it is refused; pass UTF-8"),
    (
        Code::Truncated,
        c"MEMCPY_SELECT_ERROR_TRUNCATED",
        c"the buffer is too short: it has the beginning of the text; pass one byte more than the length of the whole",
    ),
    (Code::NotFound, c"MEMCPY_SELECT_ERROR_NOT_FOUND", c"there is no such file: nothing was done; name one that is there"),
    (
        Code::System,
        c"MEMCPY_SELECT_ERROR_SYSTEM",
        c"the system refused to read or write the file: nothing was changed; the message of the call has the reason",
    ),
    (
        Code::NoHome,
        c"MEMCPY_SELECT_ERROR_NO_HOME",
        c"neither XDG_CACHE_HOME nor HOME has an absolute path: there is no place for a saved plan; set one of them",
    ),
    (
        Code::NotSaved,
        c"MEMCPY_SELECT_ERROR_NOT_SAVED",
        c"new plans are in force but could not be saved: the next start measures again; the message of the call has the reason",
    ),
    (
        Code::NotAPlan,
        c"MEMCPY_SELECT_ERROR_NOT_A_PLAN",
        c"the text is not a plan: it is refused; the message of the call names the line",
    ),
    (
        Code::OtherCpu,
        c"MEMCPY_SELECT_ERROR_OTHER_CPU",
        c"the plan is for another CPU: it is refused; use one that was made for this CPU",
    ),
    (
        Code::OtherVersion,
        c"MEMCPY_SELECT_ERROR_OTHER_VERSION",
        c"another version of memcpy-select saved the plan: it is refused; save one with this version",
    ),
    (
        Code::Unavailable,
        c"MEMCPY_SELECT_ERROR_UNAVAILABLE",
        c"this CPU or its operating system cannot run the kernel: nothing was done; use one that is available here",
    ),
    (
        Code::VectorRegisters,
        c"MEMCPY_SELECT_ERROR_VECTOR_REGISTERS",
        c"the plan is for callers without SIMD and names a kernel that writes vector registers: it is refused; use gpr or a \
          rep_* kernel",
    ),
    (
        Code::Sections,
        c"MEMCPY_SELECT_ERROR_SECTIONS",
        c"the plan is for sections, which have no calls in C: it is refused; use one for policy user or no-simd",
    ),
    (
        Code::NotAKernel,
        c"MEMCPY_SELECT_ERROR_NOT_A_KERNEL",
        c"this is no kernel of this library: nothing was copied; pass what memcpy_select_kernel_at or \
          memcpy_select_kernel_named returned",
    ),
    (
        Code::Overlap,
        c"MEMCPY_SELECT_ERROR_OVERLAP",
        c"the ranges overlap in a way that the kernel does not take: nothing was copied; use one whose overlap fits, or \
          memcpy_select_memmove",
    ),
];

/// Why a call did not do what it was asked to.
pub struct Failure {
    pub code: Code,
    pub message: String,
}

impl Failure {
    pub const fn new(code: Code, message: String) -> Self {
        Self { code, message }
    }

    /// An argument that is a null pointer and must not be.
    pub fn null(argument: &str) -> Self {
        Self::new(
            Code::Null,
            format!("{argument} is a null pointer: nothing was done; pass one that points to something"),
        )
    }

    /// A plan for what C has no calls for.
    pub fn sections() -> Self {
        Self::new(
            Code::Sections,
            "the plan is for policy `section`, which has no calls in C: it is refused; use one for `user` or `no-simd`"
                .into(),
        )
    }
}

fn of_plan(error: &PlanError) -> Code {
    match error {
        PlanError::Unavailable { .. } => Code::Unavailable,
        PlanError::TouchesVectorState { .. } => Code::VectorRegisters,
        _ => Code::NotAPlan,
    }
}

fn of_text(error: &LoadError) -> Code {
    match error {
        LoadError::OtherCpu { .. } => Code::OtherCpu,
        LoadError::Plan(error) => of_plan(error),
        _ => Code::NotAPlan,
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Self::new(of_plan(&error), error.to_string())
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::new(of_text(&error), error.to_string())
    }
}

impl From<LoadFileError> for Failure {
    fn from(error: LoadFileError) -> Self {
        let code = match &error.cause {
            LoadFileCause::Unreadable(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => Code::NotFound,
                ErrorKind::InvalidData => Code::NotUtf8,
                _ => Code::System,
            },
            LoadFileCause::Refused(error) => of_text(error),
            LoadFileCause::OtherVersion(_) => Code::OtherVersion,
            _ => Code::NotAPlan,
        };
        Self::new(code, error.to_string())
    }
}

impl From<SavePlanError> for Failure {
    fn from(error: SavePlanError) -> Self {
        let code = match &error {
            SavePlanError::NoHome => Code::NoHome,
            _ => Code::System,
        };
        Self::new(code, error.to_string())
    }
}

/// The row of a number, which may be any.
fn row(code: ErrorNumber) -> Option<&'static (Code, &'static CStr, &'static CStr)> {
    CODES.iter().find(|(known, ..)| *known as ErrorNumber == code)
}

#[unsafe(no_mangle)]
pub extern "C" fn memcpy_select_error_name(error: ErrorNumber) -> *const c_char {
    row(error).map_or(c"no memcpy_select_error", |(_, name, _)| name).as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn memcpy_select_error_message(error: ErrorNumber) -> *const c_char {
    row(error).map_or(c"this number is no memcpy_select_error", |(_, _, message)| message).as_ptr()
}
