//! `/api/v1/openapi.json`: the interface, described for programs (OpenAPI 3.1), made of the table of routes itself.

use std::sync::Arc;

use axum::{http::StatusCode, response::Response};
use filmroom_admission::{Route, Rule};
use serde_json::{Map, Value, json};

use super::problem::answer;

/// What routes do, in one line, by method and path.
const SUMMARIES: &[(&str, &str)] = &[
    ("GET /api/v1/studies/{study}/labels", "The labels of a study"),
    (
        "PUT /api/v1/studies/{study}/labels",
        "All labels that a study has from now on, and why: labels, reason",
    ),
    ("GET /api/v1/labels/{label}/studies", "Studies with a label. cursor"),
    ("GET /api/v1/grants", "What was granted to whom"),
    (
        "POST /api/v1/grants",
        "Lets somebody see what they would not: to, scope (patient, study or label), reason, until",
    ),
    ("DELETE /api/v1/grants/{id}", "Takes a grant back"),
    (
        "GET /api/v1/emergencies",
        "Access that was taken in emergencies. unreviewed",
    ),
    (
        "POST /api/v1/emergencies",
        "Takes access in an emergency: scope (patient or study), code, reason",
    ),
    ("DELETE /api/v1/emergencies/{id}", "Gives access back before its time"),
    (
        "POST /api/v1/emergencies/{id}/review",
        "Says what a look at it afterwards found: finding, text",
    ),
    (
        "GET /api/v1/studies/{study}/retention",
        "How long a study is kept, and why: the decision, every rule, all facts and holds. asOf",
    ),
    (
        "GET /api/v1/studies/{study}/facts",
        "What was said of a study and of its patient",
    ),
    (
        "GET /api/v1/retention-decisions",
        "Decisions on all studies. status, overdue, asOf, limit, cursor",
    ),
    (
        "GET /api/v1/retention-survey",
        "How long all studies are kept: by status, by the year in which they may go, overdue",
    ),
    (
        "GET /api/v1/facts",
        "Facts. patient and issuer, or study; limit, cursor",
    ),
    (
        "POST /api/v1/facts",
        "Asserts facts, as JSON or as text/csv: all or none. dryRun",
    ),
    (
        "GET /api/v1/patient-links",
        "Patients that were merged. patient and issuer, limit, cursor",
    ),
    (
        "POST /api/v1/patient-links/{id}/take-back",
        "Takes a merge back: reason. If-Match",
    ),
    ("GET /api/v1/holds", "Holds. open, limit, cursor"),
    ("POST /api/v1/holds", "Opens a hold. dryRun"),
    ("GET /api/v1/holds/{id}", "One hold"),
    (
        "POST /api/v1/holds/{id}/release",
        "Asks for a release, or confirms it as a second person. If-Match",
    ),
    (
        "POST /api/v1/holds/{id}/refuse-release",
        "Says no to a release that was asked for",
    ),
    (
        "GET /api/v1/policies",
        "Versions of policies that were published, and where they are in force",
    ),
    (
        "GET /api/v1/policy-templates",
        "Policies that come with the archive, for counsel to begin with",
    ),
    ("GET /api/v1/policy-templates/{name}", "The text of one"),
    (
        "POST /api/v1/policy-lint",
        "Says what is wrong with a policy: line, rule, what is allowed",
    ),
    ("GET /api/v1/policy-submissions", "Submissions. limit, cursor"),
    (
        "POST /api/v1/policy-submissions",
        "Submits a policy (toml or pack), bindings, or both",
    ),
    ("GET /api/v1/policy-submissions/{id}", "One submission"),
    (
        "POST /api/v1/policy-submissions/{id}/simulate",
        "What it would do to all studies",
    ),
    (
        "POST /api/v1/policy-submissions/{id}/publish",
        "Publishes it, as another person than its author. If-Match",
    ),
    ("POST /api/v1/policy-submissions/{id}/withdraw", "Takes it back"),
    ("GET /api/v1/disposal-batches", "Batches. limit, cursor"),
    (
        "POST /api/v1/disposal-batches",
        "Proposes studies for disposal; each is taken or refused. dryRun",
    ),
    (
        "GET /api/v1/disposal-batches/{id}",
        "One batch, everything in it decided on anew",
    ),
    (
        "POST /api/v1/disposal-batches/{id}/approve",
        "Approves it, by role; never who proposed it, never one person twice. If-Match",
    ),
    ("POST /api/v1/disposal-batches/{id}/veto", "Says no to it. If-Match"),
    (
        "POST /api/v1/disposal-batches/{id}/exclude",
        "Takes one study out of it",
    ),
    (
        "POST /api/v1/disposal-batches/{id}/execute",
        "Has it carried out, which goes on behind the answer. If-Match",
    ),
    (
        "GET /api/v1/certificates/{id}",
        "The certificate of a batch that was carried out, as JSON or text/html",
    ),
    (
        "GET /api/v1/certificate-key",
        "The public key that certificates are verified with",
    ),
    (
        "GET /api/v1/tombstones",
        "What stays of studies that were destroyed. limit, cursor",
    ),
    ("GET /api/v1/tombstones/{study}", "The same of one study"),
    (
        "POST /api/v1/tombstones/{study}/reinstate",
        "Asks that a destroyed study may come again, or confirms it as a second person",
    ),
    ("POST /api/v1/tombstones/{study}/refuse-reinstating", "Says no to that"),
    (
        "GET /api/v1/rejections",
        "What is rejected. study, reason, limit, cursor",
    ),
    (
        "POST /api/v1/rejections",
        "Rejects a study, a series or instances of it: kept, and not shown where the reason says so. dryRun",
    ),
    (
        "POST /api/v1/rejections/restore",
        "Takes rejections back: what was rejected for safety, as a manager of records. dryRun",
    ),
    (
        "GET /api/v1/returned",
        "Studies that were destroyed and are sent again, by whom and how often. limit, cursor",
    ),
    ("GET /api/v1/worklist", "What is scheduled. limit, offset"),
    ("GET /api/v1/peers", "Other application entities"),
];

/// The description of these routes.
pub(super) fn describe(table: &[Route]) -> Arc<Value> {
    let mut paths: Map<String, Value> = Map::new();
    for route in table {
        // A star stands for a path of several segments, which OpenAPI has no word for.
        let path = route.path.replace("{*", "{");
        let name = format!("{} {}", route.method, path);
        let summary = SUMMARIES
            .iter()
            .find(|(found, _)| *found == name)
            .map(|(_, summary)| *summary);
        let parameters: Vec<Value> = path
            .split('{')
            .skip(1)
            .filter_map(|part| part.split('}').next())
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
            .collect();
        let mut operation = json!({
            "parameters": parameters,
            "responses": {
                "default": { "description": "What went wrong (RFC 9457)", "content": { "application/problem+json": {} } },
                "2XX": { "description": "What was asked for" },
            },
        });
        if let Some(fields) = operation.as_object_mut() {
            if let Some(summary) = summary {
                fields.insert("summary".to_owned(), summary.into());
            }
            if let Some(action) = route.rule.action() {
                let anew = match route.rule {
                    Rule::Anew(_) => ", and proved a moment ago who they are",
                    _ => "",
                };
                let whoever = format!("Whoever may {}{anew}.", action.word());
                fields.insert("description".to_owned(), whoever.into());
            }
        }
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(methods) = entry.as_object_mut() {
            methods.insert(route.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    Arc::new(json!({
        "openapi": "3.1.0",
        "info": { "title": "Filmroom", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": { "securitySchemes": {
            "token": { "type": "http", "scheme": "bearer" },
            "passcode": { "type": "http", "scheme": "basic" },
        } },
        "security": [{ "token": [] }, { "passcode": [] }],
    }))
}

/// `GET /api/v1/openapi.json`.
pub(super) async fn read(description: Arc<Value>) -> Response {
    answer(StatusCode::OK, &description)
}
