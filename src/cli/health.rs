//! What monitoring asks: is the process alive, does it serve, how much does it hold.

use std::{
    fmt::Write,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use filmroom_access::Action;
use filmroom_admission::{Routes, Rule};
use filmroom_storage::store::{ScrubState, Store};
use tokio_util::sync::CancellationToken;

struct Watched {
    store: Store,
    hl7: Option<Arc<filmroom_hl7::Metrics>>,
    shutdown: CancellationToken,
    started: Duration,
}

/// `/healthz`: alive. `/readyz`: 200 while new work is taken, 503 while stopping. `/metrics`: Prometheus text.
pub fn routes(store: Store, hl7: Option<Arc<filmroom_hl7::Metrics>>, shutdown: CancellationToken) -> Routes {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let watched = Arc::new(Watched {
        store,
        hl7,
        shutdown,
        started,
    });
    Routes::new()
        .get(Rule::Open, "/healthz", || async { "alive\n" })
        .get(Rule::Open, "/readyz", ready)
        .get(Rule::May(Action::Operate), "/metrics", metrics)
        .around(|router| router.with_state(watched))
}

async fn ready(State(watched): State<Arc<Watched>>) -> Response {
    if watched.shutdown.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    "ready\n".into_response()
}

async fn metrics(State(watched): State<Arc<Watched>>) -> Response {
    match tokio::task::spawn_blocking(move || text(&watched)).await {
        Ok(text) => (
            [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
            text,
        )
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics could not be gathered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn text(watched: &Watched) -> String {
    let mut text = String::new();
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(
        text,
        "# HELP filmroom_build_info Version of the program.\n# TYPE filmroom_build_info gauge"
    );
    let _ = writeln!(text, "filmroom_build_info{{version=\"{version}\"}} 1");
    match watched.store.index().totals() {
        Ok(totals) => {
            gauge(
                &mut text,
                "filmroom_studies",
                "Studies in the index.",
                totals.studies as f64,
            );
            gauge(
                &mut text,
                "filmroom_series",
                "Series in the index.",
                totals.series as f64,
            );
            gauge(
                &mut text,
                "filmroom_instances",
                "Instances in the index.",
                totals.instances as f64,
            );
            gauge(
                &mut text,
                "filmroom_stored_bytes",
                "Bytes of all instances.",
                totals.length as f64,
            );
        }
        Err(error) => tracing::error!(%error, "the index cannot be counted"),
    }
    let store = watched.store.metrics();
    for (name, help, count) in [
        ("instances_stored", "Instances stored.", store.instances_stored),
        ("bytes_stored", "Bytes of the instances stored.", store.bytes_stored),
        (
            "instances_taken",
            "Instances that came again, or under a UID that was taken.",
            store.instances_taken,
        ),
        (
            "instances_failed",
            "Instances that could not be stored.",
            store.instances_failed,
        ),
        (
            "instances_quarantined",
            "Instances kept apart for a person to decide on.",
            store.instances_quarantined,
        ),
        ("intake_syncs", "Syncs of the intake log.", store.intake_syncs),
        (
            "instances_synced",
            "Instances made durable by syncs of the intake log.",
            store.instances_synced,
        ),
        (
            "instances_settled",
            "Instances settled into packs.",
            store.instances_settled,
        ),
        ("packs_settled", "Packs put.", store.packs_settled),
        (
            "settling_failures",
            "Series that could not be settled and are tried again.",
            store.settling_failures,
        ),
        (
            "index_recoveries",
            "Times that the index was taken up again after it could not be written.",
            store.index_recoveries,
        ),
        (
            "objects_repaired",
            "Objects repaired from the replica.",
            store.objects_repaired,
        ),
        (
            "segments_trimmed",
            "Segments of the intake log that were trimmed.",
            store.segments_trimmed,
        ),
        ("cache_hits", "Blocks that the read cache had.", store.cache_hits),
        (
            "cache_misses",
            "Blocks that the read cache did not have.",
            store.cache_misses,
        ),
        (
            "cache_evictions",
            "Blocks of the read cache that made room for others.",
            store.cache_evictions,
        ),
        (
            "cache_damaged",
            "Blocks of the read cache whose checksum was wrong; they were fetched again.",
            store.cache_damaged,
        ),
    ] {
        let name = format!("filmroom_{name}_total");
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {count}");
    }
    gauge(
        &mut text,
        "filmroom_cache_bytes",
        "Bytes of the local disk that the read cache uses.",
        store.cache_bytes as f64,
    );
    let memory = store.intake_memory_bytes as f64;
    gauge(
        &mut text,
        "filmroom_intake_memory_bytes",
        "Instances on their way in, in memory.",
        memory,
    );
    let waiting = store.instances_waiting as f64;
    gauge(
        &mut text,
        "filmroom_instances_waiting",
        "Instances that wait to be settled.",
        waiting,
    );
    gauge(
        &mut text,
        "filmroom_index_failing",
        "1 while the index cannot be written and nothing is taken in.",
        f64::from(u8::from(store.is_index_failing)),
    );
    gauge(
        &mut text,
        "filmroom_replica_behind_objects",
        "Objects that the replica has missed so far.",
        store.replica_behind as f64,
    );
    scrub(&mut text, &watched.store.scrub_state());
    if let Some(hl7) = &watched.hl7 {
        messages(&mut text, hl7.counts());
    }
    let started = watched.started.as_secs_f64();
    gauge(
        &mut text,
        "process_start_time_seconds",
        "When the process started, in seconds since 1970.",
        started,
    );
    if let Some(process) = process_figures() {
        gauge(
            &mut text,
            "process_resident_memory_bytes",
            "Resident memory.",
            process.resident_bytes,
        );
        gauge(&mut text, "process_threads", "Threads.", process.threads);
        gauge(
            &mut text,
            "process_open_fds",
            "Open file descriptors.",
            process.descriptors,
        );
    }
    text
}

/// HL7 messages, by how they were answered.
fn messages(text: &mut String, counts: filmroom_hl7::Counts) {
    let name = "filmroom_hl7_messages_total";
    let _ = writeln!(
        text,
        "# HELP {name} HL7 messages, by how they were answered.\n# TYPE {name} counter"
    );
    for (answer, count) in [
        ("AA", counts.accepted),
        ("AE", counts.erroneous),
        ("AR", counts.rejected),
    ] {
        let _ = writeln!(text, "{name}{{answer=\"{answer}\"}} {count}");
    }
    gauge(
        text,
        "filmroom_hl7_connections",
        "Connections open for HL7 messages.",
        counts.connections as f64,
    );
    let name = "filmroom_hl7_connections_refused_total";
    let help = "HL7 connections that were closed at once, since as many as may be were open.";
    let _ = writeln!(
        text,
        "# HELP {name} {help}\n# TYPE {name} counter\n{name} {}",
        counts.connections_refused
    );
}

fn scrub(text: &mut String, state: &ScrubState) {
    let seconds = |time: Option<time::OffsetDateTime>| time.map_or(0.0, |time| time.unix_timestamp() as f64);
    for (name, help, value) in [
        (
            "last_began_timestamp_seconds",
            "When the last whole pass of the scrub began, in seconds since 1970; what is older was verified since. 0: none yet.",
            seconds(state.last_began_at),
        ),
        (
            "last_ended_timestamp_seconds",
            "When it ended.",
            seconds(state.last_ended_at),
        ),
        (
            "last_problems",
            "Problems that it found.",
            state.last_report.problems_found as f64,
        ),
        (
            "pass_read_bytes",
            "Bytes that the pass under way has read.",
            state.report.bytes as f64,
        ),
        (
            "pass_problems",
            "Problems that the pass under way has found.",
            state.report.problems_found as f64,
        ),
    ] {
        gauge(text, &format!("filmroom_scrub_{name}"), help, value);
    }
}

fn gauge(text: &mut String, name: &str, help: &str, value: f64) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
}

struct ProcessFigures {
    resident_bytes: f64,
    threads: f64,
    descriptors: f64,
}

/// From `/proc`, where there is one.
fn process_figures() -> Option<ProcessFigures> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let figure = |name: &str| -> Option<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
    };
    Some(ProcessFigures {
        resident_bytes: figure("VmRSS")? * 1024.0,
        threads: figure("Threads")?,
        descriptors: std::fs::read_dir("/proc/self/fd").ok()?.count() as f64,
    })
}
