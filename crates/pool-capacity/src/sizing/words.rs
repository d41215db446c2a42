//! Numbers in text.

/// An amount with one decimal and a binary unit.
pub(crate) fn bytes(amount: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = amount as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{amount} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A number with its noun, in the plural unless the number is one.
pub(crate) fn count(number: u64, noun: &str) -> String {
    match (number, noun.ends_with('s')) {
        (1, _) => format!("1 {noun}"),
        (_, true) => format!("{number} {noun}es"),
        (_, false) => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_counts_are_readable() {
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1536), bytes(50 << 20)],
            ["0 B", "1023 B", "1.5 KiB", "50.0 MiB"]
        );
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
        assert_eq!(
            [count(1, "worker"), count(0, "worker"), count(2, "process")],
            ["1 worker", "0 workers", "2 processes"]
        );
    }
}
