//! Figures as text.

/// A length with its binary unit: `64 B`, `4 KiB`, `1.5 MiB`; exact bytes where no unit fits.
pub fn size(bytes: usize) -> String {
    const UNITS: [(usize, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (unit_bytes, name) in UNITS {
        if bytes >= unit_bytes && bytes.is_multiple_of(unit_bytes) {
            return format!("{} {name}", bytes / unit_bytes);
        }
        if bytes >= unit_bytes && bytes.is_multiple_of(unit_bytes / 2) {
            return format!("{}.5 {name}", bytes / unit_bytes);
        }
    }
    format!("{bytes} B")
}

/// Gigabytes per second with three significant digits.
pub fn gb_per_s(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let pairs = [(0, "0 B"), (64, "64 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (1537, "1537 B")];
        for (bytes, text) in pairs {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(size(64 << 20), "64 MiB");
        assert_eq!(size((1 << 20) + 1), "1048577 B");
        assert_eq!(size(3 << 29), "1.5 GiB");
    }

    #[test]
    fn rates_keep_three_digits() {
        assert_eq!([gb_per_s(123.45), gb_per_s(12.345), gb_per_s(1.2345)], ["123", "12.3", "1.23"]);
    }
}
