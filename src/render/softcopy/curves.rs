//! Lines and curves as points.

/// Points that a curve is drawn through, between two of its own or around.
pub const STEPS: usize = 24;
/// The part of a line that lies in a box of left, top, right, bottom (by Liang and Barsky).
pub fn clip(
    from: (f64, f64),
    to: (f64, f64),
    (left, top, right, bottom): (f64, f64, f64, f64),
) -> Option<((f64, f64), (f64, f64))> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (mut begin, mut end) = (0.0f64, 1.0f64);
    for (step, room) in [
        (-dx, from.0 - left),
        (dx, right - from.0),
        (-dy, from.1 - top),
        (dy, bottom - from.1),
    ] {
        if step == 0.0 {
            if room < 0.0 {
                return None;
            }
        } else if step < 0.0 {
            begin = begin.max(room / step);
        } else {
            end = end.min(room / step);
        }
    }
    (begin <= end).then_some((
        (from.0 + dx * begin, from.1 + dy * begin),
        (from.0 + dx * end, from.1 + dy * end),
    ))
}

/// An ellipse around a centre through the ends of two half axes, closed.
pub fn ellipse(centre: (f64, f64), one: (f64, f64), other: (f64, f64)) -> Vec<(f64, f64)> {
    let count = STEPS * 4;
    (0..=count)
        .map(|step| {
            let angle = (step % count) as f64 * std::f64::consts::TAU / count as f64;
            let (sine, cosine) = angle.sin_cos();
            (
                centre.0 + one.0 * cosine + other.0 * sine,
                centre.1 + one.1 * cosine + other.1 * sine,
            )
        })
        .collect()
}

/// A curve through all points (Catmull-Rom); closed where the points are.
pub fn smooth(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    let points = points.get(..most.min(points.len())).unwrap_or(points);
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Vec::new();
    };
    let closed = points.len() > 3 && first == last;
    let before = if closed { points.get(points.len() - 2) } else { None };
    let after = if closed { points.get(1) } else { None };
    let padded: Vec<(f64, f64)> = std::iter::once(*before.unwrap_or(first))
        .chain(points.iter().copied())
        .chain(std::iter::once(*after.unwrap_or(last)))
        .collect();
    let mut curve = vec![*first];
    for four in padded.windows(4) {
        let &[a, b, c, d] = four else { continue };
        let through = |a: f64, b: f64, c: f64, d: f64, t: f64| {
            0.5 * (2.0 * b
                + (c - a) * t
                + (2.0 * a - 5.0 * b + 4.0 * c - d) * t * t
                + (3.0 * b - a - 3.0 * c + d) * t * t * t)
        };
        curve.extend((1..=STEPS).map(|step| {
            let t = step as f64 / STEPS as f64;
            (through(a.0, b.0, c.0, d.0, t), through(a.1, b.1, c.1, d.1, t))
        }));
    }
    curve
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_the_picture() {
        let within = (0.0, 0.0, 10.0, 10.0);
        assert_eq!(clip((-10.0, 5.0), (20.0, 5.0), within), Some(((0.0, 5.0), (10.0, 5.0))));
        assert_eq!(clip((2.0, 3.0), (4.0, 5.0), within), Some(((2.0, 3.0), (4.0, 5.0))));
        assert_eq!(clip((-5.0, 2.0), (-1.0, 8.0), within), None);
        assert_eq!(clip((1e300, 2.0), (1e300, 8.0), within), None);
    }

    #[test]
    fn curves_go_through_their_points() {
        let points = [(0.0, 0.0), (10.0, 5.0), (20.0, 0.0), (30.0, 9.0)];
        let curve = smooth(&points, 100);
        assert_eq!(curve.len(), 3 * STEPS + 1);
        for point in points {
            let near = curve.iter().any(|at| (at.0 - point.0).hypot(at.1 - point.1) < 1e-9);
            assert!(near, "{point:?}");
        }
        let round = ellipse((5.0, 5.0), (3.0, 0.0), (0.0, 2.0));
        assert_eq!(round.first(), round.last());
        assert!(
            round
                .iter()
                .all(|(x, y)| (((x - 5.0) / 3.0).powi(2) + ((y - 5.0) / 2.0).powi(2) - 1.0).abs() < 1e-9)
        );
    }
}
