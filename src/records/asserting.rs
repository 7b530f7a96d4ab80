//! Asserting facts.

use std::collections::HashSet;

use super::{Actor, Fact, NewFact, Problem, Records, RecordsError, Subject, actor, event::Event, fact::Row};

/// Most facts that are taken at once.
const FACTS_MAX: usize = 10_000;

impl Records {
    /// Asserts facts, all or none. Later ones of the same source about the same take the place of earlier ones; others are
    /// superseded by name. Batches are looked at again. Returns them with their ids.
    ///
    /// # Errors
    /// [`RecordsError::Invalid`] naming each that is wrong, by its place from 1.
    pub async fn assert_facts(
        &self,
        by: &Actor,
        facts: Vec<NewFact>,
        only_try: bool,
    ) -> Result<Vec<Fact>, RecordsError> {
        by.needs(actor::ASSERT, "assert facts")?;
        self.check_facts(&facts, |place| format!("fact {place}"))?;
        if only_try {
            return Ok(Vec::new());
        }
        let about: Vec<Subject> = facts.iter().filter_map(NewFact::subject).collect();
        let _deciding = self.turn().await;
        let number = self
            .decide(Event::Facts {
                by: by.clone(),
                facts,
                message: None,
            })
            .await?;
        let asserted = self.book().facts_of_decision(number);
        self.refresh_batches_about(&about).await?;
        Ok(asserted)
    }

    /// The same from a table of comma-separated values (RFC 4180) with the columns `patient`, `issuer`, `study`, `fact`, `value`,
    /// `date`, `source`, `visit`, `supersedes` (ids with spaces between) and `note`, as far as they are there.
    ///
    /// # Errors
    /// [`RecordsError::Invalid`] naming each line that is wrong; then none is taken.
    pub async fn import_facts(&self, by: &Actor, table: &str, only_try: bool) -> Result<Vec<Fact>, RecordsError> {
        by.needs(actor::ASSERT, "assert facts")?;
        let (facts, lines) = super::comma_separated::facts(table)?;
        self.check_facts(&facts, |place| {
            format!("line {}", lines.get(place - 1).copied().unwrap_or_default())
        })?;
        self.assert_facts(by, facts, only_try).await
    }

    pub(crate) fn check_facts(&self, facts: &[NewFact], at: impl Fn(usize) -> String) -> Result<(), RecordsError> {
        if facts.is_empty() || facts.len() > FACTS_MAX {
            let what = format!("there are {} facts; 1 to {FACTS_MAX} are taken at once", facts.len());
            return Err(RecordsError::invalid("", what));
        }
        let mut problems = Vec::new();
        let book = self.book();
        let mut seen = HashSet::new();
        for (place, fact) in facts.iter().enumerate() {
            let place = at(place + 1);
            for what in fact.problems() {
                problems.push(Problem {
                    at: place.clone(),
                    what,
                });
            }
            for id in &fact.supersedes {
                let is_of_subject = book
                    .fact(id)
                    .is_some_and(|row| row.said.subject() == fact.subject() && row.said.fact == fact.fact);
                if !is_of_subject {
                    problems.push(Problem {
                        at: place.clone(),
                        what: format!("it supersedes {id}, which is no {} of the same", fact.fact.word()),
                    });
                }
            }
            if !seen.insert(serde_json::to_string(fact).unwrap_or_default()) {
                problems.push(Problem {
                    at: place,
                    what: "it is there twice".to_owned(),
                });
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        problems.truncate(200);
        Err(RecordsError::Invalid(problems))
    }

    /// All that was said of a patient or a study, oldest first.
    #[must_use]
    pub fn facts_about(&self, subject: &Subject) -> Vec<Fact> {
        self.book().rows_of(subject).map(Row::shown).collect()
    }

    /// Facts behind one of an id, oldest first.
    #[must_use]
    pub fn facts(&self, after: Option<&str>, limit: usize) -> Vec<Fact> {
        self.book().facts_after(after, limit)
    }
}
