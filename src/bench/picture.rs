//! The report as bars: for a terminal, and as SVG for a browser.

use crate::bench::report::{BenchReport, Figure, Group, duration, name, rate};

/// Characters of the longest bar on a terminal.
const BAR_COLUMNS: usize = 32;
/// Parts of one character, from an eighth to seven.
const PARTS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// The report for a terminal, at most 100 columns wide, without colour.
pub fn text(report: &BenchReport) -> String {
    let mut text = format!(
        "dpm {} in {} ({}), {} processors, medians of {} rounds\n",
        report.version, report.folder, report.file_system, report.processors, report.rounds
    );
    for group in &report.groups {
        text.push_str(&format!("\n{}: {}\n", group.name, group.work));
        let longest = longest(group);
        for figure in &group.figures {
            let bar = bar(figure.seconds / longest);
            let line = format!(
                "  {:<20} {:>9} {:>9}  {:<BAR_COLUMNS$}  {}",
                figure.name,
                duration(figure.seconds),
                speed(figure),
                bar,
                comparison(figure)
            );
            text.push_str(line.trim_end());
            text.push('\n');
        }
        for line in wrapped(&group.verdict, 96) {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text
}

fn longest(group: &Group) -> f64 {
    group.figures.iter().map(|figure| figure.seconds).fold(f64::MIN_POSITIVE, f64::max)
}

fn bar(share: f64) -> String {
    let eighths = (share.clamp(0.0, 1.0) * (BAR_COLUMNS * 8) as f64).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    if let Some(part) = (eighths % 8).checked_sub(1).and_then(|index| PARTS.get(index)) {
        bar.push(*part);
    }
    if bar.is_empty() { "▏".to_owned() } else { bar }
}

fn speed(figure: &Figure) -> String {
    match figure {
        figure if figure.bytes_per_second > 0.0 => rate(figure.bytes_per_second),
        figure => format!("{:.0}/s", figure.per_second),
    }
}

fn comparison(figure: &Figure) -> String {
    match (figure.ratio, &figure.floor) {
        (Some(ratio), Some(floor)) if ratio >= 99.5 => format!("{ratio:.0} x {floor}"),
        (Some(ratio), Some(floor)) => format!("{ratio:.2} x {floor}"),
        _ => "floor".to_owned(),
    }
}

/// Breaks a text at spaces into lines of at most `columns` characters; a longer word has a line of its own.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Pixels.
const WIDTH: usize = 900;
const MARGIN: usize = 28;
const LINE: usize = 24;
const BARS_FROM: usize = 200;
const BARS_WIDTH: f64 = 330.0;
const STYLE: &str = "\
    .page { fill: #ffffff; stroke: #d0d7de; }
    .floor { fill: #8c959f; }
    .stage { fill: #0969da; }
    .whole { fill: #bf8700; }
    .track { fill: #f0f3f6; }
    text { fill: #1f2328; font-family: system-ui, \"DejaVu Sans\", Helvetica, Arial, sans-serif; font-size: 13px; }
    .title { font-size: 17px; font-weight: 600; }
    .group { font-size: 14px; font-weight: 600; }
    .quiet { fill: #57606a; font-size: 12px; }
    .number { font-variant-numeric: tabular-nums; }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0d1117; stroke: #30363d; }
      .floor { fill: #6e7681; }
      .stage { fill: #58a6ff; }
      .whole { fill: #d29922; }
      .track { fill: #161b22; }
      text { fill: #e6edf3; }
      .quiet { fill: #8b949e; }
    }
";

/// The report as one SVG file, which follows the reader's choice of light or dark.
pub fn svg(report: &BenchReport) -> String {
    let mut body = String::new();
    let mut y = MARGIN + 12;
    let title = format!("dpm {} in {}", report.version, report.folder);
    push_text(&mut body, "title", MARGIN, y, &title);
    y += LINE;
    let machine = format!(
        "{}, {} processors; medians of {} rounds; shorter is faster",
        report.file_system, report.processors, report.rounds
    );
    push_text(&mut body, "quiet", MARGIN, y, &machine);
    for group in &report.groups {
        y = push_group(&mut body, group, y + 20);
    }
    let height = y + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{}\">\n  <style>\n{STYLE}  </style>\n  <rect class=\"page\" \
         x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n{body}</svg>\n",
        escaped(&title),
        WIDTH - 1,
        height - 1
    )
}

/// Draws one group below `y`; gives where it ends.
fn push_group(body: &mut String, group: &Group, y: usize) -> usize {
    let mut y = y + LINE;
    // One text, so that the second part stands behind the first whatever the font.
    body.push_str(&format!(
        "  <text x=\"{MARGIN}\" y=\"{y}\"><tspan class=\"group\">{}</tspan><tspan class=\"quiet\" dx=\"12\">{}</tspan></text>\n",
        escaped(&group.name),
        escaped(&group.work)
    ));
    y += 8;
    let longest = longest(group);
    for figure in &group.figures {
        let class = match figure {
            figure if figure.is_floor => "floor",
            figure if [name::END_TO_END, name::DAQ, name::STATUS].contains(&figure.name.as_str()) => "whole",
            _ => "stage",
        };
        let width = (figure.seconds / longest * BARS_WIDTH).max(2.0);
        push_text(body, "label", MARGIN, y + 16, &figure.name);
        for (class, width) in [("track", BARS_WIDTH), (class, width)] {
            let top = y + 4;
            let bar = format!(
                "  <rect class=\"{class}\" x=\"{BARS_FROM}\" y=\"{top}\" width=\"{width:.1}\" height=\"16\" rx=\"3\"/>\n"
            );
            body.push_str(&bar);
        }
        let number = format!("{}  ({})", duration(figure.seconds), speed(figure));
        push_text(body, "number", BARS_FROM + BARS_WIDTH as usize + 12, y + 16, &number);
        push_text(body, "quiet", BARS_FROM + BARS_WIDTH as usize + 160, y + 16, &comparison(figure));
        y += LINE;
    }
    for line in wrapped(&group.verdict, 125) {
        y += 16;
        push_text(body, "quiet", MARGIN, y, &line);
    }
    y
}

fn push_text(body: &mut String, class: &str, x: usize, y: usize, text: &str) {
    body.push_str(&format!("  <text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>\n", escaped(text)));
}

/// Text for XML: markup and control characters cannot come out of a file's name.
fn escaped(text: &str) -> String {
    let escape = |character: char| match character {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        character if character.is_control() => "?".to_owned(),
        character => character.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use crate::bench::picture::{BAR_COLUMNS, bar, svg, text, wrapped};
    use crate::bench::report::{BenchReport, Figure, Group, name};

    fn report() -> BenchReport {
        let floor = Figure::of(name::COPY, &[1.0], 1_000_000_000).as_floor();
        let whole = Figure::of(name::END_TO_END, &[2.0], 1_000_000_000).beside(&floor);
        BenchReport {
            version: "1".to_owned(),
            folder: "/data/<a&b>".to_owned(),
            file_system: "ext4".to_owned(),
            processors: 2,
            rounds: 5,
            groups: vec![Group {
                name: "1x1GB".to_owned(),
                work: "one file".to_owned(),
                bytes: 1_000_000_000,
                figures: vec![floor, whole],
                verdict: "the disk limits".to_owned(),
            }],
        }
    }

    #[test]
    fn bars_grow_by_eighths() {
        assert_eq!(bar(0.0), "▏");
        assert_eq!(bar(1.0), "█".repeat(BAR_COLUMNS));
        assert_eq!(bar(7.0), bar(1.0));
        assert_eq!(bar(1.5 / BAR_COLUMNS as f64), "█▌");
    }

    #[test]
    fn the_text_has_each_figure_and_the_verdict() {
        let text = text(&report());
        assert!(text.contains("read + write            1.00 s 1.00 GB/s"), "{text}");
        assert!(text.contains("2.00 x read + write\n"), "{text}");
        assert!(text.ends_with("  the disk limits\n"), "{text}");
    }

    #[test]
    fn the_svg_is_closed_and_escaped() {
        let svg = svg(&report());
        assert!(svg.contains("/data/&lt;a&amp;b&gt;") && !svg.contains("<a&b>"), "{svg}");
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrapped("a bb ccc dddddd", 4), ["a bb", "ccc", "dddddd"]);
        assert_eq!(wrapped("", 4), Vec::<String>::new());
    }
}
