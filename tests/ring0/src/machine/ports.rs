//! Ports: the first serial line for output, QEMU's debug exit for the end.

use core::arch::asm;
use core::fmt;

/// COM1, a 16550 (National Semiconductor, PC16550D).
const COM1: u16 = 0x3f8;
/// QEMU's `isa-debug-exit,iobase=0xf4,iosize=4`: the process ends with twice the value, plus 1.
const DEBUG_EXIT: u16 = 0xf4;

pub fn write_byte(port: u16, value: u8) {
    // SAFETY: all ports of this kernel are its own; no memory is touched.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) }
}

pub fn read_byte(port: u16) -> u8 {
    let value: u8;
    // SAFETY: as above.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags)) }
    value
}

/// 115,200 baud, 8 bits, no parity, one stop bit, FIFOs on.
pub fn start_serial() {
    for (register, value) in [(1, 0), (3, 0x80), (0, 1), (1, 0), (3, 3), (2, 0xc7), (4, 3)] {
        write_byte(COM1 + register, value);
    }
}

pub struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                send(b'\r');
            }
            send(byte);
        }
        Ok(())
    }
}

fn send(byte: u8) {
    // Where there is no such line, it never becomes ready.
    let mut patience = 100_000;
    while read_byte(COM1 + 5) & 0x20 == 0 && patience > 0 {
        patience -= 1;
    }
    write_byte(COM1, byte);
}

#[macro_export]
macro_rules! say {
    ($($part:tt)*) => {{
        use core::fmt::Write;
        let _ = writeln!($crate::machine::ports::Serial, $($part)*);
    }};
}

/// How it ended: QEMU ends with 33 for [`Passed`](Self::Passed) and 35 for [`Failed`](Self::Failed).
#[derive(Clone, Copy)]
pub enum End {
    Passed = 0x10,
    Failed = 0x11,
}

/// Ends QEMU; on a real machine, halts.
pub fn end(how: End) -> ! {
    // SAFETY: as `write_byte`. Where QEMU's device is not, nothing listens there.
    unsafe { asm!("out dx, eax", in("dx") DEBUG_EXIT, in("eax") how as u32, options(nomem, nostack, preserves_flags)) }
    say!("ring0: halted");
    loop {
        // SAFETY: interrupts are off for good.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) }
    }
}
