//! DICOM JSON (PS3.18 Annex F).

use super::{
    super::{
        DataSetError, attribute_by_name, dictionary,
        vr::{self, Shape},
    },
    MAX_DATA_SETS, ReadDataSet,
    assembly::Assembly,
    json_tokens::{Scalar, Tokens},
    values::Values,
};

/// Reads the data sets of a DICOM JSON document: an array of objects, or one object. The document must be whole; its length is
/// for the caller to bound. Attributes may be named by tag or keyword; where `vr` is missing the dictionary knows.
///
/// # Errors
/// [`DataSetError::Malformed`] saying what is wrong and where, [`DataSetError::Limit`].
pub fn read_json(document: &[u8]) -> Result<Vec<ReadDataSet>, DataSetError> {
    let mut tokens = Tokens::new(document);
    let mut read = Vec::new();
    if tokens.take(b'[') {
        if !tokens.take(b']') {
            loop {
                if read.len() >= MAX_DATA_SETS {
                    return Err(DataSetError::Limit("100 000 data sets in one document"));
                }
                read.push(read_data_set(&mut tokens)?);
                if !tokens.more(b']')? {
                    break;
                }
            }
        }
    } else {
        read.push(read_data_set(&mut tokens)?);
    }
    if tokens.at_end() {
        Ok(read)
    } else {
        Err(tokens.error("nothing more expected"))
    }
}

fn read_data_set(tokens: &mut Tokens<'_>) -> Result<ReadDataSet, DataSetError> {
    let mut assembly = Assembly::default();
    let mut depth = 0usize;
    tokens.expect(b'{')?;
    let mut closed = tokens.take(b'}');
    // Each turn reads one attribute, or closes the object that has no more.
    loop {
        if closed {
            if depth == 0 {
                return Ok(assembly.finish());
            }
            assembly.end_item();
            // Another item, or the end of the sequence's values and of what else its attribute says.
            if tokens.more(b']')? {
                closed = start_item(tokens, &mut assembly)?;
                continue;
            }
            assembly.end_sequence()?;
            depth -= 1;
            closed = end_attribute(tokens)?;
            continue;
        }
        let key = tokens.key()?;
        let (tag, by_dictionary) = attribute_by_name(&key).ok_or_else(|| {
            tokens.error(&format!(
                "{:?} names no attribute",
                key.chars().take(40).collect::<String>()
            ))
        })?;
        tokens.expect(b'{')?;
        let vr = match tokens.look_ahead("vr")? {
            None => by_dictionary,
            Some(text) => match text.as_bytes() {
                [a, b] if vr::is_known([*a, *b]) => [*a, *b],
                _ => return Err(tokens.error("no such VR")),
            },
        };
        match read_attribute(tokens, tag, vr, &mut assembly)? {
            Attribute::Closed => closed = !tokens.more(b'}')?,
            Attribute::Items => {
                depth += 1;
                closed = start_item(tokens, &mut assembly)?;
            }
        }
    }
}

enum Attribute {
    /// The attribute's object was read to its end.
    Closed,
    /// It is a sequence, and the first of its items comes next.
    Items,
}

/// Begins an item; true when it is empty. `null` is an empty item (PS3.18 §F.2.5).
fn start_item(tokens: &mut Tokens<'_>, assembly: &mut Assembly) -> Result<bool, DataSetError> {
    assembly.start_item()?;
    if tokens.peek() == b'n' {
        tokens.scalar()?;
        return Ok(true);
    }
    tokens.expect(b'{')?;
    Ok(tokens.take(b'}'))
}

/// After the values of a sequence: the rest of its attribute; true when the list of attributes ends with it.
fn end_attribute(tokens: &mut Tokens<'_>) -> Result<bool, DataSetError> {
    while tokens.more(b'}')? {
        tokens.key()?;
        tokens.skip()?;
    }
    Ok(!tokens.more(b'}')?)
}

fn read_attribute(
    tokens: &mut Tokens<'_>,
    tag: u32,
    vr: [u8; 2],
    assembly: &mut Assembly,
) -> Result<Attribute, DataSetError> {
    let mut values = Values::new(tag, vr);
    let mut uri = None;
    let mut more = !tokens.take(b'}');
    while more {
        match tokens.key()?.as_ref() {
            "Value" if tokens.peek() == b'n' => {
                tokens.scalar()?;
            }
            "Value" => {
                tokens.expect(b'[')?;
                let empty = tokens.take(b']');
                if vr::shape(vr) == Shape::Sequence && !empty {
                    assembly.start_sequence(tag)?;
                    return Ok(Attribute::Items);
                }
                if !empty {
                    read_values(tokens, vr, &mut values)?;
                }
            }
            "InlineBinary" => match tokens.scalar()? {
                Scalar::Text(text) => values.push_base64(&text)?,
                Scalar::Null => {}
                _ => return Err(tokens.error("InlineBinary is no string")),
            },
            "BulkDataURI" => match tokens.scalar()? {
                Scalar::Text(text) => uri = Some(text.into_owned()),
                _ => return Err(tokens.error("BulkDataURI is no string")),
            },
            _ => tokens.skip()?,
        }
        more = tokens.more(b'}')?;
    }
    if tag & 0xFFFF == 0 && dictionary::keyword(tag).is_none() {
        // Lengths of groups belong to an encoding.
        return Ok(Attribute::Closed);
    }
    match uri {
        Some(uri) => assembly.refer(tag, vr, uri),
        None => assembly.value(tag, vr, &values.finish()),
    }
    Ok(Attribute::Closed)
}

fn read_values(tokens: &mut Tokens<'_>, vr: [u8; 2], values: &mut Values) -> Result<(), DataSetError> {
    loop {
        if tokens.peek() == b'{' {
            let name = read_person_name(tokens)?;
            values.push(&name)?;
        } else {
            match tokens.scalar()? {
                Scalar::Text(text) if &vr == b"LT" || &vr == b"ST" || &vr == b"UT" || &vr == b"UR" => {
                    values.push(&text)?
                }
                // A backslash inside a value would split it.
                Scalar::Text(text) if text.contains('\\') => return Err(tokens.error("a backslash in a value")),
                Scalar::Text(text) => values.push(&text)?,
                Scalar::Number(text) if matches!(&vr, b"DS" | b"IS") => values.push(&decimal(text))?,
                Scalar::Number(text) => values.push(text)?,
                Scalar::Null => values.push("")?,
                Scalar::Boolean => return Err(tokens.error("true and false are no values")),
            }
        }
        if !tokens.more(b']')? {
            return Ok(());
        }
    }
}

/// A number as a decimal string, which has room for 16 characters (PS3.5 §6.2): rounded where it is longer.
fn decimal(text: &str) -> String {
    if text.len() <= 16 {
        return text.to_owned();
    }
    let Ok(number) = text.parse::<f64>() else {
        return text.to_owned();
    };
    let plain = number.to_string();
    if plain.len() <= 16 {
        return plain;
    }
    (0..=11)
        .rev()
        .map(|digits| format!("{number:.digits$e}"))
        .find(|short| short.len() <= 16)
        .unwrap_or(plain)
}

fn read_person_name(tokens: &mut Tokens<'_>) -> Result<String, DataSetError> {
    let mut groups = [const { String::new() }; 3];
    tokens.expect(b'{')?;
    let mut more = !tokens.take(b'}');
    while more {
        let place = match tokens.key()?.as_ref() {
            "Alphabetic" => 0,
            "Ideographic" => 1,
            "Phonetic" => 2,
            _ => return Err(tokens.error("no such group of a person name")),
        };
        match tokens.scalar()? {
            Scalar::Text(text) if text.contains(['\\', '=']) => {
                return Err(tokens.error("a delimiter in a person name"));
            }
            Scalar::Text(text) => {
                if let Some(group) = groups.get_mut(place) {
                    *group = text.into_owned();
                }
            }
            Scalar::Null => {}
            _ => return Err(tokens.error("a group of a person name is no string")),
        }
        more = tokens.more(b'}')?;
    }
    Ok(groups.join("=").trim_end_matches('=').to_owned())
}
