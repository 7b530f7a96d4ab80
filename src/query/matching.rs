//! One key against one attribute (PS3.4 §C.2.2.2): the kind of matching follows from the attribute's VR and the key's text.

use filmroom_storage::model::{Element, Tag};

use filmroom_dataset::fold;

use super::{
    QueryError, attribute,
    likeness::LikeTest,
    person_name::NameTest,
    temporal::{Kind, Span},
    wildcard::{Pattern, has_wildcard},
};

/// Longer keys of one value are refused; the longest value that can be matched has 10,240 characters (LT), which nobody types.
const VALUE_MAX_BYTES: usize = 1024;
/// Longer lists are refused.
const VALUES_MAX: usize = 10_000;

/// A key, read once and then tried on many values.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// The attribute is absent or of length zero (PS3.4 §C.2.2.2.7).
    Empty,
    /// UIDs and tags: one of these, sorted.
    OneOf(Vec<Box<str>>),
    /// Text.
    Text(Vec<TextTest>),
    /// Person names.
    Name(Vec<NameTest>),
    /// Person names by likeness.
    Like(Vec<LikeTest>),
    /// Numbers, whatever their encoding.
    Number(Vec<f64>),
    /// Dates and times.
    Temporal(Kind, Vec<Span>),
}

/// One value of a text key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TextTest {
    /// As it stands: identifiers, codes.
    Exact(Box<str>),
    /// Folded: descriptions.
    Folded(Box<str>),
    /// With wild cards, folded.
    Pattern(Pattern),
}

/// How names are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// As written.
    Literal,
    /// By likeness.
    Like,
}

/// Whether `""` asks for what is absent or empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EmptyValues {
    /// It does.
    Matched,
    /// It is a text like another.
    Literal,
}

/// How keys are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// Of names.
    pub(super) names: Names,
    /// Of `""`.
    pub(super) empty_values: EmptyValues,
}

impl Test {
    /// Reads a key; `None` is universal matching.
    ///
    /// # Errors
    /// [`QueryError::Value`].
    pub(super) fn new(path: &[Tag], text: &str, reading: Reading) -> Result<Option<Self>, QueryError> {
        let tag = path.last().copied().unwrap_or_default();
        let refuse = |reason: &str| QueryError::value(path, text, reason);
        let text = text.trim_end_matches(['\0', ' ']);
        if text.trim_start().is_empty() || text.bytes().all(|byte| byte == b'*') {
            return Ok(None);
        }
        if text == "\"\"" && reading.empty_values == EmptyValues::Matched {
            return Ok(Some(Self::Empty));
        }
        let vr = attribute::vr_of(tag);
        let values: Vec<&str> = match &vr {
            b"ST" | b"LT" | b"UT" | b"UR" => vec![text],
            _ => text.split('\\').collect(),
        };
        if values.len() > VALUES_MAX {
            return Err(refuse("the list is too long: ask in several requests"));
        }
        if values.iter().any(|value| value.len() > VALUE_MAX_BYTES) {
            return Err(refuse("a value is longer than any that could match"));
        }
        let given = || {
            values
                .iter()
                .map(|value| value.trim_matches([' ', '\0']))
                .filter(|value| !value.is_empty())
        };
        // A list with an open value among its values (`CT\*`) leaves nothing out.
        if given().any(|value| value.bytes().all(|byte| byte == b'*')) {
            return Ok(None);
        }
        let test = match &vr {
            b"UI" => Self::one_of(
                given()
                    .map(|value| uid(value).map_err(refuse))
                    .collect::<Result<_, _>>()?,
            ),
            b"AT" => Self::one_of(
                given()
                    .map(|value| tag_text(value).ok_or_else(|| refuse("write a tag as eight hexadecimal digits")))
                    .collect::<Result<_, _>>()?,
            ),
            b"PN" if reading.names == Names::Like => {
                let mut tests = Vec::new();
                for value in given() {
                    match LikeTest::new(value).map_err(refuse)? {
                        Some(test) => tests.push(test),
                        None => return Ok(None),
                    }
                }
                Self::Like(tests)
            }
            b"PN" => match given().map(NameTest::new).collect::<Option<Vec<_>>>() {
                Some(tests) => Self::Name(tests),
                None => return Ok(None),
            },
            b"DA" => Self::temporal(Kind::Date, given(), refuse)?,
            b"TM" => Self::temporal(Kind::Time, given(), refuse)?,
            b"DT" => Self::temporal(Kind::DateTime, given(), refuse)?,
            b"IS" | b"DS" | b"US" | b"SS" | b"UL" | b"SL" | b"UV" | b"SV" | b"FL" | b"FD" => {
                let numbers = given().map(|value| value.parse().ok().filter(|number: &f64| number.is_finite()));
                Self::Number(numbers.collect::<Option<_>>().ok_or_else(|| refuse("write a number"))?)
            }
            b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" => {
                return Err(refuse("a binary attribute cannot be matched"));
            }
            b"SQ" => {
                return Err(refuse(
                    "name an attribute inside the sequence, as in Sequence.Attribute",
                ));
            }
            _ => Self::Text(given().map(|value| TextTest::new(tag, vr, value)).collect()),
        };
        Ok((!test.is_void()).then_some(test))
    }

    fn one_of(mut values: Vec<Box<str>>) -> Self {
        values.sort_unstable();
        values.dedup();
        Self::OneOf(values)
    }

    fn temporal<'a>(
        kind: Kind,
        values: impl Iterator<Item = &'a str>,
        refuse: impl Fn(&str) -> QueryError,
    ) -> Result<Self, QueryError> {
        let spans = values
            .map(|value| kind.of_key(value).map_err(&refuse))
            .collect::<Result<_, _>>()?;
        Ok(Self::Temporal(kind, spans))
    }

    /// True when no value was left to compare with: `\`.
    fn is_void(&self) -> bool {
        match self {
            Self::Empty => false,
            Self::OneOf(values) => values.is_empty(),
            Self::Text(values) => values.is_empty(),
            Self::Name(values) => values.is_empty(),
            Self::Like(values) => values.is_empty(),
            Self::Number(values) => values.is_empty(),
            Self::Temporal(_, values) => values.is_empty(),
        }
    }

    /// Tries the key on an attribute.
    pub(super) fn accepts(&self, element: Option<Element<'_>>) -> bool {
        let Some(element) = element.filter(|element| !element.value.is_empty()) else {
            return *self == Self::Empty;
        };
        match self {
            Self::Number(wanted) => {
                numbers(element).any(|number| wanted.iter().any(|other| same_number(*other, number)))
            }
            Self::OneOf(wanted) if &element.vr == b"AT" => {
                tags(element.value).any(|tag| wanted.iter().any(|other| **other == *format!("{tag:08X}")))
            }
            _ => self.accepts_text(element.text()),
        }
    }

    /// Tries the key on the text of an attribute, its values joined with `\`.
    pub(super) fn accepts_text(&self, text: &str) -> bool {
        match self {
            Self::Empty => text.is_empty(),
            _ if text.is_empty() => false,
            Self::OneOf(wanted) => text.split('\\').any(|value| {
                wanted
                    .binary_search_by(|other| (**other).cmp(value.trim_matches([' ', '\0'])))
                    .is_ok()
            }),
            Self::Text(tests) => tests.iter().any(|test| test.accepts(text)),
            Self::Name(tests) => text
                .split('\\')
                .any(|value| tests.iter().any(|test| test.matches(value))),
            Self::Like(tests) => text
                .split('\\')
                .any(|value| tests.iter().any(|test| test.matches(value))),
            Self::Number(wanted) => text
                .split('\\')
                .filter_map(|value| value.trim().parse().ok())
                .any(|number| wanted.iter().any(|other| same_number(*other, number))),
            Self::Temporal(kind, spans) => text
                .split('\\')
                .filter_map(|value| kind.of_value(value))
                .any(|value| spans.iter().any(|span| span.meets(value))),
        }
    }

    /// Tries the key on a number that the archive counted.
    pub(super) fn accepts_count(&self, count: u64) -> bool {
        match self {
            Self::Number(wanted) => wanted.iter().any(|other| same_number(*other, count as f64)),
            _ => self.accepts_text(&count.to_string()),
        }
    }

    /// Tries a key for names on folded groups.
    pub(super) fn accepts_names(&self, groups: &[String]) -> bool {
        match self {
            Self::Empty => groups.is_empty(),
            Self::Name(tests) => tests.iter().any(|test| test.matches_folded(groups)),
            Self::Like(tests) => tests.iter().any(|test| test.matches_folded(groups)),
            _ => false,
        }
    }
}

impl TextTest {
    fn new(tag: Tag, vr: [u8; 2], value: &str) -> Self {
        if has_wildcard(value) {
            return Self::Pattern(Pattern::new(&fold(value)));
        }
        let identifies = matches!(&vr, b"AE" | b"CS" | b"AS" | b"UR") || is_identifier(tag);
        if identifies {
            Self::Exact(value.into())
        } else {
            Self::Folded(fold(value).into())
        }
    }

    fn accepts(&self, text: &str) -> bool {
        let mut values = text.split('\\').map(|value| value.trim_matches([' ', '\0']));
        match self {
            Self::Exact(wanted) => values.any(|value| value == &**wanted) || text == &**wanted,
            Self::Folded(wanted) => values.any(|value| same_folded(wanted, value)) || same_folded(wanted, text),
            Self::Pattern(pattern) => values.any(|value| {
                if value.is_ascii() {
                    pattern.matches(value.chars().map(|letter| letter.to_ascii_lowercase()))
                } else {
                    pattern.matches(fold(value).chars())
                }
            }),
        }
    }
}

fn same_folded(folded: &str, text: &str) -> bool {
    if text.is_ascii() {
        folded.eq_ignore_ascii_case(text)
    } else {
        folded == fold(text)
    }
}

/// Numbers that people read off a request are compared letter by letter: `a1` and `A1` may be two patients.
fn is_identifier(tag: Tag) -> bool {
    matches!(
        tag,
        0x0010_0020 | 0x0010_0021 | 0x0008_0050 | 0x0020_0010 | 0x0038_0010 | 0x0040_1001 | 0x0040_0009
    )
}

fn same_number(one: f64, two: f64) -> bool {
    (one - two).abs() <= f64::EPSILON * one.abs().max(two.abs())
}

/// A UID of a key as it is compared.
fn uid(value: &str) -> Result<Box<str>, &'static str> {
    if has_wildcard(value) {
        return Err("a UID cannot be matched by wild cards: give whole UIDs");
    }
    filmroom_storage::model::check_uid(value)
        .map(Into::into)
        .map_err(|_| "a UID holds up to 64 digits and single dots")
}

fn tag_text(value: &str) -> Option<Box<str>> {
    let plain: String = value
        .chars()
        .filter(|letter| !matches!(letter, '(' | ')' | ','))
        .collect();
    (plain.len() == 8 && plain.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| plain.to_ascii_uppercase().into())
}

fn tags(value: &[u8]) -> impl Iterator<Item = Tag> {
    value.as_chunks::<4>().0.iter().map(|[g0, g1, e0, e1]| {
        Tag::from(u16::from_le_bytes([*g0, *g1])) << 16 | Tag::from(u16::from_le_bytes([*e0, *e1]))
    })
}

/// The values of a numeric attribute.
fn numbers(element: Element<'_>) -> Box<dyn Iterator<Item = f64> + '_> {
    macro_rules! words {
        ($number:ty, $size:literal) => {
            Box::new(
                element
                    .value
                    .as_chunks::<$size>()
                    .0
                    .iter()
                    .map(|bytes| <$number>::from_le_bytes(*bytes) as f64),
            )
        };
    }
    match &element.vr {
        b"US" => words!(u16, 2),
        b"SS" => words!(i16, 2),
        b"UL" => words!(u32, 4),
        b"SL" => words!(i32, 4),
        b"UV" => words!(u64, 8),
        b"SV" => words!(i64, 8),
        b"FL" => words!(f32, 4),
        b"FD" => words!(f64, 8),
        _ => Box::new(element.text().split('\\').filter_map(|value| value.trim().parse().ok())),
    }
}
