//! Pixel data → another form, frame by frame, with the attributes that then hold (PS3.5 §8.2, §A.4, PS3.3 C.7.6.3).
//!
//! Pixels that a lossless coding carries come out identical. Lossy flags (0028,2110) and what goes with them stay: the
//! loss has happened.

use bytes::Bytes;
use filmroom_storage::model::{Header, PixelData, Tag, TransferSyntaxUid};

use super::colour;
use super::compress::CompressError;
use super::decode::{DecodeError, Frame, Reduction, Samples, decode, mask};
use super::elements::Elements;
use super::pixel_description::{Photometric, PixelDescription, Planes};

mod compressed;
mod form;
mod loss;
#[cfg(test)]
mod tests;

pub use form::Form;
use loss::Loss;

/// Why pixel data is not given in another form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TranscodeError {
    /// What is stored cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The form has no place for it.
    #[error(transparent)]
    Compress(#[from] CompressError),
}

/// An attribute that changes with the transfer syntax: tag, value representation, value in little endian byte order.
pub type Changed = (Tag, [u8; 2], Vec<u8>);

/// Transcodes the pixel data of one instance.
///
/// Use: make it with the first frame, write the elements before the pixel data with [`Transcoder::changed`] put over them,
/// then the head of (7FE0,0010) with [`Transcoder::value_representation`] and, for native ones, [`Transcoder::value_length`],
/// then what [`Transcoder::frame`] gives for every frame in order, then, for native ones, what [`Transcoder::finish`] gives.
/// CPU work: call it on a blocking thread.
pub struct Transcoder {
    transfer_syntax_uid: String,
    form: Form,
    stored: PixelDescription,
    photometric: Photometric,
    number_of_frames: u32,
    /// Bits of frames of one bit a sample that are no whole byte yet.
    held: (u8, u32),
    given: u64,
    /// The first frame as it was stored, and what it becomes, until it is asked for.
    first: Option<(Bytes, First)>,
    loss: Option<Loss>,
}

enum First {
    Decoded(Frame),
    Compressed(Bytes),
}

impl Transcoder {
    /// Reads what the pixels are, and tries the first frame. `first_frame`: as [`filmroom_retrieve::Retrieve::frame`] gives it;
    /// what a colour transform was is told from its head.
    ///
    /// # Errors
    /// [`TranscodeError::Decode`] for a description that cannot be used and for a first frame that cannot be decoded,
    /// [`TranscodeError::Compress`] for pixels that the form has no place for.
    pub fn new(
        header: &Header,
        pixel_data: &PixelData,
        transfer_syntax_uid: &TransferSyntaxUid,
        first_frame: &Bytes,
        form: Form,
    ) -> Result<Self, TranscodeError> {
        let elements = Elements::of(header);
        let stored = PixelDescription::read(&elements, pixel_data.tag)?;
        if form != Form::Native {
            compressed::check(form, pixel_data.tag, &stored, &elements)?;
        }
        let first = decode(first_frame, transfer_syntax_uid.as_str(), &stored, Reduction::None)?;
        let mut transcoder = Self {
            transfer_syntax_uid: transfer_syntax_uid.as_str().to_owned(),
            form,
            photometric: first.photometric,
            stored,
            number_of_frames: pixel_data.number_of_frames.max(1),
            held: (0, 0),
            given: 0,
            first: None,
            loss: None,
        };
        transcoder.first = Some(if form == Form::Native {
            (first_frame.clone(), First::Decoded(first))
        } else {
            let compressed = compressed::compress(form, &first, &transcoder.stored)?;
            if form.is_lossy() {
                transcoder.loss = Some(Loss::of(&elements, transcoder.frame_length(), compressed.len()));
            }
            (first_frame.clone(), First::Compressed(compressed))
        });
        Ok(transcoder)
    }

    /// The attributes that differ from the stored ones.
    #[must_use]
    pub fn changed(&self) -> Vec<Changed> {
        let mut changed = Vec::new();
        let photometric = compressed::photometric(self.form, self.photometric);
        if photometric != self.stored.photometric {
            changed.push((0x0028_0004, *b"CS", padded(photometric.term())));
        }
        let planes = if self.form == Form::Rle {
            Planes::Separate
        } else {
            Planes::Interleaved
        };
        if self.stored.samples_per_pixel > 1 && self.stored.planes != planes {
            changed.push((0x0028_0006, *b"US", vec![u8::from(planes == Planes::Separate), 0]));
        }
        if self.form.keeps_samples_only() && self.stored.low_bit() > 0 {
            let high_bit = self.stored.bits_stored.saturating_sub(1) as u16;
            changed.push((0x0028_0102, *b"US", high_bit.to_le_bytes().to_vec()));
        }
        changed.extend(self.loss.iter().flat_map(Loss::changed));
        changed
    }

    /// OB for cells of up to 8 bits, else OW (PS3.5 §8.1.2, §A.2).
    #[must_use]
    pub fn value_representation(&self) -> [u8; 2] {
        if self.form != Form::Native || self.stored.bits_allocated <= 8 {
            *b"OB"
        } else {
            *b"OW"
        }
    }

    /// Bytes of the value of (7FE0,0010), padding included.
    #[must_use]
    pub fn value_length(&self) -> u64 {
        self.bits().div_ceil(8).next_multiple_of(2)
    }

    /// Bytes of one frame that begins at a byte.
    #[must_use]
    pub fn frame_length(&self) -> u64 {
        self.frame_bits().div_ceil(8)
    }

    fn bits(&self) -> u64 {
        self.frame_bits() * u64::from(self.number_of_frames)
    }

    fn frame_bits(&self) -> u64 {
        u64::from(self.stored.rows)
            * u64::from(self.stored.columns)
            * u64::from(self.stored.samples_per_pixel)
            * u64::from(self.stored.bits_allocated)
    }

    /// The next frame: its native bytes, or compressed and of even length. Where native frames of one bit a sample do not end
    /// at a byte, the last bits come with the next call.
    ///
    /// # Errors
    /// [`TranscodeError`].
    pub fn frame(&mut self, stored: &Bytes) -> Result<Bytes, TranscodeError> {
        let first = self
            .first
            .take()
            .filter(|(first, _)| first.as_ptr() == stored.as_ptr() && first.len() == stored.len());
        let mut frame = match first {
            Some((_, First::Compressed(bytes))) => return Ok(bytes),
            Some((_, First::Decoded(frame))) => frame,
            None => decode(stored, &self.transfer_syntax_uid, &self.stored, Reduction::None)?,
        };
        if frame.photometric != self.photometric {
            match (frame.photometric, self.photometric) {
                (Photometric::YbrFull, Photometric::Rgb) => colour::ybr_full_to_rgb(&mut frame),
                _ => return Err(DecodeError::Damaged("frames of different colour spaces".into()).into()),
            }
        }
        if self.form != Form::Native {
            return Ok(compressed::compress(self.form, &frame, &self.stored)?);
        }
        let bytes = if self.stored.bits_allocated == 1 {
            self.pack(&frame)
        } else {
            cells(&frame, self.stored.bits_allocated)?.into()
        };
        self.given += bytes.len() as u64;
        Ok(bytes)
    }

    /// The first frame as it was stored, while what it becomes is still at hand: given back to [`Transcoder::frame`], it
    /// costs nothing more.
    #[must_use]
    pub fn first_stored(&self) -> Option<Bytes> {
        self.first.as_ref().map(|(stored, _)| stored.clone())
    }

    /// What is left after the last frame: bits, and padding to an even length.
    #[must_use]
    pub fn finish(&mut self) -> Bytes {
        let mut rest = Vec::new();
        if self.held.1 > 0 {
            rest.push(self.held.0);
            self.held = (0, 0);
        }
        if (self.given + rest.len() as u64) % 2 == 1 {
            rest.push(0);
        }
        self.given += rest.len() as u64;
        rest.into()
    }

    fn pack(&mut self, frame: &Frame) -> Bytes {
        let (mut byte, mut count) = self.held;
        let mut out = Vec::with_capacity(frame.samples.len() / 8 + 1);
        for index in 0..frame.samples.len() {
            byte |= u8::from(frame.value(index) != 0.0) << count;
            count += 1;
            if count == 8 {
                out.push(byte);
                (byte, count) = (0, 0);
            }
        }
        self.held = (byte, count);
        out.into()
    }
}

/// Little endian cells of `bits_allocated` bits, negative values extended through the whole cell.
fn cells(frame: &Frame, bits_allocated: u32) -> Result<Vec<u8>, DecodeError> {
    let extend = frame.signed && frame.low_bit == 0 && frame.bits_stored < bits_allocated;
    let (sign, fill) = (1u32 << (frame.bits_stored.clamp(1, 32) - 1), !mask(frame.bits_stored));
    let whole = |cell: u32| if extend && cell & sign != 0 { cell | fill } else { cell };
    match (&frame.samples, bits_allocated) {
        (Samples::U8(samples), 8) if !extend => Ok(samples.to_vec()),
        (Samples::U8(samples), 8) => Ok(samples.iter().map(|&cell| whole(u32::from(cell)) as u8).collect()),
        (Samples::U8(samples), 16) => Ok(samples
            .iter()
            .flat_map(|&cell| (whole(u32::from(cell)) as u16).to_le_bytes())
            .collect()),
        (Samples::U16Le(samples), 16) if !extend => Ok(samples.to_vec()),
        (Samples::U16Le(samples), 16) => Ok(samples
            .as_chunks::<2>()
            .0
            .iter()
            .flat_map(|cell| (whole(u32::from(u16::from_le_bytes(*cell))) as u16).to_le_bytes())
            .collect()),
        (Samples::U16(samples), 16) => Ok(samples
            .iter()
            .flat_map(|&cell| (whole(u32::from(cell)) as u16).to_le_bytes())
            .collect()),
        (Samples::U16(samples), 8) => Ok(samples.iter().map(|&cell| cell as u8).collect()),
        (Samples::U32(samples), 32) => Ok(samples.iter().flat_map(|&cell| whole(cell).to_le_bytes()).collect()),
        (Samples::U8(samples), 32) => Ok(samples
            .iter()
            .flat_map(|&cell| whole(u32::from(cell)).to_le_bytes())
            .collect()),
        (Samples::U16(samples), 32) => Ok(samples
            .iter()
            .flat_map(|&cell| whole(u32::from(cell)).to_le_bytes())
            .collect()),
        (Samples::F32(samples), 32) => Ok(samples.iter().flat_map(|cell| cell.to_le_bytes()).collect()),
        (Samples::F64(samples), 64) => Ok(samples.iter().flat_map(|cell| cell.to_le_bytes()).collect()),
        (_, bits) => Err(DecodeError::Unsupported(format!(
            "samples of this coding in cells of {bits} bits"
        ))),
    }
}

/// A text of even length.
fn padded(text: &str) -> Vec<u8> {
    let mut value = text.as_bytes().to_vec();
    if value.len() % 2 == 1 {
        value.push(b' ');
    }
    value
}
