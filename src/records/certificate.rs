//! Certificates of destruction: signed, so that they can be checked anywhere, with nothing but themselves and the public key.

use std::collections::HashMap;

use filmroom_retention::PartialDate;
use filmroom_storage::journal::Decision;
use maud::{DOCTYPE, html};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::format_description::well_known::Rfc3339;

use super::{
    Batch, ItemState, Records, RecordsError,
    canonical::{canonical, from_hexadecimal, hexadecimal},
};

/// The form of certificates.
const FORMAT: &str = "filmroom-certificate-of-destruction/1";

impl Records {
    /// The certificate of a batch of which nothing is left.
    pub(crate) async fn certify(&self, batch: &Batch) -> Result<Value, RecordsError> {
        let decisions: HashMap<u64, Decision> = self
            .inner
            .store
            .journal()
            .read(0)
            .await?
            .into_iter()
            .filter(|decision| batch.items.iter().any(|item| item.decision == Some(decision.number)))
            .map(|decision| (decision.number, decision))
            .collect();
        let mut studies = Vec::new();
        for item in batch.items.iter().filter(|item| item.state == ItemState::Destroyed) {
            let decision = item.decision.and_then(|number| decisions.get(&number));
            let Some(decision) = decision else {
                return Err(RecordsError::Failed(format!(
                    "the journal lacks what destroyed {}",
                    item.study
                )));
            };
            let instances: Vec<Value> = decision
                .payload
                .get("instances")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(|instance| {
                    json!({
                        "sopInstanceUid": instance.get("sop_instance_uid"),
                        "sha256": instance.get("sha256"),
                        "bytes": instance.get("length"),
                    })
                })
                .collect();
            studies.push(json!({
                "study": item.study,
                "patient": item.patient,
                "studyDate": item.study_date,
                "modalities": item.modalities,
                "site": item.site,
                "retainUntil": item.retain_until,
                "binding": item.binding,
                "policy": item.policy,
                "decisionDigest": item.digest,
                "journal": { "decision": decision.number, "hash": hexadecimal(&decision.hash) },
                "destroyedAt": decision.at.format(&Rfc3339).unwrap_or_default(),
                "instances": instances,
            }));
        }
        let left: Vec<Value> = batch
            .items
            .iter()
            .filter(|item| item.state == ItemState::Left)
            .map(|item| json!({ "study": item.study, "reason": item.reason }))
            .collect();
        let inside = || batch.items.iter().filter(|item| item.state == ItemState::Destroyed);
        let dates = || inside().filter_map(|item| item.study_date);
        let now = (self.inner.options.clock)();
        let backups = match self.inner.options.backups_days {
            None => json!({ "kept": false }),
            Some(days) => {
                let until = filmroom_retention::Period::days(days).after(now.date());
                json!({ "kept": true, "goneAfter": PartialDate::Day(until) })
            }
        };
        let approvals: Vec<Value> = batch
            .approvals
            .iter()
            .map(|given| {
                json!({
                    "subject": given.subject, "role": given.role, "opinion": given.opinion,
                    "at": given.at.format(&Rfc3339).unwrap_or_default(),
                })
            })
            .collect();
        let mut certificate = json!({
            "format": FORMAT,
            "certificate": batch.id,
            "issuedAt": now.format(&Rfc3339).unwrap_or_default(),
            "statement": "Destroyed in the normal course of business, under the retention policies named.",
            "method": "Removed from the index, packs rewritten or removed, log segments, copies kept apart, replicas and earlier \
                       versions removed, data keys destroyed where the archive is encrypted; the index written anew.",
            "description": format!("{} studies, {} instances, {} bytes",
                inside().count(), inside().map(|item| item.instances).sum::<u64>(), inside().map(|item| item.bytes).sum::<u64>()),
            "inclusiveDates": { "from": dates().min_by_key(|date| date.earliest()), "to": dates().max_by_key(|date| date.latest()) },
            "proposedBy": batch.proposed_by,
            "proposedAt": batch.proposed_at.format(&Rfc3339).unwrap_or_default(),
            "approvals": approvals,
            "executedBy": batch.executed_by,
            "executedAt": batch.executed_at.map(|at| at.format(&Rfc3339).unwrap_or_default()),
            "backups": backups,
            "studies": studies,
            "left": left,
        });
        let signature = json!({
            "algorithm": "Ed25519 (RFC 8032) over the JSON without this field, names in order, no space",
            "publicKey": self.inner.keys.public_key(),
            "value": self.inner.keys.sign(&canonical(&certificate)),
        });
        if let Some(fields) = certificate.as_object_mut() {
            fields.insert("signature".to_owned(), signature);
        }
        Ok(certificate)
    }
}

/// A certificate that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The public key that it was signed with, in hexadecimal.
    pub public_key: String,
    /// The batch.
    pub certificate: String,
    /// How many studies it is about.
    pub studies: usize,
    /// SHA-256 of what was signed, in hexadecimal.
    pub digest: String,
}

/// Checks a certificate, without an archive. With a key it must have been signed with that one; else the caller has to compare the
/// one in the answer.
///
/// # Errors
/// One sentence.
pub fn verify_certificate(certificate: &Value, public_key: Option<&str>) -> Result<Verified, String> {
    let mut signed = certificate.clone();
    let signature = signed
        .as_object_mut()
        .and_then(|fields| fields.remove("signature"))
        .ok_or("it has no signature")?;
    if signed.get("format").and_then(Value::as_str) != Some(FORMAT) {
        return Err(format!("it is not of the form {FORMAT}"));
    }
    let of = |name: &str| signature.get(name).and_then(Value::as_str).unwrap_or_default();
    let key = of("publicKey");
    if public_key.is_some_and(|wanted| !wanted.eq_ignore_ascii_case(key)) {
        return Err("it was signed with another key".to_owned());
    }
    let text = canonical(&signed);
    let bytes = from_hexadecimal(key).ok_or("its public key is none")?;
    let value = from_hexadecimal(of("value")).ok_or("its signature is none")?;
    UnparsedPublicKey::new(&ED25519, bytes)
        .verify(text.as_bytes(), &value)
        .map_err(|_| "its signature does not hold: something in it was changed")?;
    Ok(Verified {
        public_key: key.to_owned(),
        certificate: signed
            .get("certificate")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        studies: signed.get("studies").and_then(Value::as_array).map_or(0, Vec::len),
        digest: hexadecimal(&Sha256::digest(text)),
    })
}

/// A certificate as a page to be printed.
#[must_use]
pub fn to_html(certificate: &Value) -> String {
    let of = |value: &Value, name: &str| match value.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let list = |name: &str| {
        certificate
            .get(name)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let inside = |outer: &str, name: &str| certificate.get(outer).map(|outer| of(outer, name)).unwrap_or_default();
    let backups = match inside("backups", "goneAfter").as_str() {
        "" => "none are declared".to_owned(),
        until => format!("gone after {until}"),
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Certificate of destruction " (of(certificate, "certificate")) }
                style { "body{font:11pt/1.4 serif;margin:2cm;color:#000}h1{font-size:18pt}table{border-collapse:collapse;width:100%;\
                    font-size:9pt}td,th{border:1px solid #000;padding:3pt;text-align:left;vertical-align:top;overflow-wrap:anywhere}\
                    thead{display:table-header-group}tr{break-inside:avoid}dt{font-weight:bold}dd{margin:0 0 4pt}\
                    .sign{display:flex;gap:2cm;margin-top:2cm}.sign div{flex:1;border-top:1px solid #000;padding-top:3pt}" }
            }
            body {
                h1 { "Certificate of destruction " (of(certificate, "certificate")) }
                p { (of(certificate, "statement")) }
                dl {
                    dt { "Date" } dd { (of(certificate, "executedAt")) }
                    dt { "Method" } dd { (of(certificate, "method")) }
                    dt { "Description" } dd { (of(certificate, "description")) }
                    dt { "Inclusive dates" } dd { (inside("inclusiveDates", "from")) " to " (inside("inclusiveDates", "to")) }
                    dt { "Proposed by" } dd { (of(certificate, "proposedBy")) ", " (of(certificate, "proposedAt")) }
                    @for given in list("approvals") {
                        dt { "Approved by" }
                        dd { (of(&given, "subject")) " as " (of(&given, "role")) ", " (of(&given, "at")) " " (of(&given, "opinion")) }
                    }
                    dt { "Carried out by" } dd { (of(certificate, "executedBy")) }
                    dt { "Copies in backups" } dd { (backups) }
                }
                h2 { "Destroyed" }
                table {
                    thead { tr { th { "Study" } th { "Date" } th { "Modalities" } th { "Instances" } th { "Kept until" } th { "Rule" } th { "Decision" } } }
                    tbody {
                        @for study in list("studies") {
                            tr {
                                td { (of(&study, "study")) } td { (of(&study, "studyDate")) } td { (of(&study, "modalities")) }
                                td { (study.get("instances").and_then(Value::as_array).map_or(0, Vec::len)) }
                                td { (of(&study, "retainUntil")) } td { (of(&study, "binding")) }
                                td { (study.get("journal").map(|journal| of(journal, "decision")).unwrap_or_default()) }
                            }
                        }
                    }
                }
                @if !list("left").is_empty() {
                    h2 { "Proposed, and not destroyed" }
                    table {
                        thead { tr { th { "Study" } th { "Why" } } }
                        tbody { @for left in list("left") { tr { td { (of(&left, "study")) } td { (of(&left, "reason")) } } } }
                    }
                }
                h2 { "Signature" }
                dl {
                    dt { "Algorithm" } dd { (inside("signature", "algorithm")) }
                    dt { "Public key" } dd { (inside("signature", "publicKey")) }
                    dt { "Value" } dd { (inside("signature", "value")) }
                }
                div class="sign" { div { "Destroyed by" } div { "Witness" } div { "Department manager" } }
            }
        }
    };
    page.into_string()
}
