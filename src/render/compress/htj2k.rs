//! High-Throughput JPEG 2000, reversible, by resolution (ISO 15444-15; PS3.5 §10.17: RPCL with a TLM marker), so that viewers
//! can show the front of a frame while the rest comes.

use openjph_core::{
    codestream::Codestream,
    file::MemOutfile,
    types::{Point, Size},
};

use super::{CompressError, cells};
use crate::render::decode::Frame;

/// Compresses a frame of up to 16 bits without loss. Components stand apart: the encoder's reversible colour transform does
/// not come back exactly, and RGB without it needs no other photometric interpretation.
///
/// # Errors
/// [`CompressError::Unsupported`].
pub fn compress(frame: &Frame) -> Result<Vec<u8>, CompressError> {
    let unsupported = |what: String| CompressError::Unsupported("HTJ2K", what);
    let cells = cells(frame).ok_or_else(|| unsupported("samples of more than 16 bits".into()))?;
    let components = frame.samples_per_pixel;
    let sign = 1i32 << (frame.bits_stored.clamp(1, 16) - 1);
    let value = |cell: u16| {
        let cell = i32::from(cell);
        if frame.signed && cell & sign != 0 {
            cell - 2 * sign
        } else {
            cell
        }
    };
    let write = || -> openjph_core::Result<Vec<u8>> {
        let mut stream = Codestream::new();
        let size = stream.access_siz_mut();
        size.set_image_extent(Point::new(frame.columns, frame.rows));
        size.set_num_components(components);
        for component in 0..components {
            size.set_comp_info(component, Point::new(1, 1), frame.bits_stored, frame.signed);
        }
        size.set_tile_size(Size::new(frame.columns, frame.rows));
        let coding = stream.access_cod_mut();
        // Halving stops before a side is gone.
        coding.set_num_decomposition(frame.columns.min(frame.rows).max(1).ilog2().min(5));
        coding.set_reversible(true);
        coding.set_color_transform(false);
        coding.set_progression_order("RPCL")?;
        stream.request_tlm_marker(true);
        stream.set_planar(0);
        let mut out = MemOutfile::new();
        stream.write_headers(&mut out, &[])?;
        let stride = components as usize;
        for row in cells.chunks_exact(frame.columns as usize * stride) {
            for component in 0..stride {
                let line: Vec<i32> = row
                    .iter()
                    .skip(component)
                    .step_by(stride)
                    .map(|&cell| value(cell))
                    .collect();
                stream.exchange(&line, component as u32)?;
            }
        }
        stream.flush(&mut out)?;
        Ok(out.get_data().to_vec())
    };
    let mut out = write().map_err(|error| unsupported(error.to_string()))?;
    if out.len() % 2 == 1 {
        out.push(0);
    }
    Ok(out)
}
