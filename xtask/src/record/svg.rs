//! The picture: each line of the terminal is there from one time to another, by SVG's own animation; what is shown without it is the end. Light or
//! dark, as the reader has it; who wants nothing to move sees the end, too.

use std::fmt::Write as _;

use super::terminal::Terminal;

pub const COLUMNS: usize = 92;
pub const ROWS: usize = 30;

const CHAR_WIDTH: f64 = 7.8;
const LINE_HEIGHT: usize = 17;
const PADDING: usize = 16;
/// How far above the end of its row a line stands: what hangs below it is not seen in the next row.
const BASE: usize = 4;
/// The second terminal, below the first.
const ASIDE_ROWS: usize = 2;

const STYLE: &str = "\
.back{fill:#fbfaf7}.frame{fill:none;stroke:#d5d0c5}.rule{stroke:#d5d0c5}text{fill:#24292f;white-space:pre;\
font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}\
.m{fill:#8a4b08}.r{fill:#0b5cad}.l{fill:#1a7f37}.q{fill:#6a737d}.still{display:none}\
@media(prefers-color-scheme:dark){.back{fill:#15181c}.frame{stroke:#383e46}.rule{stroke:#383e46}text{fill:#d6dae0}\
.m{fill:#f0b072}.r{fill:#79b8ff}.l{fill:#7ee29a}.q{fill:#8b949e}}\
@media(prefers-reduced-motion:reduce){.still{display:inline}.moving{display:none}}";

/// What is to be shown.
pub struct Scene<'a> {
    pub terminal: &'a Terminal,
    /// What was typed in another terminal, and the reply.
    pub aside: &'a [String; ASIDE_ROWS],
    pub aside_ms: u64,
    /// Then it begins again.
    pub end_ms: u64,
}

/// The text of the picture.
pub fn picture(scene: &Scene<'_>) -> String {
    let width = (COLUMNS as f64 * CHAR_WIDTH) as usize + 2 * PADDING;
    let rule = 2 * PADDING + ROWS * LINE_HEIGHT;
    let height = rule + PADDING + ASIDE_ROWS * LINE_HEIGHT;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>The quickstart in a terminal</title>\n\
         <desc>A master, a replica and a replica of the replica start; a table shows where each stands. The link in the middle is cut from another \
         terminal, and the replica goes on where it was, with a partial resync.</desc>\n<style>{STYLE}</style>\n\
         <rect class=\"back\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>\n\
         <rect class=\"frame\" x=\".5\" y=\".5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n\
         <path class=\"rule\" d=\"M0 {rule}H{width}\"/>\n",
        width - 1,
        height - 1
    );
    let body = ROWS * LINE_HEIGHT + LINE_HEIGHT / 2;
    let inner = width - PADDING;
    for (class, moves) in [("moving", true), ("still", false)] {
        let _ = writeln!(
            out,
            "<g class=\"{class}\">\n<svg x=\"{PADDING}\" y=\"{PADDING}\" width=\"{inner}\" height=\"{body}\">"
        );
        lines(&mut out, scene, moves);
        let _ =
            writeln!(out, "</svg>\n<svg x=\"{PADDING}\" y=\"{rule}\" width=\"{inner}\" height=\"{}\">", height - rule);
        for (i, line) in scene.aside.iter().enumerate() {
            let animation = animation(scene.aside_ms, None, scene.end_ms).filter(|_| moves);
            text(&mut out, (i + 1) * LINE_HEIGHT + 4, line, true, animation.as_deref());
        }
        out.push_str("</svg>\n</g>\n");
    }
    out + "</svg>\n"
}

/// The terminal's lines, and its scrolling.
fn lines(out: &mut String, scene: &Scene<'_>, moves: bool) {
    let scrolls = &scene.terminal.scrolls;
    let last = scrolls.last().map_or(0, |(_, gone)| gone * LINE_HEIGHT);
    let _ = writeln!(out, "<g transform=\"translate(0 -{last})\">");
    if moves && !scrolls.is_empty() {
        let (mut values, mut times) = ("0 0".to_string(), "0".to_string());
        for (at_ms, gone) in scrolls {
            let _ = write!(values, ";0 -{}", gone * LINE_HEIGHT);
            let _ = write!(times, ";{}", part(*at_ms, scene.end_ms));
        }
        let _ = writeln!(
            out,
            "<animateTransform attributeName=\"transform\" type=\"translate\" calcMode=\"discrete\" values=\"{values}\" keyTimes=\"{times}\" \
             dur=\"{}\" repeatCount=\"indefinite\"/>",
            seconds(scene.end_ms)
        );
    }
    for version in &scene.terminal.versions {
        let stays = version.to_ms.is_none();
        let animation = animation(version.from_ms, version.to_ms, scene.end_ms).filter(|_| moves);
        if moves || stays {
            text(out, (version.line + 1) * LINE_HEIGHT - BASE, &version.text, stays, animation.as_deref());
        }
    }
    out.push_str("</g>\n");
}

/// A line. Who says it stands in brackets before it, and has a colour.
fn text(out: &mut String, y: usize, line: &str, shown: bool, animation: Option<&str>) {
    let hidden = if shown { "" } else { " visibility=\"hidden\"" };
    let _ = write!(out, "<text y=\"{y}\"{hidden}>");
    let names = [("[master]", "m"), ("[replica]", "r"), ("[leaf]", "l"), ("$", "q")];
    match names.iter().find_map(|(name, class)| line.strip_prefix(name).map(|rest| (name, class, rest))) {
        Some((name, class, rest)) => {
            let _ = write!(out, "<tspan class=\"{class}\">{name}</tspan>{}", escaped(rest));
        }
        None => out.push_str(&escaped(line)),
    }
    out.push_str(animation.unwrap_or_default());
    out.push_str("</text>\n");
}

/// Makes something visible from one time to another; nothing if that is no time at all.
fn animation(from_ms: u64, to_ms: Option<u64>, end_ms: u64) -> Option<String> {
    let (mut values, mut times) = ("hidden;visible".to_string(), format!("0;{}", part(from_ms, end_ms)));
    if let Some(to_ms) = to_ms {
        values.push_str(";hidden");
        let _ = write!(times, ";{}", part(to_ms, end_ms));
    }
    let dur = seconds(end_ms);
    (to_ms != Some(from_ms)).then(|| {
        format!(
            "<animate attributeName=\"visibility\" calcMode=\"discrete\" values=\"{values}\" keyTimes=\"{times}\" dur=\"{dur}\" \
             repeatCount=\"indefinite\"/>"
        )
    })
}

/// A time as a part of the whole.
fn part(at_ms: u64, end_ms: u64) -> String {
    format!("{:.4}", at_ms as f64 / end_ms.max(1) as f64)
}

fn seconds(ms: u64) -> String {
    format!("{:.2}s", ms as f64 / 1000.0)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_shown_without_animation_too() {
        let mut terminal = Terminal::new(ROWS);
        terminal.feed(0, b"[master]   a < b\r\n1").unwrap();
        terminal.feed(500, b"\r2").unwrap();
        let aside = ["$ x && y".to_string(), "(integer) 1".to_string()];
        let text = picture(&Scene { terminal: &terminal, aside: &aside, aside_ms: 250, end_ms: 1000 });
        assert!(text.contains("<tspan class=\"m\">[master]</tspan>   a &lt; b<animate "), "{text}");
        assert!(text.contains("<text y=\"30\" visibility=\"hidden\">1<animate attributeName=\"visibility\" calcMode=\"discrete\" values=\"hidden;visible;hidden\" keyTimes=\"0;0.0000;0.5000\" dur=\"1.00s\""));
        let (_, still) = text.split_once("class=\"still\">").expect("a part for those who want nothing to move");
        assert!(
            !still.contains("animate") && still.contains("<text y=\"30\">2</text>") && still.contains("x &amp;&amp; y")
        );
    }
}
