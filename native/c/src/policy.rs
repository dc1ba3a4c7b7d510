//! Policies as C names them.

use crate::error::{Code, Failure};
use memcpy_select::select::Policy;
use std::ffi::c_uint;

/// `memcpy_select_policy`: a number, since C may pass any.
pub type PolicyNumber = c_uint;

/// What is no policy.
pub const NONE: PolicyNumber = 0;
const USER: PolicyNumber = 1;
const NO_SIMD: PolicyNumber = 2;

/// The policy of a number.
pub fn policy(number: PolicyNumber) -> Result<Policy, Failure> {
    match number {
        USER => Ok(Policy::User),
        NO_SIMD => Ok(Policy::NoSimd),
        _ => Err(Failure::new(
            Code::Policy,
            format!(
                "{number} is no policy: nothing was done; pass MEMCPY_SELECT_POLICY_USER or MEMCPY_SELECT_POLICY_NO_SIMD"
            ),
        )),
    }
}

/// The number of a policy that C has calls for.
pub fn number(policy: Policy) -> PolicyNumber {
    match policy {
        Policy::User => USER,
        Policy::NoSimd => NO_SIMD,
        Policy::Section => NONE,
    }
}
