//! `/studies/{study}/series/{series}`: the instances of a series, to step through and to fetch.

use axum::{
    extract::{Path, Query as UrlQuery, State},
    response::Html,
};
use filmroom_storage::model::{Attributes, SeriesInstanceUid, Tag};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    ask::{Question, tag},
    emergency::Open,
    layout::{Depth, page as layout},
    problem::Problem,
    study::{SERIES_TAGS, find, head, links, title},
    words,
};
use filmroom_admission::Seen;
use filmroom_query::{Answers, Level, QueryRoom};

/// Instances on one page.
const PER_PAGE: u64 = 500;

const INSTANCE_TAGS: [Tag; 6] = [
    tag::SOP_CLASS_UID,
    tag::SOP_INSTANCE_UID,
    tag::INSTANCE_NUMBER,
    tag::NUMBER_OF_FRAMES,
    tag::ROWS,
    tag::COLUMNS,
];

/// Which page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Paging {
    page: String,
}

/// Answers `/studies/{study}/series/{series}`.
pub async fn page(
    State(room): State<QueryRoom>,
    Seen(sight): Seen,
    open: Open,
    Path((study, series)): Path<(String, String)>,
    UrlQuery(paging): UrlQuery<Paging>,
) -> Result<Html<String>, Problem> {
    let study = find(&room, &sight, &study, Depth::Series).await?;
    let study_uid = study.text(tag::STUDY_INSTANCE_UID);
    let missing = || Problem::NotFound("series", Depth::Series);
    let series = SeriesInstanceUid::new(&series).map_err(|_| missing())?;
    let question = |level, tags: &[Tag], limit| {
        Question::new(&sight, level, tags, limit)
            .key(tag::STUDY_INSTANCE_UID, study_uid)
            .key(tag::SERIES_INSTANCE_UID, series.as_str())
    };
    let found = question(Level::Series, &SERIES_TAGS, 1).ask(&room).await?;
    let found = found.answers.into_iter().next().ok_or_else(missing)?.attributes;
    let page = paging.page.parse().unwrap_or(1).clamp(1, 1_000_000u64);
    let instances = question(Level::Instance, &INSTANCE_TAGS, PER_PAGE)
        .offset((page - 1) * PER_PAGE)
        .ask(&room)
        .await?;
    let resource = format!("../../../dicom-web/studies/{study_uid}/series/{}", series.as_str());
    Ok(layout(
        "Series",
        Depth::Series,
        &html! {
            (open.banner(Depth::Series))
            p.back { a href={ "../../" (study_uid) } { "All series of the study" } }
            (head(&study))
            h2 { (title(&found)) }
            (viewer(&resource, &instances))
            (table(&resource, &instances))
            (pager(&instances, page))
            (links(&resource))
        },
    ))
}

fn is_image(instance: &Attributes) -> bool {
    !instance.text_is_empty(tag::ROWS)
}

/// The picture; the script steps through the rows of the table below.
fn viewer(resource: &str, instances: &Answers) -> Markup {
    let first = instances.answers.iter().find(|answer| is_image(&answer.attributes));
    html! {
        @if let Some(first) = first {
            figure.viewer #viewer {
                img src={ (resource) "/instances/" (first.attributes.text(tag::SOP_INSTANCE_UID)) "/rendered?viewport=1024,1024" }
                    alt="Rendered image; the table below lists all instances" width="1024" height="1024";
                figcaption aria-live="polite" {}
            }
        }
    }
}

fn table(resource: &str, instances: &Answers) -> Markup {
    html! {
        table.instances {
            caption { "Instances" }
            thead {
                tr {
                    th.number scope="col" { "Number" }
                    th scope="col" { "SOP Instance UID" }
                    th.number scope="col" { "Frames" }
                    th.number scope="col" { "Size" }
                    th scope="col" { "Open" }
                }
            }
            tbody { @for answer in &instances.answers { (row(resource, &answer.attributes)) } }
        }
    }
}

fn row(resource: &str, instance: &Attributes) -> Markup {
    let uid = instance.text(tag::SOP_INSTANCE_UID);
    let base = format!("{resource}/instances/{uid}");
    let image = is_image(instance);
    let frames = words::either(instance.text(tag::NUMBER_OF_FRAMES), if image { "1" } else { "" });
    html! {
        tr data-rendered=[image.then_some(&base)] data-frames=[image.then_some(frames)] {
            th.number scope="row" { (instance.text(tag::INSTANCE_NUMBER)) }
            td.uid { (uid) }
            td.number { (frames) }
            td.number { @if image { (instance.number(tag::COLUMNS)) " × " (instance.number(tag::ROWS)) } }
            td {
                a href={ (base) "/rendered" } { "rendered" } " · "
                a href={ (base) "/metadata" } { "metadata" } " · "
                a href={ (base) "?accept=application/zip" } { "DICOM (ZIP)" }
            }
        }
    }
}

fn pager(instances: &Answers, page: u64) -> Markup {
    html! {
        nav.pager aria-label="Pages" {
            @if page > 1 { a href={ "?page=" (page - 1) } rel="prev" { "Previous" } }
            @if instances.remaining != Some(0) { a href={ "?page=" (page + 1) } rel="next" { "Next" } }
        }
    }
}

/// Numbers of the binary kinds that pages show.
trait Numbers {
    fn number(&self, tag: Tag) -> String;
    fn text_is_empty(&self, tag: Tag) -> bool;
}

impl Numbers for Attributes {
    /// A US value; empty when it is absent.
    fn number(&self, tag: Tag) -> String {
        match self
            .get(tag)
            .and_then(|element| element.value.first_chunk::<2>().copied())
        {
            Some(bytes) => u16::from_le_bytes(bytes).to_string(),
            None => String::new(),
        }
    }

    fn text_is_empty(&self, tag: Tag) -> bool {
        self.get(tag).is_none_or(|element| element.value.is_empty())
    }
}
