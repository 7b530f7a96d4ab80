//! Instances for tests: data sets in normal form, so that one small reader describes them.

pub(crate) mod crash;
pub(crate) mod failing;
pub(crate) mod stumbling;

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    model::{
        Attributes, BulkValue, Description, Door, Elements, FrameTable, Header, Origin, PixelData, SeriesInstanceUid,
        SopClassUid, SopInstanceUid, StudyInstanceUid, StudyKeys, TransferSyntaxUid,
    },
    source::ReadAt,
    store::Describer,
};

pub(crate) const CT_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.2";
pub(crate) const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";

/// What a test says about an instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Sample {
    pub(crate) study: u32,
    pub(crate) series: u32,
    pub(crate) instance: u32,
    /// Bytes of pixel data.
    pub(crate) pixels: usize,
    /// What the pixels are filled with.
    pub(crate) fill: u8,
}

impl Sample {
    pub(crate) fn new(study: u32, series: u32, instance: u32) -> Self {
        Self {
            study,
            series,
            instance,
            pixels: 1000,
            fill: instance as u8,
        }
    }

    pub(crate) fn study_uid(&self) -> String {
        format!("1.2.3.{}", self.study)
    }

    pub(crate) fn series_uid(&self) -> String {
        format!("1.2.3.{}.{}", self.study, self.series)
    }

    pub(crate) fn sop_uid(&self) -> String {
        format!("1.2.3.{}.{}.{}", self.study, self.series, self.instance)
    }

    pub(crate) fn data_set(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |tag: u32, vr: &[u8; 2], value: &[u8]| element(&mut out, tag, *vr, value);
        put(0x0008_0016, b"UI", CT_IMAGE_STORAGE.as_bytes());
        put(0x0008_0018, b"UI", self.sop_uid().as_bytes());
        put(
            0x0008_0020,
            b"DA",
            format!("2024{:02}{:02}", self.study % 12 + 1, self.study % 28 + 1).as_bytes(),
        );
        put(0x0008_0050, b"SH", format!("A{}", self.study).as_bytes());
        put(
            0x0008_0060,
            b"CS",
            if self.series.is_multiple_of(2) { b"CT" } else { b"MR" },
        );
        put(0x0010_0010, b"PN", format!("doe{}^jane", self.study % 3).as_bytes());
        put(0x0010_0020, b"LO", format!("P{}", self.study % 5).as_bytes());
        put(0x0020_000D, b"UI", self.study_uid().as_bytes());
        put(0x0020_000E, b"UI", self.series_uid().as_bytes());
        put(0x0020_0011, b"IS", self.series.to_string().as_bytes());
        put(0x0020_0013, b"IS", self.instance.to_string().as_bytes());
        put(0x7FE0_0010, b"OW", &vec![self.fill; self.pixels]);
        out
    }

    pub(crate) fn description(&self) -> Description {
        let data_set = Bytes::from(self.data_set());
        SampleDescriber
            .describe(&data_set, &TransferSyntaxUid::new(EXPLICIT_LITTLE_ENDIAN).unwrap())
            .unwrap()
    }

    pub(crate) fn file_head(&self) -> Bytes {
        let mut head = vec![0; 128];
        head.extend_from_slice(b"DICM");
        element(&mut head, 0x0002_0010, *b"UI", EXPLICIT_LITTLE_ENDIAN.as_bytes());
        head.into()
    }
}

pub(crate) fn origin() -> Origin {
    Origin {
        door: Door::Dimse,
        sender: "MODALITY".into(),
        receiver: "FILMROOM".into(),
        address: "127.0.0.1:4242".into(),
    }
}

fn element(out: &mut Vec<u8>, tag: u32, vr: [u8; 2], value: &[u8]) {
    out.extend_from_slice(&((tag >> 16) as u16).to_le_bytes());
    out.extend_from_slice(&(tag as u16).to_le_bytes());
    out.extend_from_slice(&vr);
    let length = value.len() + value.len() % 2;
    if crate::model::has_long_length(vr) {
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&(length as u32).to_le_bytes());
    } else {
        out.extend_from_slice(&(length as u16).to_le_bytes());
    }
    out.extend_from_slice(value);
    out.resize(out.len() + length - value.len(), if vr == *b"UI" { 0 } else { b' ' });
}

/// Reads samples but for one, as a describer that has become stricter.
pub(crate) struct Refusing(pub(crate) String);

impl Describer for Refusing {
    fn describe(&self, data_set: &dyn ReadAt, transfer_syntax: &TransferSyntaxUid) -> Result<Description, String> {
        let description = SampleDescriber.describe(data_set, transfer_syntax)?;
        if description.sop_instance_uid.as_str() == self.0 {
            return Err("it is not liked any more".to_owned());
        }
        Ok(description)
    }
}

/// Reads samples.
pub(crate) struct SampleDescriber;

pub(crate) fn describer() -> Arc<dyn Describer> {
    Arc::new(SampleDescriber)
}

impl Describer for SampleDescriber {
    fn describe(&self, data_set: &dyn ReadAt, transfer_syntax: &TransferSyntaxUid) -> Result<Description, String> {
        let bytes = data_set
            .read_at(0, data_set.len() as usize)
            .map_err(|error| error.to_string())?;
        let (mut study, mut series, mut instance, mut header) = (vec![], vec![], vec![], vec![]);
        let mut pixel_data = None;
        let mut read = 0;
        for item in Elements::new(&bytes) {
            read += if crate::model::has_long_length(item.vr) { 12 } else { 8 } + item.value.len();
            match item.tag {
                0x7FE0_0010 => {
                    let length = item.value.len() as u64;
                    let frames = FrameTable::Native {
                        frame_length_bits: length * 8,
                    };
                    let offset = read as u64 - length;
                    pixel_data = Some(PixelData {
                        tag: item.tag,
                        offset,
                        length,
                        number_of_frames: 1,
                        frames,
                    });
                    element(&mut header, item.tag, item.vr, &[]);
                    continue;
                }
                0x0008_0060 | 0x0020_000E | 0x0020_0011 => element(&mut series, item.tag, item.vr, item.value),
                0x0008_0016 | 0x0008_0018 | 0x0020_0013 => element(&mut instance, item.tag, item.vr, item.value),
                _ => element(&mut study, item.tag, item.vr, item.value),
            }
            element(&mut header, item.tag, item.vr, item.value);
        }
        let whole = Attributes::from_normal_form(header.into());
        let pixel_data = pixel_data.ok_or("no pixel data")?;
        let bulk = BulkValue {
            path: "7FE00010".into(),
            vr: "OW".into(),
            offset: pixel_data.offset,
            length: pixel_data.length,
            encapsulated: false,
        };
        let uid = |tag: u32| whole.text(tag).to_owned();
        let wrong = |error: crate::model::UidError| error.to_string();
        Ok(Description {
            study_instance_uid: StudyInstanceUid::new(&uid(0x0020_000D)).map_err(wrong)?,
            series_instance_uid: SeriesInstanceUid::new(&uid(0x0020_000E)).map_err(wrong)?,
            sop_instance_uid: SopInstanceUid::new(&uid(0x0008_0018)).map_err(wrong)?,
            sop_class_uid: SopClassUid::new(&uid(0x0008_0016)).map_err(wrong)?,
            transfer_syntax_uid: transfer_syntax.clone(),
            study: Attributes::from_normal_form(study.into()),
            series: Attributes::from_normal_form(series.into()),
            instance: Attributes::from_normal_form(instance.into()),
            keys: StudyKeys {
                patient_id: uid(0x0010_0020),
                patient_names: vec![uid(0x0010_0010)],
                accession_number: uid(0x0008_0050),
                study_date: uid(0x0008_0020),
                ..StudyKeys::default()
            },
            header: Header {
                attributes: whole,
                bulk: vec![bulk],
            },
            pixel_data: Some(pixel_data),
            quirks: vec![],
        })
    }
}
