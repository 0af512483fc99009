//! Randomness for tokens, codes and sessions.

/// The 62 letters that tokens are made of, in the order of the checksum's digits.
pub const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Random bytes of the operating system.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that draws randomness")]
#[expect(clippy::expect_used, reason = "a machine without randomness can run nothing here")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    bytes
}

/// Random letters and digits.
pub fn alphanumeric(length: usize) -> String {
    letters(BASE62, length)
}

/// Random letters out of these, of which there are at most 256.
pub fn letters(alphabet: &[u8], length: usize) -> String {
    let mut text = String::with_capacity(length);
    if alphabet.is_empty() {
        return text;
    }
    // The largest multiple of the alphabet's length in a byte: every letter stays equally likely.
    let fair = 256 / alphabet.len() * alphabet.len();
    while text.len() < length {
        let drawn = bytes::<64>();
        let fitting = drawn.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
        let letters = fitting.filter_map(|byte| alphabet.get(byte % alphabet.len()));
        let room = length - text.len();
        text.extend(letters.map(|letter| char::from(*letter)).take(room));
    }
    text
}

/// Random lower-case hexadecimal digits: twice as many as bytes.
pub fn hex<const N: usize>() -> String {
    bytes::<N>().iter().map(|byte| format!("{byte:02x}")).collect()
}
