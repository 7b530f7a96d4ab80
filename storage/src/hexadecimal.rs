//! Bytes as hexadecimal digits, and back.

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for half in [byte >> 4, byte & 0x0F] {
            text.push(char::from_digit(half.into(), 16).unwrap_or('0'));
        }
    }
    text
}

/// Bytes of hexadecimal digits, however many; `None` for anything else.
pub(crate) fn bytes_from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok())
        .collect()
}

/// So many bytes of hexadecimal digits.
pub(crate) fn from_hexadecimal<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    bytes_from_hexadecimal(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_nothing_else_are_read() {
        assert_eq!(hexadecimal(&[0, 0xAB, 0xFF]), "00abff");
        assert_eq!(bytes_from_hexadecimal("00aBff"), Some(vec![0, 0xAB, 0xFF]));
        for text in ["0", "+f", "0g", " 1", "é", "-1"] {
            assert_eq!(bytes_from_hexadecimal(text), None, "{text}");
        }
        assert_eq!(from_hexadecimal::<2>("abcd"), Some([0xAB, 0xCD]));
        assert_eq!(from_hexadecimal::<2>("abcdef"), None);
    }
}
