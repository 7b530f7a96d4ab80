//! `/`: the studies of the archive, newest first.

use axum::{
    extract::{Query as UrlQuery, State},
    response::Html,
};
use filmroom_storage::model::Attributes;
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    ask::{Question, tag},
    emergency::Open,
    layout::{Depth, page as layout},
    problem::Problem,
    words,
};
use filmroom_admission::Seen;
use filmroom_query::{Answers, Level, QueryRoom};

/// Studies on one page.
const PER_PAGE: u64 = 50;

/// What was searched for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Search {
    name: String,
    id: String,
    accession: String,
    from: String,
    to: String,
    modality: String,
    page: String,
}

impl Search {
    fn page(&self) -> u64 {
        self.page.parse().unwrap_or(1).clamp(1, 1_000_000)
    }

    fn is_empty(&self) -> bool {
        [
            &self.name,
            &self.id,
            &self.accession,
            &self.from,
            &self.to,
            &self.modality,
        ]
        .iter()
        .all(|text| text.trim().is_empty())
    }

    /// Any part of a name is meant, unless wildcards say otherwise.
    fn name_key(&self) -> String {
        let name = self.name.trim().replace([',', '\\'], " ");
        let name = name.split_whitespace().collect::<Vec<_>>().join("*");
        if name.is_empty() || name.contains('?') {
            name
        } else {
            format!("*{name}*")
        }
    }

    fn date_key(&self) -> String {
        let plain = |date: &str| date.trim().replace('-', "");
        match (plain(&self.from), plain(&self.to)) {
            (from, to) if from.is_empty() && to.is_empty() => String::new(),
            (from, to) => format!("{from}-{to}"),
        }
    }

    /// The address of another page of the same search.
    fn link(&self, page: u64) -> String {
        let fields = [
            ("name", &self.name),
            ("id", &self.id),
            ("accession", &self.accession),
            ("from", &self.from),
            ("to", &self.to),
            ("modality", &self.modality),
        ];
        let mut link = format!("?page={page}");
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            let value = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
            link.push_str(&format!("&{name}={value}"));
        }
        link
    }
}

/// Answers `/`.
pub async fn page(
    State(room): State<QueryRoom>,
    Seen(sight): Seen,
    open: Open,
    UrlQuery(search): UrlQuery<Search>,
) -> Result<Html<String>, Problem> {
    let include = [
        tag::STUDY_DATE,
        tag::STUDY_TIME,
        tag::ACCESSION_NUMBER,
        tag::MODALITIES_IN_STUDY,
        tag::STUDY_DESCRIPTION,
        tag::PATIENT_NAME,
        tag::PATIENT_ID,
        tag::PATIENT_BIRTH_DATE,
        tag::PATIENT_SEX,
        tag::STUDY_INSTANCE_UID,
        tag::NUMBER_OF_STUDY_RELATED_SERIES,
        tag::NUMBER_OF_STUDY_RELATED_INSTANCES,
    ];
    let answers = Question::new(&sight, Level::Study, &include, PER_PAGE)
        .key(tag::PATIENT_NAME, &search.name_key())
        .key(tag::PATIENT_ID, search.id.trim())
        .key(tag::ACCESSION_NUMBER, search.accession.trim())
        .key(tag::STUDY_DATE, &search.date_key())
        .key(tag::MODALITIES_IN_STUDY, &search.modality.trim().to_ascii_uppercase())
        .offset((search.page() - 1) * PER_PAGE)
        .ask(&room)
        .await?;
    Ok(layout(
        "Studies",
        Depth::Top,
        &html! {
            (open.banner(Depth::Top))
            h1.unseen { "Studies" }
            (form(&search))
            (table(&answers, &search))
            (pager(&answers, &search))
            @if open.may_take {
                p.quiet { a href="emergency" { "Emergency access" } " to what is protected" }
            }
        },
    ))
}

fn form(search: &Search) -> Markup {
    html! {
        form.search role="search" action="." method="get" {
            label { "Patient name" input type="search" name="name" value=(search.name) autocomplete="off" autofocus; }
            label { "Patient ID" input type="search" name="id" value=(search.id) autocomplete="off"; }
            label { "Accession" input type="search" name="accession" value=(search.accession) autocomplete="off"; }
            label { "From" input type="date" name="from" value=(search.from); }
            label { "To" input type="date" name="to" value=(search.to); }
            label.short { "Modality" input name="modality" value=(search.modality) size="4" autocomplete="off"; }
            button { "Search" }
            @if !search.is_empty() { a.clear href="." { "Clear" } }
        }
    }
}

fn table(answers: &Answers, search: &Search) -> Markup {
    if answers.answers.is_empty() {
        return html! {
            div.notice role="status" {
                @if search.is_empty() && search.page() == 1 {
                    h2 { "No studies yet" }
                    p { "Send some by DICOM or STOW-RS, or run " code { "filmroom import FOLDER" } "." }
                } @else {
                    h2 { "No study matches" }
                    p { "Names match in any part; " code { "*" } " and " code { "?" } " stand for any letters. " a href="." { "All studies" } }
                }
            }
        };
    }
    html! {
        table.studies {
            caption.unseen { "Studies, newest first" }
            thead {
                tr {
                    th scope="col" { span.unseen { "Preview" } }
                    th scope="col" { "Patient" }
                    th scope="col" { "Date" }
                    th scope="col" { "Modality" }
                    th scope="col" { "Description" }
                    th.number scope="col" { "Series" }
                    th.number scope="col" { "Instances" }
                }
            }
            tbody { @for answer in &answers.answers { (row(&answer.attributes)) } }
        }
    }
}

fn row(study: &Attributes) -> Markup {
    let uid = study.text(tag::STUDY_INSTANCE_UID);
    let name = words::person_name(study.text(tag::PATIENT_NAME));
    let description = study.text(tag::STUDY_DESCRIPTION);
    let accession = study.text(tag::ACCESSION_NUMBER);
    html! {
        tr {
            td.preview {
                a href={ "studies/" (uid) } tabindex="-1" aria-hidden="true" {
                    img src={ "dicom-web/studies/" (uid) "/thumbnail?viewport=128,128" } alt="" width="64" height="64" loading="lazy";
                }
            }
            th.patient scope="row" {
                a href={ "studies/" (uid) } { (words::either(&name, "No name")) }
                span.quiet { (patient_line(study)) }
            }
            td { (words::date(study.text(tag::STUDY_DATE))) " " span.quiet { (words::time(study.text(tag::STUDY_TIME))) } }
            td { (words::list(study.text(tag::MODALITIES_IN_STUDY))) }
            td {
                (description)
                @if !accession.is_empty() { span.quiet { "Accession " (accession) } }
            }
            td.number { (study.text(tag::NUMBER_OF_STUDY_RELATED_SERIES)) }
            td.number { (study.text(tag::NUMBER_OF_STUDY_RELATED_INSTANCES)) }
        }
    }
}

/// ID, date of birth and sex, as far as they are known.
pub fn patient_line(study: &Attributes) -> String {
    let born = words::date(study.text(tag::PATIENT_BIRTH_DATE));
    let parts = [
        study.text(tag::PATIENT_ID).to_owned(),
        if born.is_empty() { born } else { format!("born {born}") },
        words::sex(study.text(tag::PATIENT_SEX)).to_owned(),
    ];
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" · ")
}

fn pager(answers: &Answers, search: &Search) -> Markup {
    let page = search.page();
    let more = answers.remaining != Some(0);
    let first = (page - 1) * PER_PAGE + 1;
    let last = (page - 1) * PER_PAGE + answers.answers.len() as u64;
    html! {
        @if last >= first {
            nav.pager aria-label="Pages" {
                @if page > 1 { a href=(search.link(page - 1)) rel="prev" { "Newer" } }
                span {
                    (first) "–" (last)
                    @if let Some(remaining) = answers.remaining { " of " (last + remaining) }
                }
                @if more { a href=(search.link(page + 1)) rel="next" { "Older" } }
            }
        }
    }
}
