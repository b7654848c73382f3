//! The curves of growth, as SVG.

use std::ops::Range;
use std::path::Path;

use plotters::prelude::*;

use crate::growth::Size;
use crate::table::mebibytes;

/// Width and height in pixels.
const PICTURE: (u32, u32) = (960, 720);
const MARGIN: u32 = 14;
const LABELS: u32 = 56;

/// A line: what it is, and its points.
type Line = (&'static str, Vec<(f64, f64)>);

/// Draws what depends on the size.
pub fn plot(sizes: &[Size], file: &Path) -> anyhow::Result<()> {
    let line = |what, of: fn(&Size) -> f64| -> Line {
        let point = |size: &Size| (size.label_versions as f64, of(size));
        (what, sizes.iter().map(point).collect())
    };
    let charts = [
        (
            "bytes on disk for each label-version",
            vec![line("", Size::bytes_per_version)],
        ),
        (
            "resident memory, MiB",
            vec![
                line("import", |s| mebibytes(s.import_rss)),
                line("serving", |s| mebibytes(s.serving_rss)),
            ],
        ),
        (
            "lookup, ms",
            vec![
                line("p50, first", |s| s.first.p50),
                line("p99, first", |s| s.first.p99),
                line("p50, again", |s| s.again.p50),
                line("p99, again", |s| s.again.p99),
            ],
        ),
        (
            "label-versions inserted in a second",
            vec![line("", |s| s.inserted_per_second)],
        ),
    ];
    let root = SVGBackend::new(file, PICTURE).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, (title, lines)) in root.split_evenly((2, 2)).iter().zip(&charts) {
        chart(area, title, lines)?;
    }
    root.present()?;
    Ok(())
}

fn chart(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    lines: &[Line],
) -> anyhow::Result<()> {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let (x, y) = (
        bounds(points().map(|p| p.0)),
        0.0..1.1 * bounds(points().map(|p| p.1)).end,
    );
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(MARGIN)
        .x_label_area_size(LABELS / 2)
        .y_label_area_size(LABELS)
        .build_cartesian_2d(x.log_scale(), y)?;
    let power = |x: &f64| format!("{x:e}");
    let mut mesh = chart.configure_mesh();
    mesh.x_label_formatter(&power).max_light_lines(0).draw()?;
    for (index, (what, points)) in lines.iter().enumerate() {
        let color = Palette99::pick(index).to_rgba();
        let line = LineSeries::new(points.iter().copied(), color.stroke_width(2)).point_size(3);
        let series = chart.draw_series(line)?;
        if !what.is_empty() {
            let key = move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2));
            series.label(*what).legend(key);
        }
    }
    if lines.len() > 1 {
        let mut keys = chart.configure_series_labels();
        keys.position(SeriesLabelPosition::UpperLeft);
        keys.background_style(WHITE.mix(0.8)).draw()?;
    }
    Ok(())
}

/// From the least to the greatest, and not empty.
fn bounds(numbers: impl Iterator<Item = f64>) -> Range<f64> {
    let (least, greatest) = numbers.fold((f64::MAX, 0.0), |(least, greatest), n| {
        (n.min(least), n.max(greatest))
    });
    least..greatest.max(least * 1.01)
}
