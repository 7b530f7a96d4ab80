//! What holds of every study, policy, hold and day.

use proptest::{collection::vec, option, prelude::*};

use super::*;

fn date() -> impl Strategy<Value = Date> {
    (-20_000i64..20_000).prop_map(|days| day("2000-01-01") + time::Duration::days(days))
}

fn partial() -> impl Strategy<Value = PartialDate> {
    (date(), 0..3).prop_map(|(date, precision)| match precision {
        0 => PartialDate::Year(date.year()),
        1 => PartialDate::Month(date.year(), date.month()),
        _ => PartialDate::Day(date),
    })
}

fn modality() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["MG", "CT", "RTPLAN"]).prop_map(str::to_owned)
}

prop_compose! {
    fn a_flag()(name in prop::sample::select(vec!["oncology", "cjd", "x-own"]), date in option::of(partial()), known_on in date()) -> Flag {
        Flag { name: name.to_owned(), date, known_on }
    }
}

prop_compose! {
    fn facts()(
        study_date in option::of(partial()), received in date(), modalities in vec(modality(), 0..3),
        birth in option::of(partial()), death in option::of(partial()), last in option::of(partial()),
        stays in vec((partial(), option::of(partial())), 0..3), flags in vec(a_flag(), 0..3),
        others in vec((option::of(partial()), modality()), 0..4), imported in any::<bool>(),
        completed in option::of(partial()),
    ) -> StudyFacts {
        let mut facts = study("2000-01-01", "CT");
        facts.study_date = study_date;
        facts.received = received;
        facts.last_received = received;
        facts.modalities = modalities;
        facts.completed = completed;
        facts.source = if imported { Source::Imported } else { Source::Own };
        let studies = others.into_iter().enumerate().map(|(number, (date, modality))| OtherStudy {
            study_instance_uid: format!("1.9.{number}"), date, modalities: vec![modality], site: "S1".into(), source: Source::Own,
        }).collect();
        *patient(&mut facts) = PatientFacts {
            birth, death: death.map(Death::On), last_encounter: last,
            encounters: stays.into_iter().map(|(start, end)| Encounter { start, end }).collect(),
            flags, studies, ..PatientFacts::default()
        };
        facts
    }
}

fn condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        modality().prop_map(|modality| Condition {
            modality: vec![modality],
            ..Condition::default()
        }),
        (0u16..40).prop_map(|lt| Condition {
            age_at_study: Some(AgeRange {
                gte: None,
                lt: Some(lt)
            }),
            ..Condition::default()
        }),
        (0u16..40).prop_map(|gte| Condition {
            age_last_seen: Some(AgeRange {
                gte: Some(gte),
                lt: None
            }),
            ..Condition::default()
        }),
        (0u32..20).prop_map(|years| Condition {
            death_within: Some(DeathWithin {
                of: Anchor::PatientLastEncounter,
                period: Period::years(years)
            }),
            ..Condition::default()
        }),
        (0u32..20).prop_map(|years| Condition {
            later_study: Some(LaterStudy {
                modality: vec!["MG".into()],
                within: Some(Period::years(years))
            }),
            ..Condition::default()
        }),
        Just(Condition {
            flag: vec!["oncology".into()],
            ..Condition::default()
        }),
        any::<bool>().prop_map(|deceased| Condition {
            deceased: Some(deceased),
            ..Condition::default()
        }),
        Just(Condition::default()),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..3).prop_map(|any| Condition {
                any,
                ..Condition::default()
            }),
            inner.prop_map(|not| Condition {
                not: Some(Box::new(not)),
                ..Condition::default()
            }),
        ]
    })
}

fn anchor() -> impl Strategy<Value = Anchor> {
    prop::sample::select(vec![
        Anchor::StudyDate,
        Anchor::StudyCompleted,
        Anchor::EncounterEnd,
        Anchor::PatientBirth,
        Anchor::PatientDeath,
        Anchor::PatientLastEncounter,
        Anchor::Received,
    ])
}

prop_compose! {
    fn a_policy()(
        made in vec((condition(), vec((anchor(), 0u32..40, any::<bool>()), 1..3), any::<bool>(), 0..8usize, 0..10usize), 1..7)
    ) -> Policies {
        let rule = made.into_iter().enumerate().map(|(number, (when, keep, earliest, superseded, class))| Rule {
            id: format!("r{number}"),
            class: if class == 0 { Class::Bar } else if class == 1 { Class::Max } else { Class::Min },
            title: String::new(), when,
            keep: keep.into_iter().map(|(from, years, optional)| Keep { from, period: Period::years(years), optional }).collect(),
            combine: if earliest { Combine::Earliest } else { Combine::Latest },
            supersedes: if superseded < number { vec![format!("r{superseded}")] } else { vec![] },
            effective_from: None, effective_until: None, cite: String::new(),
        }).collect();
        let pack = Pack { pack: "p".into(), version: "1".into(), title: String::new(), template: false, effective_from: day("1900-01-01"), effective_until: None, approval: None, rule };
        Policies { packs: vec![Arc::new(pack)], bindings: vec![Binding { pack: "p".into(), site: None, source: None, programme: None }] }
    }
}

prop_compose! {
    fn a_hold()(effect in 0..3, opened in date(), closed in option::of(date()), years in 0u32..30, id in 0..4) -> Hold {
        let effect = [HoldEffect::Block, HoldEffect::Toll, HoldEffect::Capped][usize::try_from(effect).unwrap()];
        let cap = (effect == HoldEffect::Capped).then_some(Cap { from: Anchor::StudyDate, period: Period::years(years) });
        Hold { id: format!("h{id}"), matter: "m".into(), kind: HoldKind::Legal, effect, opened, closed, cap }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 2000 } else { 50_000 }))]

    #[test]
    fn never_earlier_than_the_longest_minimum(facts in facts(), policies in a_policy(), holds in vec(a_hold(), 0..4), as_of in date()) {
        let holds: Vec<&Hold> = holds.iter().collect();
        let decision = decide(&facts, &policies, &holds, as_of);
        let longest = decision.considered.iter().filter_map(|found| found.until).max();
        if let Some(until) = decision.retain_until {
            prop_assert_eq!(Some(until), longest);
        }
        if decision.is_eligible() {
            prop_assert!(longest.is_some_and(|longest| longest < as_of));
            prop_assert!(decision.eligible_from.is_some_and(|from| from <= as_of));
        }
        // Holds only ever keep longer.
        let free = decide(&facts, &policies, &[], as_of);
        if let (Some(until), Some(free)) = (decision.retain_until, free.retain_until) {
            prop_assert!(until >= free);
        }
        prop_assert!(!decision.is_eligible() || free.is_eligible());
    }

    #[test]
    fn what_is_held_or_barred_is_not_eligible(facts in facts(), policies in a_policy(), mut holds in vec(a_hold(), 1..4), as_of in date()) {
        holds[0].opened = holds[0].opened.min(as_of);
        holds[0].closed = None;
        holds[0].effect = HoldEffect::Block;
        let holds: Vec<&Hold> = holds.iter().collect();
        let decision = decide(&facts, &policies, &holds, as_of);
        prop_assert!(!decision.is_eligible() && decision.eligible_from.is_none());
        prop_assert!(!decision.holds.is_empty());
    }

    #[test]
    fn the_same_for_the_same(facts in facts(), policies in a_policy(), holds in vec(a_hold(), 0..3), as_of in date()) {
        let holds: Vec<&Hold> = holds.iter().collect();
        let decision = decide(&facts, &policies, &holds, as_of);
        prop_assert_eq!(&decision, &decide(&facts.clone(), &policies.clone(), &holds, as_of));
        let json = serde_json::to_value(&decision).unwrap();
        prop_assert_eq!(serde_json::from_value::<Decision>(json).unwrap(), decision);
    }

    #[test]
    fn what_may_go_may_go_later_too(facts in facts(), policies in a_policy(), as_of in date(), days in 0i64..5000) {
        // Where nobody is still in the house, time alone takes nothing back.
        let mut facts = facts;
        let known = patient(&mut facts);
        known.encounters.retain(|encounter| encounter.end.is_some());
        known.studies.retain(|study| study.date.is_some());
        if decide(&facts, &policies, &[], as_of).is_eligible() {
            prop_assert!(decide(&facts, &policies, &[], as_of + time::Duration::days(days)).is_eligible());
        }
    }

    #[test]
    fn knowing_less_never_lets_go_earlier(facts in facts(), as_of in date(), coarse in any::<bool>()) {
        let policies = templates(&["us-fed", "us-ca", "fr", "de"]);
        let exact = decide(&facts, &policies, &[], as_of);
        let mut less = facts.clone();
        let blur = |date: PartialDate| if coarse { PartialDate::Year(date.earliest().year()) } else { PartialDate::Month(date.earliest().year(), date.earliest().month()) };
        if matches!(less.patient.birth, Some(PartialDate::Day(_))) {
            let birth = less.patient.birth.map(blur);
            patient(&mut less).birth = birth;
        }
        let blurred = decide(&less, &policies, &[], as_of);
        if let (Some(until), Some(exact)) = (blurred.retain_until, exact.retain_until) {
            prop_assert!(until >= exact, "{:?} {:?}", until, exact);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}", lines in vec("(pack|version|rule|when|keep|any|not|flag)( = )?(\\[|\\{|\"[a-z]{0,5}\"|\\}|\\]|2026-01-01){0,4}", 0..12)) {
        let _ = read_toml(&text);
        let _ = read_toml(&lines.join("\n"));
    }
}
