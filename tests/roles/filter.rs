//! Filters of system calls: a process that installs one is refused the calls that it names, as in a container.

use crate::suite::sys::{Child, End, in_child};
use rustix::thread::set_no_new_privs;
use std::ffi::{c_int, c_ulong};
use std::io::Read;

unsafe extern "C" {
    fn prctl(option: c_int, ...) -> c_int;
}

const PR_SET_SECCOMP: c_int = 22;
const SECCOMP_MODE_FILTER: c_ulong = 2;

pub const EPERM: u16 = 1;
pub const EINVAL: u16 = 22;
pub const ENOSYS: u16 = 38;
/// Instead of a refusal: the call ends the process.
pub const KILL: u16 = 0;

/// A call that can be refused: its number, and which bits of which arguments make it that.
struct Call {
    name: &'static str,
    number: u32,
    /// Index, mask, and what the argument's low half is under the mask.
    arguments: &'static [(u32, u32, u32)],
}

const fn call(name: &'static str, number: u32, arguments: &'static [(u32, u32, u32)]) -> Call {
    Call { name, number, arguments }
}

const ALL: u32 = u32::MAX;
/// The numbers are those of x86-64.
const CALLS: [Call; 24] = [
    call("memfd_create", 319, &[]),
    call("MFD_HUGETLB", 319, &[(1, 4, 4)]),
    call("MFD_NOEXEC_SEAL", 319, &[(1, 8, 8)]),
    // As where the sysctl `vm.memfd_noexec` is 2.
    call("without_MFD_NOEXEC_SEAL", 319, &[(1, 8, 0)]),
    call("F_ADD_SEALS", 72, &[(1, ALL, 1033)]),
    call("F_SEAL_FUTURE_WRITE", 72, &[(1, ALL, 1033), (2, 16, 16)]),
    call("F_GET_SEALS", 72, &[(1, ALL, 1034)]),
    call("MAP_SHARED", 9, &[(3, 1, 1)]),
    call("madvise", 28, &[]),
    call("mlock", 149, &[]),
    call("process_madvise", 440, &[]),
    // Those of words in memory that processes share: a C library ends a process that cannot sleep on its own words.
    call("futex", 202, &[(1, 128, 0)]),
    call("futex_waitv", 449, &[]),
    call("pidfd_open", 434, &[]),
    call("SO_PEERCRED", 55, &[(2, ALL, 17)]),
    call("SO_PEERPIDFD", 55, &[(2, ALL, 77)]),
    call("epoll_create1", 291, &[]),
    call("epoll_ctl", 233, &[]),
    call("epoll_wait", 232, &[]),
    call("epoll_pwait", 281, &[]),
    call("epoll_pwait2", 441, &[]),
    call("io_uring_setup", 425, &[]),
    call("getrandom", 318, &[]),
    call("openat2", 437, &[]),
];

/// An instruction of the filter's program, as the kernel has it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    operand: u32,
}

#[repr(C)]
struct Program {
    len: u16,
    instructions: *const Instruction,
}

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7FFF_0000;
const ERROR: u32 = 0x0005_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
/// Where the arguments are in what the kernel shows the program; the call's number is at 0.
const ARGUMENTS_AT: u32 = 16;

const fn step(code: u16, operand: u32) -> Instruction {
    Instruction { code, if_true: 0, if_false: 0, operand }
}

/// Refuses calls to this thread, and those that it starts, from now on: each `CALL:ERRNO`.
pub fn install<'a>(refused: impl Iterator<Item = &'a str>) {
    let mut program = Vec::new();
    for rule in refused {
        let (name, error) = rule.split_once(':').unwrap();
        let call = CALLS.iter().find(|call| call.name == name).unwrap_or_else(|| panic!("{name}"));
        program.extend(block_of(call, error.parse().unwrap()));
    }
    if !program.is_empty() {
        program.push(step(RETURN, ALLOW));
        assert!(install_program(&program), "{}", std::io::Error::last_os_error());
    }
}

/// The part of a program that refuses a call. What is another one goes on behind it.
fn block_of(call: &Call, error: u16) -> Vec<Instruction> {
    let mut block = vec![step(LOAD, 0), step(JUMP_IF_EQUAL, call.number)];
    for (index, mask, value) in call.arguments {
        block.extend([step(LOAD, ARGUMENTS_AT + 8 * index), step(AND, *mask), step(JUMP_IF_EQUAL, *value)]);
    }
    block.push(step(RETURN, if error == KILL { KILL_PROCESS } else { ERROR | u32::from(error) }));
    let last = block.len() - 1;
    for (at, jump) in block.iter_mut().enumerate().filter(|(_, one)| one.code == JUMP_IF_EQUAL) {
        jump.if_false = u8::try_from(last - at).unwrap();
    }
    block
}

fn install_program(instructions: &[Instruction]) -> bool {
    let program = Program { len: instructions.len() as u16, instructions: instructions.as_ptr() };
    // SAFETY: the program and its instructions are there for the whole call, and the kernel checks them.
    set_no_new_privs(true).is_ok() && unsafe { prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &raw const program) } == 0
}

/// Whether filters can be installed here; says so if they cannot.
pub fn can_filter() -> bool {
    let can = in_child(|| u8::from(!install_program(&[step(RETURN, ALLOW)]))) == End::Exit(0);
    if !can {
        println!("skipped: no filter of system calls can be installed here");
    }
    can
}

/// Has a copy of this process, which is refused calls, do something, and fails if that does. `work` must not print, nor wait
/// for another thread of this process.
pub fn under(refused: &[String], work: impl FnOnce() -> Result<(), String>) {
    let (mut told, tell) = std::io::pipe().unwrap();
    let child = Child::start(|| {
        install(refused.iter().map(String::as_str));
        match work() {
            Ok(()) => 0,
            Err(said) => {
                let _ = rustix::io::write(&tell, said.as_bytes());
                1
            }
        }
    });
    drop(tell);
    let mut said = String::new();
    told.read_to_string(&mut said).unwrap();
    assert_eq!((child.end(), said.as_str()), (End::Exit(0), ""), "under {refused:?}");
}

/// A call that is refused with an error, as [`install`] takes it.
pub fn refusing(name: &str, error: u16) -> String {
    format!("{name}:{error}")
}
