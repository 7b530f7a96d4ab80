//! `/studies/{study}`: the series of a study.

use axum::{
    extract::{Path, State},
    response::Html,
};
use filmroom_storage::model::{Attributes, StudyInstanceUid, Tag};
use maud::{Markup, html};

use super::{
    ask::{Question, tag},
    emergency::Open,
    layout::{Depth, page as layout},
    list::patient_line,
    problem::Problem,
    words,
};
use filmroom_admission::Seen;
use filmroom_privacy::Sight;
use filmroom_query::{Level, QueryRoom};

/// Series on a page: more than any study that is not broken has.
const SERIES_MAX: u64 = 1000;

/// What the head of a study shows.
pub const STUDY_TAGS: [Tag; 10] = [
    tag::STUDY_DATE,
    tag::STUDY_TIME,
    tag::ACCESSION_NUMBER,
    tag::REFERRING_PHYSICIAN_NAME,
    tag::STUDY_DESCRIPTION,
    tag::PATIENT_NAME,
    tag::PATIENT_ID,
    tag::PATIENT_BIRTH_DATE,
    tag::PATIENT_SEX,
    tag::STUDY_INSTANCE_UID,
];

/// What a series shows.
pub const SERIES_TAGS: [Tag; 6] = [
    tag::MODALITY,
    tag::SERIES_DESCRIPTION,
    tag::BODY_PART_EXAMINED,
    tag::SERIES_INSTANCE_UID,
    tag::SERIES_NUMBER,
    tag::NUMBER_OF_SERIES_RELATED_INSTANCES,
];

/// Answers `/studies/{study}`.
pub async fn page(
    State(room): State<QueryRoom>,
    Seen(sight): Seen,
    open: Open,
    Path(study): Path<String>,
) -> Result<Html<String>, Problem> {
    let study = find(&room, &sight, &study, Depth::Study).await?;
    let uid = study.text(tag::STUDY_INSTANCE_UID);
    let series = Question::new(&sight, Level::Series, &SERIES_TAGS, SERIES_MAX)
        .key(tag::STUDY_INSTANCE_UID, uid)
        .ask(&room)
        .await?;
    Ok(layout(
        "Study",
        Depth::Study,
        &html! {
            (open.banner(Depth::Study))
            (head(&study))
            ul.series {
                @for answer in &series.answers { (card(uid, &answer.attributes)) }
            }
            @if series.remaining != Some(0) {
                p.notice { "Only the first " (series.answers.len()) " series are shown." }
            }
            (links(&format!("../dicom-web/studies/{uid}")))
        },
    ))
}

/// One study.
///
/// # Errors
/// [`Problem::NotFound`], also for what is no UID.
pub async fn find(room: &QueryRoom, sight: &Sight, study: &str, depth: Depth) -> Result<Attributes, Problem> {
    let study = StudyInstanceUid::new(study).map_err(|_| Problem::NotFound("study", depth))?;
    let question = Question::new(sight, Level::Study, &STUDY_TAGS, 1).key(tag::STUDY_INSTANCE_UID, study.as_str());
    let found = question.ask(room).await?.answers.into_iter().next();
    found
        .map(|answer| answer.attributes)
        .ok_or(Problem::NotFound("study", depth))
}

/// Whose study this is.
pub fn head(study: &Attributes) -> Markup {
    let name = words::person_name(study.text(tag::PATIENT_NAME));
    let referring = words::person_name(study.text(tag::REFERRING_PHYSICIAN_NAME));
    let facts = [
        (
            "Date",
            format!(
                "{} {}",
                words::date(study.text(tag::STUDY_DATE)),
                words::time(study.text(tag::STUDY_TIME))
            ),
        ),
        ("Description", study.text(tag::STUDY_DESCRIPTION).to_owned()),
        ("Accession", study.text(tag::ACCESSION_NUMBER).to_owned()),
        ("Referred by", referring),
    ];
    html! {
        div.head {
            h1 { (words::either(&name, "No name")) }
            p.quiet { (patient_line(study)) }
            dl.facts {
                @for (term, fact) in facts.iter().filter(|(_, fact)| !fact.trim().is_empty()) {
                    div { dt { (term) } dd { (fact) } }
                }
            }
        }
    }
}

fn card(study: &str, series: &Attributes) -> Markup {
    let uid = series.text(tag::SERIES_INSTANCE_UID);
    let count = words::count(
        series.text(tag::NUMBER_OF_SERIES_RELATED_INSTANCES),
        "instance",
        "instances",
    );
    html! {
        li {
            a href={ (study) "/series/" (uid) } {
                img src={ "../dicom-web/studies/" (study) "/series/" (uid) "/thumbnail?viewport=240,240" }
                    alt="" width="240" height="240" loading="lazy";
                span.title { (title(series)) }
                span.quiet { (words::list(series.text(tag::BODY_PART_EXAMINED))) " " (count) }
            }
        }
    }
}

/// Modality, number and description of a series.
pub fn title(series: &Attributes) -> String {
    let number = series.text(tag::SERIES_NUMBER);
    let number = if number.is_empty() {
        String::new()
    } else {
        format!("{number}.")
    };
    let parts = [
        number.as_str(),
        series.text(tag::MODALITY),
        series.text(tag::SERIES_DESCRIPTION),
    ];
    let title = parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    words::either(&title, "Series").to_owned()
}

/// What programs read at a DICOMweb resource.
pub fn links(resource: &str) -> Markup {
    html! {
        p.links {
            "DICOMweb: "
            a href={ (resource) "/metadata" } { "metadata" } " · "
            a href={ (resource) "?accept=application/zip" } { "DICOM files (ZIP)" }
        }
    }
}
