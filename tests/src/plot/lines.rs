//! What changed over time, as lines of several colours.

use anyhow::{Result, anyhow};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{BOTTOM, FOOT, GRID, HEAD, INK, PALE, RIGHT, Series, color, sheet, wide};

/// A plot over time.
#[derive(Clone, Debug)]
pub struct Lines {
    /// What it is about.
    pub title: String,
    /// How to read it.
    pub subtitle: String,
    /// What the lower axis counts, with its unit.
    pub time: String,
    /// What the other axis counts.
    pub axis: String,
    /// The lines, and their values from time 0 on.
    pub lines: Vec<(Series, Vec<f64>)>,
    /// Upright lines at a time, and what they say.
    pub marks: Vec<(f64, String)>,
}

const HEIGHT: i32 = 300;
const LEFT: i32 = 64;

impl Lines {
    /// The SVG.
    pub fn draw(&self) -> Result<String> {
        let mut svg = String::new();
        self.draw_into(&mut svg)
            .map_err(|problem| anyhow!("{}: {problem}", self.title))?;
        svg.push('\n');
        Ok(svg)
    }

    fn draw_into(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let height = HEAD + HEIGHT + FOOT + BOTTOM;
        let root = sheet(svg, height, &self.title, &self.subtitle)?;
        let text = |size: i32, color| ("sans-serif", size).into_font().color(color);
        let mut x = 16;
        for (series, _) in &self.lines {
            let box_ = [(x, 67), (x + 12, 79)];
            root.draw(&Rectangle::new(box_, color(series.color).filled()))?;
            root.draw(&Text::new(series.name, (x + 18, 66), text(13, &INK)))?;
            x += 18 + wide(series.name) + 18;
        }

        let values = self.lines.iter().flat_map(|(_, values)| values);
        let most = values.copied().fold(1.0, f64::max) * 1.1;
        let longest = self.lines.iter().map(|(_, values)| values.len()).max();
        let end = longest.unwrap_or_default().saturating_sub(1).max(1) as f64;
        let mut chart = ChartBuilder::on(&root)
            .margin_top(HEAD + 16)
            .margin_left(12)
            .margin_right(RIGHT)
            .margin_bottom(BOTTOM)
            .set_label_area_size(LabelAreaPosition::Left, LEFT)
            .set_label_area_size(LabelAreaPosition::Bottom, FOOT)
            .build_cartesian_2d(0.0..end, 0.0..most)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(10)
            .y_labels(6)
            .x_label_formatter(&|value| format!("{value:.0}"))
            .y_label_formatter(&|value| format!("{value:.0}"))
            .x_desc(self.time.as_str())
            .y_desc(self.axis.as_str())
            .label_style(text(12, &INK))
            .axis_style(PALE)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .draw()?;
        for (time, says) in &self.marks {
            let line = vec![(*time, 0.0), (*time, most)];
            chart.draw_series([DashedPathElement::new(line, 4, 3, PALE)])?;
            let style = text(12, &INK).pos(Pos::new(HPos::Left, VPos::Bottom));
            let label = Text::new(says.clone(), (-4, -2), style);
            chart.draw_series([EmptyElement::at((*time, most)) + label])?;
        }
        for (series, values) in &self.lines {
            let points = (0..).map(f64::from).zip(values.iter().copied());
            let style = color(series.color).stroke_width(3);
            chart.draw_series([PathElement::new(points.collect::<Vec<_>>(), style)])?;
        }
        root.present()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::palette;
    use super::*;

    #[test]
    fn everything_is_named() {
        let line = |name, values: &[f64]| {
            let color = palette::BLUE;
            (Series { name, color }, values.to_vec())
        };
        let lines = Lines {
            title: "A storm".to_owned(),
            subtitle: "more is better".to_owned(),
            time: "seconds".to_owned(),
            axis: "served".to_owned(),
            lines: vec![line("first", &[1.0, 2.0]), line("second", &[])],
            marks: vec![(1.0, "it begins".to_owned())],
        };
        let svg = lines.draw().unwrap();
        for text in [
            "A storm",
            "more is better",
            "seconds",
            "served",
            "first",
            "second",
            "it begins",
        ] {
            assert!(svg.contains(text), "no {text:?} in {svg}");
        }
    }
}
