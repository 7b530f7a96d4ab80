//! Packets: what a resolution of one component adds, with the tag trees of its head (ISO 15444-1 Annex B.10).
#![expect(clippy::indexing_slicing, reason = "nodes of a tree are numbered by its own levels")]

use super::Block;

/// The blocks of one subband in rows; what is all zero is `None`.
pub struct Band {
    /// Blocks across.
    pub across: usize,
    /// Blocks down.
    pub down: usize,
    /// Row by row.
    pub blocks: Vec<Option<Block>>,
    /// Magnitude bit-planes that the quantization step allows.
    pub planes_max: u32,
}

/// Writes the packet of a resolution: one layer, one precinct.
pub fn write(bands: &[Band], out: &mut Vec<u8>) {
    let mut bits = HeadWriter {
        out,
        held: 0,
        count: 0,
        room: 8,
    };
    bits.put(1, 1);
    for band in bands.iter().filter(|band| !band.blocks.is_empty()) {
        let left_out = |block: &Option<Block>| u32::from(block.is_none());
        let missing = |block: &Option<Block>| block.as_ref().map_or(u32::MAX, |block| band.planes_max - block.planes);
        let mut inclusion = TagTree::new(band.across, band.down, band.blocks.iter().map(left_out));
        let mut planes = TagTree::new(band.across, band.down, band.blocks.iter().map(missing));
        for (index, block) in band.blocks.iter().enumerate() {
            let (column, row) = (index % band.across, index / band.across);
            inclusion.write(column, row, 1, &mut bits);
            let Some(block) = block else { continue };
            planes.write(column, row, band.planes_max - block.planes + 1, &mut bits);
            block.write_head(&mut bits);
        }
    }
    bits.finish();
    for block in bands.iter().flat_map(|band| band.blocks.iter().flatten()) {
        out.extend_from_slice(&block.bytes);
    }
}

impl Block {
    /// Number of passes and length (Table B.4, B.10.7).
    fn write_head(&self, bits: &mut HeadWriter<'_>) {
        match self.passes {
            1 => bits.put(0, 1),
            2 => bits.put(0b10, 2),
            3..=5 => bits.put(0xC | (self.passes - 3), 4),
            6..=36 => bits.put(0x1E0 | (self.passes - 6), 9),
            _ => bits.put(0xFF80 | (self.passes - 37), 16),
        }
        let length = self.bytes.len() as u32;
        let needed = 32 - length.leading_zeros();
        let given = 3 + self.passes.ilog2();
        let more = needed.saturating_sub(given);
        (0..more).for_each(|_| bits.put(1, 1));
        bits.put(0, 1);
        bits.put(length, given + more);
    }
}

/// A tag tree (B.10.2): each node holds the least of the up to four below it.
struct TagTree {
    /// Widths and first nodes of the levels, leaves first.
    levels: Vec<(usize, usize)>,
    nodes: Vec<Node>,
}

#[derive(Clone, Copy)]
struct Node {
    value: u32,
    told: u32,
    is_known: bool,
}

impl TagTree {
    fn new(across: usize, down: usize, values: impl Iterator<Item = u32>) -> Self {
        let node = |value| Node {
            value,
            told: 0,
            is_known: false,
        };
        let mut nodes: Vec<Node> = values.map(node).collect();
        let mut levels = vec![(across, 0)];
        let (mut across, mut down, mut first) = (across, down, 0);
        while across * down > 1 {
            let (wide, high) = (across.div_ceil(2), down.div_ceil(2));
            let next = nodes.len();
            nodes.resize(next + wide * high, node(u32::MAX));
            for row in 0..down {
                for column in 0..across {
                    let value = nodes[first + row * across + column].value;
                    let parent = &mut nodes[next + row / 2 * wide + column / 2].value;
                    *parent = value.min(*parent);
                }
            }
            levels.push((wide, next));
            (across, down, first) = (wide, high, next);
        }
        Self { levels, nodes }
    }

    /// Tells of a leaf whether it is below `threshold`, and how much.
    fn write(&mut self, column: usize, row: usize, threshold: u32, bits: &mut HeadWriter<'_>) {
        let mut told = 0;
        for (level, &(wide, first)) in self.levels.iter().enumerate().rev() {
            let node = &mut self.nodes[first + (row >> level) * wide + (column >> level)];
            told = node.told.max(told);
            while told < threshold {
                if told >= node.value {
                    if !node.is_known {
                        bits.put(1, 1);
                        node.is_known = true;
                    }
                    break;
                }
                bits.put(0, 1);
                told += 1;
            }
            node.told = told;
        }
    }
}

/// Highest bit first; behind FF comes a byte of seven bits (B.10.1).
struct HeadWriter<'a> {
    out: &'a mut Vec<u8>,
    held: u8,
    count: u32,
    room: u32,
}

impl HeadWriter<'_> {
    fn put(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            self.held = (self.held << 1) | ((value >> bit) & 1) as u8;
            self.count += 1;
            if self.count == self.room {
                self.byte();
            }
        }
    }

    fn byte(&mut self) {
        self.out.push(self.held);
        self.room = if self.held == 0xFF { 7 } else { 8 };
        self.held = 0;
        self.count = 0;
    }

    fn finish(mut self) {
        if self.count > 0 || self.room == 7 {
            self.held <<= self.room - self.count;
            self.byte();
        }
    }
}
