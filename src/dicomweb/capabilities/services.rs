//! The table: every path and method of the service. A test holds it against the router.

/// One method on one path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service {
    /// `get`, `post` or `options`.
    pub(crate) method: &'static str,
    /// From the root of the service, parameters in braces.
    pub(crate) path: &'static str,
    /// One sentence.
    pub(crate) summary: &'static str,
    /// What kind of resource it is.
    pub(crate) kind: Kind,
}

/// What a service takes and gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Search (PS3.18 §10.6).
    Search,
    /// DICOM instances (PS3.18 §10.4).
    Instances,
    /// Metadata.
    Metadata,
    /// Frames.
    Frames,
    /// Bulk data and pixel data.
    BulkData,
    /// Rendered resources and thumbnails.
    Rendered,
    /// Store (PS3.18 §10.5).
    Store,
    /// The change feed.
    Changes,
    /// This description (PS3.18 §8.9).
    Capabilities,
}

impl Kind {
    /// Media types of answers.
    pub(crate) fn gives(self) -> &'static [&'static str] {
        match self {
            Self::Search | Self::Store => &[
                "application/dicom+json",
                "application/json",
                "multipart/related; type=\"application/dicom+xml\"",
            ],
            Self::Metadata => &[
                "application/dicom+json",
                "application/json",
                "multipart/related; type=\"application/dicom+xml\"",
            ],
            Self::Instances => &[
                "multipart/related; type=\"application/dicom\"",
                "application/dicom",
                "application/zip",
            ],
            Self::Frames => &[
                "multipart/related; type=\"application/octet-stream\"",
                "multipart/related; type=\"image/jpeg\"",
                "multipart/related; type=\"image/jls\"",
                "multipart/related; type=\"image/jp2\"",
                "multipart/related; type=\"image/dicom-rle\"",
                "multipart/related; type=\"image/jphc\"",
            ],
            Self::BulkData => &[
                "multipart/related; type=\"application/octet-stream\"",
                "application/octet-stream",
            ],
            Self::Rendered => &["image/jpeg", "image/png"],
            Self::Changes => &["application/json"],
            Self::Capabilities => &["application/json", "application/vnd.sun.wadl+xml"],
        }
    }

    /// Media types of requests.
    pub(crate) fn takes(self) -> &'static [&'static str] {
        match self {
            Self::Store => &[
                "multipart/related; type=\"application/dicom\"",
                "multipart/related; type=\"application/dicom+json\"",
                "multipart/related; type=\"application/dicom+xml\"",
                "application/dicom",
            ],
            _ => &[],
        }
    }

    /// Query parameters and what each is.
    pub(crate) fn parameters(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Search => &[
                (
                    "{attribute}",
                    "A key by keyword, by tag as eight hexadecimal digits, or by a path of them joined with dots. Dates and times take ranges (20240101-20240131), text and names take * and ?, UIDs and codes take lists.",
                ),
                ("limit", "At most so many results."),
                ("offset", "Leave out so many results."),
                (
                    "includefield",
                    "Attributes to return beside the level's own, separated by commas, or all.",
                ),
                ("fuzzymatching", "true: match names by likeness."),
                (
                    "emptyvaluematching",
                    "true: a key of two quotation marks matches what is absent or empty.",
                ),
                (
                    "orderby",
                    "Attributes to sort by, separated by commas; a minus sign before one sorts downwards.",
                ),
                ("accept", "Media types in place of the Accept header field."),
            ],
            Self::Rendered => &[
                (
                    "viewport",
                    "width,height of the picture, and of the region of the source to show.",
                ),
                ("window", "center,width,function: linear, linear-exact or sigmoid."),
                ("quality", "1 to 100, for JPEG."),
                ("accept", "Media types in place of the Accept header field."),
            ],
            Self::Changes => &[
                (
                    "since",
                    "The `next` of the page before; `now` for changes to come; left out to begin with the oldest.",
                ),
                ("limit", "At most so many changes."),
            ],
            Self::Capabilities => &[],
            _ => &[("accept", "Media types in place of the Accept header field.")],
        }
    }
}

const fn service(method: &'static str, path: &'static str, kind: Kind, summary: &'static str) -> Service {
    Service {
        method,
        path,
        summary,
        kind,
    }
}

/// All of them.
pub(crate) const SERVICES: &[Service] = &[
    service("get", "/", Kind::Capabilities, "What this service can do."),
    service("options", "/", Kind::Capabilities, "What this service can do."),
    service(
        "get",
        "/openapi.json",
        Kind::Capabilities,
        "What this service can do, as an OpenAPI document.",
    ),
    service(
        "get",
        "/changes",
        Kind::Changes,
        "What came and went, in the order in which it was committed.",
    ),
    service("get", "/patients", Kind::Search, "Searches for patients."),
    service(
        "get",
        "/patients/{patient}/studies",
        Kind::Search,
        "Searches for studies of a patient, by patient ID.",
    ),
    service("get", "/studies", Kind::Search, "Searches for studies."),
    service("get", "/series", Kind::Search, "Searches for series."),
    service("get", "/instances", Kind::Search, "Searches for instances."),
    service(
        "get",
        "/studies/{study}/series",
        Kind::Search,
        "Searches for series of a study.",
    ),
    service(
        "get",
        "/studies/{study}/instances",
        Kind::Search,
        "Searches for instances of a study.",
    ),
    service(
        "get",
        "/studies/{study}/series/{series}/instances",
        Kind::Search,
        "Searches for instances of a series.",
    ),
    service(
        "get",
        "/series/{series}/instances",
        Kind::Search,
        "Searches for instances of a series.",
    ),
    service("post", "/studies", Kind::Store, "Stores instances."),
    service(
        "post",
        "/studies/{study}",
        Kind::Store,
        "Stores instances of one study.",
    ),
    service("get", "/studies/{study}", Kind::Instances, "Retrieves a study."),
    service(
        "get",
        "/studies/{study}/series/{series}",
        Kind::Instances,
        "Retrieves a series.",
    ),
    service(
        "get",
        "/studies/{study}/series/{series}/instances/{instance}",
        Kind::Instances,
        "Retrieves an instance.",
    ),
    service(
        "get",
        "/studies/{study}/metadata",
        Kind::Metadata,
        "Retrieves the metadata of a study.",
    ),
    service(
        "get",
        "/studies/{study}/series/{series}/metadata",
        Kind::Metadata,
        "Retrieves the metadata of a series.",
    ),
    service(
        "get",
        "/studies/{study}/series/{series}/instances/{instance}/metadata",
        Kind::Metadata,
        "Retrieves the metadata of an instance.",
    ),
    service(
        "get",
        "/studies/{study}/series/{series}/instances/{instance}/frames/{frames}",
        Kind::Frames,
        "Retrieves frames, numbered from 1 and separated by commas.",
    ),
    service(
        "get",
        "/studies/{study}/bulkdata",
        Kind::BulkData,
        "Retrieves all bulk data of a study.",
    ),
    service(
        "get",
        "/studies/{study}/series/{series}/bulkdata",
        Kind::BulkData,
        "Retrieves all bulk data of a series.",
    ),
    service(
        "get",
        "/studies/{study}/series/{series}/instances/{instance}/bulkdata",
        Kind::BulkData,
        "Retrieves all bulk data of an instance.",
    ),
    service(
        "get",
        "/studies/{study}/series/{series}/instances/{instance}/bulkdata/{path}",
        Kind::BulkData,
        "Retrieves one bulk value, as its BulkDataURI names it.",
    ),
    service(
        "get",
        "/studies/{study}/pixeldata",
        Kind::BulkData,
        "Retrieves the pixel data of a study.",
    ),
    service(
        "get",
        "/studies/{study}/series/{series}/pixeldata",
        Kind::BulkData,
        "Retrieves the pixel data of a series.",
    ),
    service(
        "get",
        "/studies/{study}/series/{series}/instances/{instance}/pixeldata",
        Kind::BulkData,
        "Retrieves the pixel data of an instance.",
    ),
    service(
        "get",
        "/studies/{study}/rendered",
        Kind::Rendered,
        "Renders the images of a study.",
    ),
    service(
        "get",
        "/studies/{study}/series/{series}/rendered",
        Kind::Rendered,
        "Renders the images of a series.",
    ),
    service(
        "get",
        "/studies/{study}/series/{series}/instances/{instance}/rendered",
        Kind::Rendered,
        "Renders an instance.",
    ),
    service(
        "get",
        "/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/rendered",
        Kind::Rendered,
        "Renders frames of an instance.",
    ),
    service(
        "get",
        "/studies/{study}/thumbnail",
        Kind::Rendered,
        "A small picture of a study.",
    ),
    service(
        "get",
        "/studies/{study}/series/{series}/thumbnail",
        Kind::Rendered,
        "A small picture of a series.",
    ),
    service(
        "get",
        "/studies/{study}/series/{series}/instances/{instance}/thumbnail",
        Kind::Rendered,
        "A small picture of an instance.",
    ),
    service(
        "get",
        "/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/thumbnail",
        Kind::Rendered,
        "A small picture of a frame.",
    ),
];
