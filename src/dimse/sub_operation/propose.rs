//! Presentation contexts for what is to be sent.

use crate::association::{Proposal, ProposedContext};

/// Presentation contexts of one association (PS3.8 §9.3.2.2).
const CONTEXTS_MAX: usize = 128;

/// How the transfer syntaxes of a SOP class are proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contexts {
    /// Each in a context of its own while they fit, so that all can be agreed on.
    Apart,
    /// All in one context: the peer takes one of them.
    OneEach,
}

/// Contexts for SOP classes with the transfer syntaxes that instances have, and the fallbacks where they are not among them.
pub(super) fn propose<'a>(
    kinds: impl Iterator<Item = (&'a str, Vec<&'a str>)>,
    fallbacks: &[&'a str],
    contexts: Contexts,
) -> Proposal {
    let mut lists: Vec<(&str, Vec<&str>)> = kinds
        .map(|(class, mut syntaxes)| {
            for fallback in fallbacks.iter().copied() {
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
    let mut apart = vec![contexts == Contexts::Apart; lists.len()];
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
    let mut contexts = Vec::with_capacity(count.min(CONTEXTS_MAX));
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
    use crate::association::{EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN};

    #[test]
    fn stored_transfer_syntaxes_are_proposed_apart_while_they_fit() {
        let fallbacks = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN];
        let one = || [("1.2.3", vec!["1.2.840.10008.1.2.4.70"])].into_iter();
        let few = propose(one(), &fallbacks, Contexts::Apart);
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
            &fallbacks,
            Contexts::Apart,
        );
        let together = propose(one(), &fallbacks, Contexts::OneEach);
        assert_eq!(together.contexts[0].transfer_syntaxes.len(), 3);
        assert!(many.contexts.len() <= CONTEXTS_MAX);
        assert!((0..100).all(|number| {
            many.contexts
                .iter()
                .any(|context| context.abstract_syntax == format!("1.2.{number}"))
        }));
    }
}
