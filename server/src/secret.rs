//! What must not be printed, compared or serialised.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// A text that only [`Secret::expose`] shows: no `Debug`, `Display`, `PartialEq` or `Serialize`, checked when the
/// tests are compiled. Wiped when dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes the text in. What it was copied from is wiped, even where `String` would have left spare room behind.
    pub fn new(text: impl Into<String>) -> Self {
        let mut text = text.into();
        let exact: Box<str> = text.as_str().into();
        text.zeroize();
        Self(SecretString::from(exact))
    }

    /// The text itself. Each call is a place to look at in a review.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What the database keeps of a secret that it only has to recognise: SHA-256. Fit for random secrets of 256
    /// bits (OWASP ASVS 5.0, 6.5.2 asks for 112), not for passwords.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Sha256::digest(self.expose().as_bytes()).into())
    }
}

/// SHA-256 of a random secret. Comparing it is safe: nobody can choose what it comes out as.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Fingerprint(pub [u8; 32]);

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails to compile when the type has one of the traits: then two implementations fit, and `_` has no answer.
    macro_rules! never {
        ($type:ty: $($name:ident = $trait:path),+ $(,)?) => {$(
            const _: fn() = || {
                trait Ambiguous<A> {
                    fn $name() {}
                }
                impl<T: ?Sized> Ambiguous<()> for T {}
                struct Has;
                impl<T: ?Sized + $trait> Ambiguous<Has> for T {}
                let _ = <$type as Ambiguous<_>>::$name;
            };
        )+};
    }

    never!(Secret:
        debug = std::fmt::Debug,
        display = std::fmt::Display,
        equal = PartialEq,
        ordered = PartialOrd,
        hash = std::hash::Hash,
        serialize = serde::Serialize,
        text = AsRef<str>,
        default = Default,
    );
    never!(crate::credential::Tokens: debug = std::fmt::Debug, equal = PartialEq, serialize = serde::Serialize);
    never!(crate::seal::RootKey: debug = std::fmt::Debug, clone = Clone, equal = PartialEq);
    never!(crate::seal::KeyRing: debug = std::fmt::Debug, clone = Clone);

    #[test]
    fn a_fingerprint_is_sha_256() {
        // FIPS 180-4, "abc".
        let expected = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
            0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
        ];
        assert_eq!(Secret::new("abc").fingerprint(), Fingerprint(expected));
    }

    #[test]
    fn spare_room_does_not_change_the_text() {
        let mut text = String::with_capacity(100);
        text.push_str("gho_canary");
        assert_eq!(Secret::new(text).expose(), "gho_canary");
    }
}
