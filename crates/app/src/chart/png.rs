//! A chart's SVG as a PNG, with a font of our own: what a machine has installed does not matter.

use anyhow::{Context, bail};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};
use std::path::Path;
use std::sync::Arc;

/// DejaVu Sans, its Latin part; its licence lies beside it.
const FONT: &[u8] = include_bytes!("font/DejaVuSans-latin.ttf");
/// Widest picture that is drawn.
const WIDTH_MAX: f32 = 8_000.0;
/// What a page's style sheet says of charts, for a picture that has none.
const STYLE: &str = "text{font:9.5px 'DejaVu Sans';fill:#47535c}.unit{font-weight:600}\
                     .grid{stroke:#e3e8eb}.zero{stroke:#8b979f}.tick{stroke:#8b979f}";

/// Draws an SVG so many pixels wide.
///
/// # Errors
/// When the SVG cannot be drawn.
pub fn draw(svg: &str, width: f32) -> anyhow::Result<Vec<u8>> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let options = Options {
        fontdb: Arc::new(fonts),
        font_family: "DejaVu Sans".into(),
        style_sheet: Some(STYLE.to_owned()),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).context("failed to draw the chart")?;
    let scale = width.clamp(1.0, WIDTH_MAX) / tree.size().width();
    let (w, h) = ((tree.size().width() * scale).round(), (tree.size().height() * scale).round());
    let Some(mut picture) = Pixmap::new(w as u32, h as u32) else {
        bail!("failed to draw the chart: it has no size");
    };
    picture.fill(resvg::tiny_skia::Color::WHITE);
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut picture.as_mut());
    picture.encode_png().context("failed to write the picture")
}

/// Writes an SVG as a PNG file so many pixels wide.
///
/// # Errors
/// When it cannot be drawn or written.
pub fn write(path: &Path, svg: &str, width: f32) -> anyhow::Result<()> {
    std::fs::write(path, draw(svg, width)?)
        .with_context(|| format!("failed to write {}", path.display()))
}
