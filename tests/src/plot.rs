//! Bars beside their names, drawn as SVG for the pages: what was measured of several
//! things, by several ways. A plot has a background of its own, so that it can be read on
//! a dark page, too; its legend has a line of its own above the bars.

mod lines;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub use lines::Lines;

/// Colours that differ for the colour-blind, too (Okabe and Ito), and on white.
pub mod palette {
    /// Red, green and blue.
    pub type Color = (u8, u8, u8);

    /// Blue.
    pub const BLUE: Color = (0, 114, 178);
    /// Orange.
    pub const ORANGE: Color = (230, 129, 0);
    /// Grey, for what others are compared with.
    pub const GREY: Color = (128, 128, 128);
    /// Red, for what goes wrong.
    pub const RED: Color = (196, 64, 64);
    /// Three greens, from dark to light.
    pub const GREENS: [Color; 3] = [(0, 90, 66), (0, 158, 115), (124, 202, 172)];
}

/// A plot.
#[derive(Clone, Debug)]
pub struct Bars {
    /// What it is about.
    pub title: String,
    /// How to read it.
    pub subtitle: String,
    /// What the axis counts, with its unit.
    pub axis: String,
    /// Digits behind the point of each bar's number.
    pub decimals: usize,
    /// The ways that are compared.
    pub series: Vec<Series>,
    /// What they are compared at, from above.
    pub groups: Vec<Group>,
    /// A line across all bars at a value, and what it says.
    pub mark: Option<(f64, String)>,
}

/// Bars of one colour.
#[derive(Clone, Debug)]
pub struct Series {
    /// In the legend.
    pub name: &'static str,
    /// Of its bars.
    pub color: palette::Color,
}

/// Bars beside each other.
#[derive(Clone, Debug)]
pub struct Group {
    /// At the left; a line break begins another line.
    pub name: String,
    /// One for each series, unless there is none.
    pub bars: Vec<Option<Bar>>,
}

/// A value, and where most of what was measured lies.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    /// Its length.
    pub value: f64,
    /// A thin line from here to there.
    pub range: Option<(f64, f64)>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

// All lengths are in pixels.
const WIDTH: i32 = 900;
const BAR: i32 = 13;
const GAP: i32 = 12;
const HEAD: i32 = 96;
const FOOT: i32 = 44;
/// Below the foot.
const BOTTOM: i32 = 8;
const RIGHT: i32 = 20;
/// Of a letter, on average; sans-serif letters are less wide.
const LETTER: f64 = 6.6;
const INK: RGBColor = RGBColor(32, 32, 32);
const PALE: RGBColor = RGBColor(96, 96, 96);
const GRID: RGBColor = RGBColor(224, 224, 224);
const PAPER: RGBColor = RGBColor(255, 255, 255);

/// A sheet of this height that says what it is about.
fn sheet<'a>(
    svg: &'a mut String,
    height: i32,
    title: &str,
    subtitle: &str,
) -> Result<Area<'a>, Box<dyn std::error::Error>> {
    let size = (WIDTH as u32, height as u32);
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    root.fill(&PAPER)?;
    root.draw(&Rectangle::new([(0, 0), (WIDTH - 1, height - 1)], GRID))?;
    let bold = ("sans-serif", 18).into_font().style(FontStyle::Bold);
    root.draw(&Text::new(title, (16, 14), bold.color(&INK)))?;
    let small = ("sans-serif", 12).into_font().color(&PALE);
    root.draw(&Text::new(subtitle, (16, 40), small))?;
    Ok(root)
}

impl Bars {
    /// The SVG.
    pub fn draw(&self) -> Result<String> {
        let mut svg = String::new();
        self.draw_into(&mut svg)
            .map_err(|problem| anyhow!("{}: {problem}", self.title))?;
        svg.push('\n');
        Ok(svg)
    }

    fn draw_into(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let body = self.groups.iter().map(|it| height(it) + GAP).sum::<i32>();
        let height = HEAD + body + FOOT + BOTTOM;
        let root = sheet(svg, height, &self.title, &self.subtitle)?;
        let text = |size: i32, color| ("sans-serif", size).into_font().color(color);
        self.draw_legend(&root)?;

        let (left, least, most) = (self.left(), self.least(), self.most());
        let mut chart = ChartBuilder::on(&root)
            .margin_top(HEAD)
            .margin_right(RIGHT)
            .margin_bottom(BOTTOM)
            .set_label_area_size(LabelAreaPosition::Left, left)
            .set_label_area_size(LabelAreaPosition::Bottom, FOOT)
            .build_cartesian_2d(least..most, 0.0..f64::from(body))?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .y_labels(0)
            .x_labels(10)
            .x_label_formatter(&|value| format!("{value:.0}"))
            .x_desc(self.axis.as_str())
            .label_style(text(12, &INK))
            .axis_style(PALE)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .draw()?;
        self.draw_names(&root)?;
        self.draw_mark(&mut chart, body)?;
        self.draw_bars(&mut chart, body)?;
        root.present()?;
        Ok(())
    }

    fn draw_legend(&self, root: &Area<'_>) -> Result<(), Box<dyn std::error::Error>> {
        let mut x = 16;
        for series in &self.series {
            let box_ = [(x, 67), (x + 12, 79)];
            root.draw(&Rectangle::new(box_, color(series.color).filled()))?;
            let style = ("sans-serif", 13).into_font().color(&INK);
            root.draw(&Text::new(series.name, (x + 18, 66), style))?;
            x += 18 + wide(series.name) + 18;
        }
        Ok(())
    }

    fn draw_names(&self, root: &Area<'_>) -> Result<(), Box<dyn std::error::Error>> {
        const LINE: i32 = 15;
        let style = ("sans-serif", 13).into_font().color(&INK);
        let style = style.pos(Pos::new(HPos::Right, VPos::Center));
        let mut top = HEAD + GAP / 2;
        for group in &self.groups {
            let lines: Vec<&str> = group.name.lines().collect();
            let above = LINE * (lines.len() as i32 - 1) / 2;
            let first = top + height(group) / 2 - above;
            for (line, y) in lines.into_iter().zip((first..).step_by(LINE as usize)) {
                root.draw(&Text::new(line, (self.left() - 8, y), style.clone()))?;
            }
            top += height(group) + GAP;
        }
        Ok(())
    }

    fn draw_bars(
        &self,
        chart: &mut Chart<'_, '_>,
        body: i32,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let mut top = body - GAP / 2;
        for group in &self.groups {
            let bars = self.series.iter().zip(&group.bars);
            let bars = bars.filter_map(|(series, bar)| Some((series, (*bar)?)));
            for (place, (series, bar)) in (0..).zip(bars) {
                let top = top - place * BAR;
                draw_bar(chart, bar, color(series.color), top)?;
                self.draw_number(chart, bar, top)?;
            }
            top -= height(group) + GAP;
        }
        let zero = [(0.0, 0.0), (0.0, f64::from(body))];
        chart.draw_series([PathElement::new(zero.to_vec(), PALE)])?;
        Ok(())
    }

    /// Behind the bar, and behind the mark where that would cross it.
    fn draw_number(
        &self,
        chart: &mut Chart<'_, '_>,
        bar: Bar,
        top: i32,
    ) -> Result<(), Box<dyn std::error::Error>> {
        const SPACE: i32 = 5;
        let text = format!("{:.*}", self.decimals, bar.value);
        let high = bar.range.map_or(bar.value, |(_, high)| high);
        let end = (bar.value.max(high).max(0.0), middle(top));
        let mut space = SPACE;
        if let Some((mark, _)) = self.mark {
            let to_mark = chart.backend_coord(&(mark, 0.0)).0 - chart.backend_coord(&end).0;
            if (0..SPACE + wide(&text)).contains(&to_mark) {
                space += to_mark;
            }
        }
        let style = ("sans-serif", 11).into_font().color(&INK);
        let style = style.pos(Pos::new(HPos::Left, VPos::Center));
        let label = EmptyElement::at(end) + Text::new(text, (space, 0), style);
        chart.draw_series([label])?;
        Ok(())
    }

    fn draw_mark(
        &self,
        chart: &mut Chart<'_, '_>,
        body: i32,
    ) -> Result<(), Box<dyn std::error::Error>> {
        if let Some((value, text)) = &self.mark {
            let line = vec![(*value, 0.0), (*value, f64::from(body))];
            let dashed = DashedPathElement::new(line, 4, 3, INK);
            chart.draw_series([dashed])?;
            let style = ("sans-serif", 12).into_font().color(&INK);
            let style = style.pos(Pos::new(HPos::Left, VPos::Bottom));
            let at = (*value, f64::from(body));
            let label = EmptyElement::at(at) + Text::new(text.clone(), (-4, -2), style);
            chart.draw_series([label])?;
        }
        Ok(())
    }

    /// Room for the longest name.
    fn left(&self) -> i32 {
        let lines = self.groups.iter().flat_map(|it| it.name.lines());
        16 + lines.map(wide).max().unwrap_or_default()
    }

    fn least(&self) -> f64 {
        self.ends().fold(0.0, f64::min)
    }

    /// With room for the numbers at the ends.
    fn most(&self) -> f64 {
        let most = self.ends().fold(1e-9, f64::max);
        most + (most - self.least()) * 0.09
    }

    fn ends(&self) -> impl Iterator<Item = f64> {
        let bars = self.groups.iter().flat_map(|it| &it.bars).flatten();
        bars.flat_map(|bar| {
            let (low, high) = bar.range.unwrap_or((bar.value, bar.value));
            [bar.value, low, high]
        })
    }
}

fn draw_bar(
    chart: &mut Chart<'_, '_>,
    bar: Bar,
    color: RGBColor,
    top: i32,
) -> Result<(), Box<dyn std::error::Error>> {
    let corners = [(0.0, f64::from(top)), (bar.value, f64::from(top - BAR + 2))];
    chart.draw_series([Rectangle::new(corners, color.filled())])?;
    if let Some((low, high)) = bar.range {
        let line = vec![(low, middle(top)), (high, middle(top))];
        chart.draw_series([PathElement::new(line, INK)])?;
    }
    Ok(())
}

/// Of a bar that begins here.
fn middle(top: i32) -> f64 {
    f64::from(top) - f64::from(BAR - 2) / 2.0
}

fn height(group: &Group) -> i32 {
    let bars = group.bars.iter().flatten().count() as i32 * BAR;
    let lines = group.name.lines().count() as i32 * 15;
    bars.max(lines)
}

fn wide(text: &str) -> i32 {
    (text.chars().count() as f64 * LETTER).ceil() as i32
}

fn color((red, green, blue): palette::Color) -> RGBColor {
    RGBColor(red, green, blue)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars() -> Bars {
        let bar = |value| {
            let range = Some((value - 1.0, value + 2.0));
            Some(Bar { value, range })
        };
        let series = |name| Series {
            name,
            color: palette::BLUE,
        };
        let group = |name: &str, bars| Group {
            name: name.to_owned(),
            bars,
        };
        Bars {
            title: "What it costs <now>".to_owned(),
            subtitle: "less is better".to_owned(),
            axis: "time, µs".to_owned(),
            decimals: 1,
            series: vec![series("first"), series("second")],
            groups: vec![
                group("one\nand more", vec![bar(4.0), bar(-0.5)]),
                group("two", vec![None, bar(12.25)]),
            ],
            mark: Some((10.0, "asked for".to_owned())),
        }
    }

    #[test]
    fn everything_is_named() {
        let svg = bars().draw().unwrap();
        for text in [
            "What it costs &lt;now&gt;",
            "less is better",
            "time, µs",
            "first",
            "second",
            "and more",
            "asked for",
            "12.2",
        ] {
            assert!(svg.contains(text), "no {text:?} in {svg}");
        }
    }

    #[test]
    fn what_was_not_measured_takes_no_room() {
        let [both, one] = [0, 1].map(|index| height(&bars().groups[index]));
        assert_eq!([both, one], [30, 15]);
    }

    #[test]
    fn numbers_at_the_ends_stay_within() {
        let bars = bars();
        assert!(bars.least() <= -1.5 && bars.most() > 14.25 * 1.05);
    }
}
