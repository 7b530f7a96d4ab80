//! Objects that are read rather than looked at: encapsulated documents (PS3.3 A.45) and structured reports (PS3.3 A.35).

use std::sync::Arc;

use bytes::Bytes;
use filmroom_storage::model::InstanceRecord;

use super::{Media, Parameters, Render, RenderError, Rendered, card, identity, rendered::finish};
use filmroom_pixels::elements::Elements;

/// Lines of a report that are shown.
const LINES_MAX: usize = 10_000;
/// A document that is longer is retrieved as DICOM.
const DOCUMENT_MAX_BYTES: u64 = 256 << 20;
/// Side of a sheet of traces.
const SHEET_SIDE: usize = 1024;
/// (0042,0011).
const ENCAPSULATED_DOCUMENT: &str = "00420011";

/// What can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// A document of another kind in DICOM clothes.
    Encapsulated {
        /// (0042,0012), one of those known to be harmless to show.
        media_type: &'static str,
        /// (0042,0015): bytes without padding, where given.
        length: Option<u64>,
    },
    /// Content of a structured report.
    Report,
    /// Waveforms, which are drawn rather than read.
    Waveform,
    /// Nothing.
    None,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportForm {
    /// Lines of text.
    Plain,
    /// A page.
    Html,
}

impl Render {
    /// What of an instance can be read.
    ///
    /// # Errors
    /// [`RenderError::Retrieve`].
    pub async fn document(&self, instance: &InstanceRecord) -> Result<Document, RenderError> {
        let data_set = self.data_set(instance).await?;
        let elements = data_set.elements();
        if elements.value(0x0042_0011).is_some() {
            return Ok(Document::Encapsulated {
                media_type: media_type(elements.text(0x0042_0012), instance.sop_class_uid.as_str()),
                length: elements.unsigned(0x0042_0015).map(u64::from),
            });
        }
        if elements.value(0x0040_A730).is_some() {
            return Ok(Document::Report);
        }
        if elements.value(0x5400_0100).is_some_and(|groups| !groups.is_empty()) {
            return Ok(Document::Waveform);
        }
        Ok(Document::None)
    }

    /// A picture of what is read rather than looked at: a report's text, traces. Nothing is left out of it.
    ///
    /// # Errors
    /// [`RenderError`].
    pub async fn sheet(
        &self,
        instance: &InstanceRecord,
        parameters: &Parameters,
        media: Media,
    ) -> Result<Rendered, Arc<RenderError>> {
        let key = format!("{}/sheet/{media:?}/{parameters:?}", identity(instance));
        let (render, instance, parameters) = (self.clone(), instance.clone(), *parameters);
        self.inner
            .pictures
            .try_get_with(
                key,
                async move { render.make_sheet(&instance, parameters, media).await },
            )
            .await
    }

    async fn make_sheet(
        &self,
        instance: &InstanceRecord,
        parameters: Parameters,
        media: Media,
    ) -> Result<Rendered, RenderError> {
        let data_set = self.data_set(instance).await?;
        let sop_class = instance.sop_class_uid.clone();
        let viewport = parameters
            .viewport
            .map_or(0, |viewport| viewport.width as usize * viewport.height as usize);
        let admission = self.inner.pool.admit((16 << 20) + viewport * 3).await?;
        self.inner
            .pool
            .run(admission, move || {
                let drawn = card::draw(&data_set, sop_class.as_str(), SHEET_SIDE, card::Names::Shown);
                let full = (drawn.width, drawn.height);
                let drawn = match &parameters.viewport {
                    Some(viewport) => drawn.fit(viewport, full, 1.0, parameters.enlarge),
                    None => Some(drawn),
                };
                let drawn = drawn
                    .ok_or_else(|| RenderError::Parameter("the region of the viewport lies outside the page".into()))?;
                finish(&drawn, media, parameters.quality, None)
            })
            .await
    }

    /// The bytes of an encapsulated document.
    ///
    /// # Errors
    /// [`RenderError::NotRenderable`] when it is too long, [`RenderError::Retrieve`].
    pub async fn encapsulated(&self, instance: &InstanceRecord, document: &Document) -> Result<Bytes, RenderError> {
        let data_set = self.data_set(instance).await?;
        let place = data_set
            .header
            .bulk
            .iter()
            .find(|value| value.path == ENCAPSULATED_DOCUMENT);
        let bytes = match place {
            Some(place) if place.length > DOCUMENT_MAX_BYTES => {
                return Err(RenderError::NotRenderable(format!(
                    "its document of {} bytes is longer than {DOCUMENT_MAX_BYTES}",
                    place.length
                )));
            }
            Some(_) => {
                self.inner
                    .retrieve
                    .bulk_value(instance, ENCAPSULATED_DOCUMENT, None)
                    .await?
                    .0
            }
            None => Bytes::copy_from_slice(data_set.elements().value(0x0042_0011).unwrap_or_default()),
        };
        let length = match document {
            Document::Encapsulated {
                length: Some(length), ..
            } => usize::try_from(*length).unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        Ok(bytes.slice(..length.min(bytes.len())))
    }

    /// The text of a structured report.
    ///
    /// # Errors
    /// [`RenderError::Retrieve`].
    pub async fn report(&self, instance: &InstanceRecord, form: ReportForm) -> Result<String, RenderError> {
        let data_set = self.data_set(instance).await?;
        let elements = data_set.elements();
        let title = elements
            .item(0x0040_A043, 0)
            .map(|code| code.text(0x0008_0104).to_owned())
            .filter(|title| !title.is_empty())
            .unwrap_or_else(|| "Report".to_owned());
        let lines = card::report_lines(&elements, LINES_MAX, card::Names::Shown);
        Ok(match form {
            ReportForm::Plain => {
                let mut text = format!("{title}\n\n");
                for line in lines {
                    text.push_str(&line);
                    text.push('\n');
                }
                text
            }
            ReportForm::Html => page(&title, &head(&elements), &lines),
        })
    }
}

/// Who and when, for the head of a page.
fn head(elements: &Elements<'_>) -> String {
    [0x0010_0010, 0x0010_0020, 0x0008_0020, 0x0008_1030]
        .into_iter()
        .map(|tag| elements.text(tag).trim().to_owned())
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join(" · ")
}

fn page(title: &str, head: &str, lines: &[String]) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem}}\
         p{{margin:.2rem 0;white-space:pre-wrap}}</style></head><body>\n<h1>{title}</h1>\n<p>{head}</p>\n<hr>\n",
        title = escape(title),
        head = escape(head),
    );
    for line in lines {
        let depth = line.len() - line.trim_start_matches(' ').len();
        html.push_str(&format!(
            "<p style=\"margin-left:{}rem\">{}</p>\n",
            depth / 2,
            escape(line.trim_start())
        ));
    }
    html.push_str("</body></html>\n");
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn media_type(named: &str, sop_class_uid: &str) -> &'static str {
    const KNOWN: [&str; 9] = [
        "application/pdf",
        "text/xml",
        "application/xml",
        "text/plain",
        "model/stl",
        "application/sla",
        "model/obj",
        "model/mtl",
        "application/octet-stream",
    ];
    let named = named.to_ascii_lowercase();
    KNOWN
        .into_iter()
        .find(|known| *known == named)
        .unwrap_or(match sop_class_uid {
            "1.2.840.10008.5.1.4.1.1.104.1" => "application/pdf",
            "1.2.840.10008.5.1.4.1.1.104.2" => "text/xml",
            "1.2.840.10008.5.1.4.1.1.104.3" => "model/stl",
            "1.2.840.10008.5.1.4.1.1.104.4" => "model/obj",
            "1.2.840.10008.5.1.4.1.1.104.5" => "model/mtl",
            _ => "application/octet-stream",
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_no_markup_of_the_report() {
        let html = page("<b>", "a & b", &["  <script>".to_owned()]);
        assert!(html.contains("&lt;script&gt;") && html.contains("margin-left:1rem") && !html.contains("<script>"));
    }

    #[test]
    fn unknown_documents_are_bytes() {
        assert_eq!(media_type("text/html", "1.2"), "application/octet-stream");
        assert_eq!(media_type("APPLICATION/PDF", "1.2"), "application/pdf");
        assert_eq!(media_type("", "1.2.840.10008.5.1.4.1.1.104.2"), "text/xml");
    }
}
