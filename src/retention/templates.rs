//! Packs that ship with the archive: a beginning for counsel, in force nowhere until somebody adopts them.

/// Name and text of each.
pub const TEMPLATES: [(&str, &str); 15] = [
    ("us-fed", include_str!("../../deploy/policies/us-fed.toml")),
    ("us-ca", include_str!("../../deploy/policies/us-ca.toml")),
    ("us-nc", include_str!("../../deploy/policies/us-nc.toml")),
    ("us-ny", include_str!("../../deploy/policies/us-ny.toml")),
    ("us-ak", include_str!("../../deploy/policies/us-ak.toml")),
    ("us-il", include_str!("../../deploy/policies/us-il.toml")),
    ("us-ma", include_str!("../../deploy/policies/us-ma.toml")),
    ("us-ahima", include_str!("../../deploy/policies/us-ahima.toml")),
    ("uk-nhs", include_str!("../../deploy/policies/uk-nhs.toml")),
    ("de", include_str!("../../deploy/policies/de.toml")),
    ("fr", include_str!("../../deploy/policies/fr.toml")),
    ("jp", include_str!("../../deploy/policies/jp.toml")),
    ("ca", include_str!("../../deploy/policies/ca.toml")),
    ("au", include_str!("../../deploy/policies/au.toml")),
    ("eu", include_str!("../../deploy/policies/eu.toml")),
];

/// The text of one.
#[must_use]
pub fn template(name: &str) -> Option<&'static str> {
    TEMPLATES
        .iter()
        .find(|(found, _)| *found == name)
        .map(|(_, text)| *text)
}
