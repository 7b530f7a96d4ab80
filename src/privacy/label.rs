//! Labels of studies.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest name of a project or tenant, in characters.
const NAME_CHARACTERS_MAX: usize = 64;

/// What makes a study another than most. A study has any number of them, for all of its instances, those to come included.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Label {
    /// Of a person whom many would like to look at. Whoever has no clearance does not see it.
    Vip,
    /// Of a matter that concerns few. Whoever has no clearance does not see it.
    Sensitive,
    /// Under 42 CFR Part 2. Whoever has no clearance does not see it.
    Part2,
    /// Of a research project: its members see it, and everybody else as before.
    Research(String),
    /// Of a house among several that share the archive: only its members see it. Of several tenants, members of each see it.
    Tenant(String),
}

/// A text that is no label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no label: labels are vip, sensitive, part2, research:NAME and tenant:NAME, names of letters, digits and -_."
)]
pub struct NoLabel(String);

impl FromStr for Label {
    type Err = NoLabel;

    fn from_str(text: &str) -> Result<Self, NoLabel> {
        let named = |name: &str| {
            let is_name = (1..=NAME_CHARACTERS_MAX).contains(&name.len())
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            is_name.then(|| name.to_owned())
        };
        let label = match text {
            "vip" => Some(Self::Vip),
            "sensitive" => Some(Self::Sensitive),
            "part2" => Some(Self::Part2),
            _ => match text.split_once(':') {
                Some(("research", name)) => named(name).map(Self::Research),
                Some(("tenant", name)) => named(name).map(Self::Tenant),
                _ => None,
            },
        };
        label.ok_or_else(|| NoLabel(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vip => f.write_str("vip"),
            Self::Sensitive => f.write_str("sensitive"),
            Self::Part2 => f.write_str("part2"),
            Self::Research(name) => write!(f, "research:{name}"),
            Self::Tenant(name) => write!(f, "tenant:{name}"),
        }
    }
}

impl TryFrom<String> for Label {
    type Error = NoLabel;

    fn try_from(text: String) -> Result<Self, NoLabel> {
        text.parse()
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.to_string()
    }
}

/// True when whoever has clearance for what `has` says is cleared for a study with these labels.
pub(crate) fn is_cleared<'a>(labels: impl IntoIterator<Item = &'a Label>, has: impl Fn(&Label) -> bool) -> bool {
    let mut is_of_tenant = false;
    let mut is_of_own = false;
    for label in labels {
        match label {
            Label::Vip | Label::Sensitive | Label::Part2 if !has(label) => return false,
            Label::Tenant(_) => {
                is_of_tenant = true;
                is_of_own |= has(label);
            }
            _ => {}
        }
    }
    !is_of_tenant || is_of_own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_they_are_written() {
        for text in ["vip", "sensitive", "part2", "research:lung-7", "tenant:north.2"] {
            assert_eq!(text.parse::<Label>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "VIP",
            "research:",
            "research:a b",
            "tenant:a/b",
            "colour:red",
            "research",
            "tenant:ä",
        ] {
            assert!(text.parse::<Label>().is_err(), "{text}");
        }
        assert!(format!("tenant:{}", "x".repeat(65)).parse::<Label>().is_err());
    }

    #[test]
    fn all_of_some_and_one_of_others_has_to_be_had() {
        let of = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Label>>();
        let check = |labels: &[&str], had: &[&str]| {
            let had = of(had);
            is_cleared(&of(labels), |label| had.contains(label))
        };
        assert!(check(&[], &[]) && check(&["research:x"], &[]));
        assert!(!check(&["vip"], &[]) && !check(&["vip", "part2"], &["vip"]) && check(&["vip"], &["vip"]));
        assert!(!check(&["tenant:a"], &["tenant:b"]) && check(&["tenant:a", "tenant:b"], &["tenant:b"]));
        assert!(!check(&["tenant:a", "vip"], &["tenant:a"]));
    }
}
