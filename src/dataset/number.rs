//! Numbers as text.

use std::io::Write;

/// Appends an integer in decimal.
pub(crate) fn push_integer(out: &mut Vec<u8>, value: i128) {
    if value < 0 {
        out.push(b'-');
    }
    let mut digits = [0u8; 40];
    let mut used = 0;
    let mut rest = value.unsigned_abs();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// Appends a binary floating point number: the shortest text that reads back to it, as a JSON number; what is not finite as
/// a JSON string that the number readers of most languages understand. `narrow`: the value in single precision, if it came so.
pub(crate) fn push_float(out: &mut Vec<u8>, value: f64, narrow: Option<f32>) {
    if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    } else {
        push_finite(out, value, narrow);
    }
}

/// The same for text without quotes.
pub(crate) fn push_float_plain(out: &mut Vec<u8>, value: f64, narrow: Option<f32>) {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"INF" } else { b"-INF" });
    } else {
        push_finite(out, value, narrow);
    }
}

fn push_finite(out: &mut Vec<u8>, value: f64, narrow: Option<f32>) {
    let plain = value == 0.0 || (1e-5..1e16).contains(&value.abs());
    // Writing to a Vec cannot fail.
    let _ = match (narrow, plain) {
        (Some(narrow), true) => write!(out, "{narrow}"),
        (Some(narrow), false) => write!(out, "{narrow:e}"),
        (None, true) => write!(out, "{value}"),
        (None, false) => write!(out, "{value:e}"),
    };
}

/// Appends a decimal or integer string (DS, IS) as a JSON number with its digits as they stand; what JSON's grammar has not
/// (`+1`, `.5`, `007`) is written its way. False, and nothing appended, when the text is no number.
pub(crate) fn push_json_number(out: &mut Vec<u8>, text: &str) -> bool {
    let bytes = text.as_bytes();
    let (negative, unsigned) = match bytes.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, bytes),
    };
    let (whole, rest) = digits(unsigned);
    let (fraction, rest) = match rest.split_first() {
        Some((b'.', rest)) => digits(rest),
        _ => (&[][..], rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return false;
    }
    let exponent = match rest.split_first() {
        None => &[][..],
        Some((b'e' | b'E', exponent)) => {
            let unsigned = exponent
                .strip_prefix(b"+")
                .or_else(|| exponent.strip_prefix(b"-"))
                .unwrap_or(exponent);
            // Readers turn what double precision cannot hold into infinity.
            let (value, rest) = digits(unsigned);
            if value.is_empty() || value.len() > 2 || !rest.is_empty() {
                return false;
            }
            exponent
        }
        Some(_) => return false,
    };
    if whole.len() > 300 {
        return false;
    }
    let first = whole.iter().position(|digit| *digit != b'0').unwrap_or(whole.len());
    let whole = whole.get(first..).unwrap_or_default();
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
    if !exponent.is_empty() {
        out.push(b'e');
        out.extend_from_slice(exponent);
    }
    true
}

fn digits(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(bytes.len());
    bytes.split_at_checked(end).unwrap_or((bytes, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let mut out = Vec::new();
        let number = push_json_number(&mut out, text);
        assert_eq!(
            number.then(|| String::from_utf8(out).unwrap()).as_deref(),
            expected,
            "{text}"
        );
    }

    #[test]
    fn writes_decimal_strings_as_json_numbers() {
        check("1", Some("1"));
        check("-0.50", Some("-0.50"));
        check("+1.5E+05", Some("1.5e+05"));
        check(".5", Some("0.5"));
        check("5.", Some("5"));
        check("000", Some("0"));
        check("-007.10", Some("-7.10"));
        check("1e400", None);
        check("1.2.3", None);
        check("", None);
        check("-", None);
        check(".", None);
        check("1 2", None);
        check("NaN", None);
    }

    #[test]
    fn writes_binary_numbers_in_short() {
        let text = |value: f64| {
            let mut out = Vec::new();
            push_float(&mut out, value, None);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(0.1), "0.1");
        assert_eq!(text(1e300), "1e300");
        assert_eq!(text(-1.5e-9), "-1.5e-9");
        assert_eq!(text(3.0), "3");
        let mut out = Vec::new();
        push_integer(&mut out, i128::from(i64::MIN));
        assert_eq!(out, i64::MIN.to_string().as_bytes());
    }
}
