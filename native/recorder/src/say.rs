//! The one line that the recorder writes: why a program is not recorded.

use rustix::fd::BorrowedFd;
use rustix::io::Errno;

/// Why there is no recording: what was tried on what, and what the system said.
#[derive(Clone, Copy)]
pub(crate) struct Refusal {
    pub(crate) what: &'static str,
    pub(crate) cause: Option<Errno>,
    pub(crate) fix: &'static str,
}

impl Refusal {
    pub(crate) const fn new(what: &'static str, fix: &'static str) -> Self {
        Self { what, cause: None, fix }
    }

    /// The same with what the system said.
    pub(crate) const fn because(self, cause: Errno) -> Self {
        Self { cause: Some(cause), ..self }
    }

    /// Writes the line, in one piece.
    pub(crate) fn say(self, to: BorrowedFd<'_>) {
        let mut line = Line { bytes: [0; 256], len: 0 };
        line.add("memcpy-select recorder: ");
        line.add(self.what);
        if let Some(cause) = self.cause {
            line.add(" (system error ");
            line.add_number(cause.raw_os_error().unsigned_abs());
            line.add(")");
        }
        line.add(": the program runs, and is not recorded; ");
        line.add(self.fix);
        line.add("\n");
        // Where it cannot be written, there is nothing else to tell.
        let _ = rustix::io::write(to, line.bytes.get(..line.len).unwrap_or_default());
    }
}

struct Line {
    bytes: [u8; 256],
    len: usize,
}

impl Line {
    fn add(&mut self, text: &str) {
        for (place, byte) in self.bytes.iter_mut().skip(self.len).zip(text.bytes()) {
            *place = byte;
            self.len += 1;
        }
    }

    fn add_number(&mut self, number: u32) {
        let mut digits = [0; 10];
        self.add(decimal(u64::from(number), &mut digits));
    }
}

/// A number in decimal digits, as many as fit.
pub(crate) fn decimal(mut number: u64, digits: &mut [u8]) -> &str {
    let mut start = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        start = at;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    core::str::from_utf8(digits.get(start..).unwrap_or_default()).unwrap_or_default()
}
