//! The flamegraph: an SVG with search and zoom, drawn by inferno. The only file that names it.
//!
//! Frames take their colour from whose code they are, and a shade of it from their name, so that the same function looks
//! the same in every graph.

use std::io::{self, Write};

use inferno::flamegraph::color::{BackgroundColor, Color, PaletteMap};
use inferno::flamegraph::{Direction, Options, TextTruncateDirection, from_lines};

use super::Report;
use crate::profile::{Label, Origin};

/// What the colours mean, for the subtitle.
const LEGEND: &str = "colours: app orange, libraries blue, gunicorn green, standard library grey";

/// The colour of all that is no frame.
const LEVEL: Color = Color { r: 205, g: 205, b: 225 };

/// Draws the report, outermost frames on top.
pub(super) fn write(report: &Report<'_>, to: &mut dyn Write) -> io::Result<()> {
    let mut palette = PaletteMap::default();
    for label in report.profile.labels() {
        palette.insert(&label.text, color(label));
    }
    // The root, which has no name here, would otherwise be a hot red.
    palette.insert("", LEVEL);
    let mut options = Options::default();
    options.title = report.title();
    options.subtitle = Some(format!("{} · {LEGEND}", report.subtitle()));
    options.direction = Direction::Inverted;
    options.bgcolors = Some(BackgroundColor::Flat(Color { r: 255, g: 255, b: 255 }));
    options.text_truncate_direction = TextTruncateDirection::Right;
    options.name_type = "Function:".into();
    options.palette_map = Some(&mut palette);
    // The paths come in the order of their labels, which inferno asks for: equal beginnings stand together.
    options.no_sort = true;
    let lines: Vec<String> =
        report.profile.paths.iter().map(|path| format!("{} {}", report.profile.line(path), path.count)).collect();
    from_lines(&mut options, lines.iter().map(String::as_str), to).map_err(|error| io::Error::other(error.to_string()))
}

fn color(label: &Label) -> Color {
    // FNV-1a: the same on every machine and in every version, as a committed picture needs it.
    let hash =
        label.text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [shade, ..] = (hash >> 16 & 31).to_le_bytes();
    let (r, g, b) = match label.origin {
        Origin::Level => return LEVEL,
        Origin::App => (223 + shade, 120 + 2 * shade, 50 + shade),
        Origin::Library => (110 + shade, 165 + shade, 214 + shade),
        Origin::Gunicorn => (110 + shade, 190 + shade, 110 + shade),
        Origin::Stdlib => (190 + shade, 190 + shade, 180 + shade),
    };
    Color { r, g, b }
}
