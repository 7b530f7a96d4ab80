//! Presentation contexts for what is to be sent.

use crate::dimse::association::{EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, Proposal, ProposedContext};

/// Presentation contexts of one association (PS3.8 §9.3.2.2).
const CONTEXTS_MAX: usize = 128;

/// Contexts for SOP classes with the transfer syntaxes that instances have.
pub(in crate::dimse) fn propose<'a>(kinds: impl Iterator<Item = (&'a str, Vec<&'a str>)>) -> Proposal {
    let mut lists: Vec<(&str, Vec<&str>)> = kinds
        .map(|(class, mut syntaxes)| {
            for fallback in [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN] {
                if !syntaxes.contains(&fallback) {
                    syntaxes.push(fallback);
                }
            }
            (class, syntaxes)
        })
        .collect();
    lists.truncate(CONTEXTS_MAX);
    let context = |class: &str, syntaxes: &[&str]| ProposedContext {
        abstract_syntax: class.to_owned(),
        transfer_syntaxes: syntaxes.iter().map(|uid| (*uid).to_owned()).collect(),
    };
    // Where there are too many for one each, those of one class share a context, the largest lists first.
    let mut apart = vec![true; lists.len()];
    let mut count: usize = lists.iter().map(|(_, syntaxes)| syntaxes.len()).sum();
    while count > CONTEXTS_MAX {
        let largest = lists
            .iter()
            .zip(&mut apart)
            .filter(|(_, apart)| **apart)
            .max_by_key(|((_, list), _)| list.len());
        let Some(((_, list), apart)) = largest else { break };
        *apart = false;
        count -= list.len() - 1;
    }
    let mut contexts = Vec::with_capacity(count);
    for ((class, syntaxes), apart) in lists.iter().zip(apart) {
        if apart {
            contexts.extend(syntaxes.iter().map(|uid| context(class, &[uid])));
        } else {
            contexts.push(context(class, syntaxes));
        }
    }
    Proposal {
        contexts,
        ..Proposal::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_transfer_syntaxes_are_proposed_apart_while_they_fit() {
        let few = propose([("1.2.3", vec!["1.2.840.10008.1.2.4.70"])].into_iter());
        let lists: Vec<_> = few
            .contexts
            .iter()
            .map(|context| context.transfer_syntaxes.join(","))
            .collect();
        assert_eq!(
            lists,
            [
                "1.2.840.10008.1.2.4.70",
                EXPLICIT_VR_LITTLE_ENDIAN,
                IMPLICIT_VR_LITTLE_ENDIAN
            ]
        );
        let many: Vec<String> = (0..100).map(|number| format!("1.2.{number}")).collect();
        let many = propose(
            many.iter()
                .map(|class| (class.as_str(), vec!["1.2.840.10008.1.2.4.70"])),
        );
        assert!(many.contexts.len() <= CONTEXTS_MAX);
        assert!((0..100).all(|number| {
            many.contexts
                .iter()
                .any(|context| context.abstract_syntax == format!("1.2.{number}"))
        }));
    }
}
