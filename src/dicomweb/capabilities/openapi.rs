//! The table as an OpenAPI 3.1 document.

use serde_json::{Map, Value, json};

use super::{
    super::{DicomwebConfig, base_url::BaseUrl, changes},
    services::{Kind, SERVICES, Service},
};

const GONE: (&str, &str) = ("410", "The instance was destroyed by a decision.");

pub(super) fn write(base: &BaseUrl, config: &DicomwebConfig) -> String {
    let mut paths: Map<String, Value> = Map::new();
    for service in SERVICES {
        let path = paths
            .entry(service.path)
            .or_insert_with(|| json!({ "parameters": path_parameters(service.path) }));
        if let Value::Object(methods) = path {
            methods.insert(service.method.to_owned(), operation(service, config));
        }
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Filmroom DICOMweb",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "DICOM PS3.18 Web Services: search (QIDO-RS), retrieve (WADO-RS) and store (STOW-RS).",
        },
        "servers": [{ "url": base.as_str() }],
        "paths": paths,
        "components": {
            "responses": {
                "Problem": {
                    "description": "What is wrong with the request, or with the archive.",
                    "content": { "application/problem+json": { "schema": {
                        "type": "object",
                        "properties": {
                            "status": { "type": "integer" },
                            "title": { "type": "string" },
                            "detail": { "type": "string" },
                        },
                    } } },
                },
            },
        },
    });
    document.to_string()
}

fn operation(service: &Service, config: &DicomwebConfig) -> Value {
    let mut operation = json!({
        "summary": service.summary,
        "tags": [format!("{:?}", service.kind)],
        "parameters": service.kind.parameters().iter().map(|(name, about)| parameter(service.kind, name, about, config)).collect::<Vec<_>>(),
        "responses": responses(service.kind),
    });
    if let (Value::Object(operation), false) = (&mut operation, service.kind.takes().is_empty()) {
        let content: Map<String, Value> = service
            .kind
            .takes()
            .iter()
            .map(|kind| ((*kind).to_owned(), binary()))
            .collect();
        operation.insert(
            "requestBody".to_owned(),
            json!({ "required": true, "content": content }),
        );
    }
    operation
}

fn path_parameters(path: &str) -> Vec<Value> {
    path.split('/')
        .filter_map(|step| step.strip_prefix('{').and_then(|step| step.strip_suffix('}')))
        .map(|name| {
            let about = match name {
                "study" => "Study Instance UID",
                "series" => "Series Instance UID",
                "instance" => "SOP Instance UID",
                "patient" => "Patient ID",
                "frames" => "Frame numbers from 1, separated by commas",
                _ => "Path of the bulk value, as in its BulkDataURI",
            };
            json!({ "name": name, "in": "path", "required": true, "description": about, "schema": { "type": "string" } })
        })
        .collect()
}

fn parameter(kind: Kind, name: &str, about: &str, config: &DicomwebConfig) -> Value {
    let schema = match name {
        "limit" if kind == Kind::Changes => {
            json!({ "type": "integer", "minimum": 1, "maximum": changes::LIMIT_MAX, "default": changes::LIMIT_DEFAULT })
        }
        "limit" => {
            json!({ "type": "integer", "minimum": 0, "maximum": config.qido_limit_max, "default": config.qido_limit_default })
        }
        "offset" => json!({ "type": "integer", "minimum": 0, "default": 0 }),
        "quality" => json!({ "type": "integer", "minimum": 1, "maximum": 100 }),
        "fuzzymatching" | "emptyvaluematching" => json!({ "type": "boolean", "default": false }),
        _ => json!({ "type": "string" }),
    };
    if name == "{attribute}" {
        return json!({
            "name": "attributes", "in": "query", "description": about, "style": "form", "explode": true,
            "schema": { "type": "object", "additionalProperties": { "type": "string" } },
        });
    }
    json!({ "name": name, "in": "query", "description": about, "schema": schema })
}

fn responses(kind: Kind) -> Value {
    let content: Map<String, Value> = kind
        .gives()
        .iter()
        .map(|media_type| {
            let shape = if kind == Kind::Changes {
                changes_page()
            } else {
                binary()
            };
            ((*media_type).to_owned(), shape)
        })
        .collect();
    let problem = || json!({ "$ref": "#/components/responses/Problem" });
    let mut responses = json!({
        "200": { "description": "What was asked for.", "content": content },
        "406": problem(),
        "default": problem(),
    });
    let more: &[(&str, &str)] = match kind {
        Kind::Search => &[
            ("204", "Nothing was found."),
            ("304", "The page is the one the client has."),
        ],
        Kind::Store => &[
            ("202", "Some instances were not stored, or stored with a warning."),
            ("409", "No instance was stored."),
        ],
        Kind::Metadata | Kind::Instances => &[("304", "The client has it."), GONE],
        Kind::Frames | Kind::BulkData => &[
            ("206", "The range that was asked for."),
            ("304", "The client has it."),
            GONE,
        ],
        Kind::Changes => &[(
            "410",
            "The index was made anew since the cursor was given: begin again.",
        )],
        Kind::Rendered => &[GONE],
        Kind::Capabilities => &[],
    };
    if let Value::Object(responses) = &mut responses {
        responses.extend(
            more.iter()
                .map(|(status, about)| ((*status).to_owned(), json!({ "description": about }))),
        );
    }
    responses
}

fn changes_page() -> Value {
    let text = || json!({ "type": "string" });
    json!({ "schema": {
        "type": "object",
        "required": ["changes", "next", "more"],
        "properties": {
            "changes": { "type": "array", "items": {
                "type": "object",
                "required": ["change", "at", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"],
                "properties": {
                    "change": { "type": "string", "enum": ["stored", "destroyed"] },
                    "at": { "type": "string", "format": "date-time" },
                    "StudyInstanceUID": text(),
                    "SeriesInstanceUID": text(),
                    "SOPInstanceUID": text(),
                },
            } },
            "next": text(),
            "more": { "type": "boolean" },
        },
    } })
}

fn binary() -> Value {
    json!({ "schema": {} })
}
