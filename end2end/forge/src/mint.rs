//! What secrets are made of: checksums and numbers written with few letters.

/// The 36 letters of numbers that tell no case.
pub const BASE36: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// CRC-32 as ZIP has it.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
            },
        )
    })
}

/// A number written with these letters, in at least so many of them.
pub fn digits(mut number: u64, letters: &[u8], width: usize) -> String {
    let base = letters.len() as u64;
    let mut digits = Vec::new();
    while number > 0 || digits.len() < width {
        digits.push(letters.get((number % base) as usize).copied().map_or('?', char::from));
        number /= base;
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::{crc32, digits};

    #[test]
    fn the_checksum_is_the_common_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn a_number_is_filled_up_with_zeros() {
        assert_eq!(digits(0xB1, b"0123456789abcdef", 4), "00b1");
        assert_eq!(digits(8, b"01", 2), "1000");
    }
}
