//! How the contents are shown: tables for a reader, JSON for a program.

use rivulet_progress::bytes;
use serde_json::{Value, json};

use super::contents::{Contents, SIZES, Sum, TIMES, shown};
use super::kind::Kind;

/// The longest name in a table; longer ones are cut in the middle of the line, not in the file's JSON.
const NAME_CHARS_MAX: usize = 40;

const NO_PREFIX: &str = "(none)";

/// Tables, each with a title.
pub fn text(contents: &Contents, name: &str, rows: usize) -> String {
    let all = &contents.all;
    let mut out = format!(
        "{name}: RDB version {}, {}, {} keys, about {} in memory\n",
        contents.version,
        bytes(contents.file_bytes),
        all.keys,
        bytes(all.memory_bytes)
    );
    let headers: Vec<String> = contents.headers.iter().map(|(name, value)| format!("{name} {value}")).collect();
    if !headers.is_empty() {
        out += &format!("{}\n", headers.join(", "));
    }
    if contents.functions + contents.empty_keys > 0 {
        out += &format!("{} function libraries, {} keys without elements\n", contents.functions, contents.empty_keys);
    }
    let kinds = Kind::ALL.iter().filter_map(|kind| Some((kind.name().to_string(), contents.kinds.get(kind)?)));
    out += &sums("Type", kinds, all);
    if contents.databases.len() > 1 {
        let databases = contents.databases.iter().map(|(database, sum)| (format!("db{database}"), sum));
        out += &sums("Database", databases, all);
    }
    let (prefixes, others, left_out) = contents.by_prefix(rows);
    let named = prefixes.iter().map(|(prefix, sum)| (prefix_name(prefix), *sum));
    let other = (others.keys > 0).then(|| (other_name(contents, left_out), &others));
    out += &sums("Prefix", named.chain(other), all);
    let sizes = SIZES.iter().zip(&contents.sizes).filter(|(_, sum)| sum.keys > 0);
    out += &sums("Memory of a key", sizes.map(|((_, name), sum)| (name.to_string(), sum)), all);
    out + &biggest(contents) + &expiries(contents)
}

fn prefix_name(prefix: &[u8]) -> String {
    if prefix.is_empty() { NO_PREFIX.into() } else { shown(prefix) }
}

/// Prefixes that were not told apart are not counted.
fn other_name(contents: &Contents, left_out: usize) -> String {
    let more = if contents.others.keys > 0 { " and more" } else { "" };
    format!("({left_out}{more} others)")
}

fn sums<'a>(title: &str, rows: impl Iterator<Item = (String, &'a Sum)>, all: &Sum) -> String {
    let head = [title, "Keys", "Share", "Elements", "File", "Memory", "Share", "Expiring"];
    let rows: Vec<Vec<String>> = rows
        .map(|(name, sum)| {
            vec![
                name,
                sum.keys.to_string(),
                percent(sum.keys, all.keys),
                sum.elements.to_string(),
                bytes(sum.file_bytes),
                bytes(sum.memory_bytes),
                percent(sum.memory_bytes, all.memory_bytes),
                sum.expiring.to_string(),
            ]
        })
        .collect();
    table(&head, &rows)
}

fn biggest(contents: &Contents) -> String {
    let keys = contents.biggest();
    let rows: Vec<Vec<String>> = keys
        .iter()
        .map(|key| {
            let elements = if key.kind == Kind::String { String::new() } else { format!("{}", key.elements) };
            let unit = if key.kind == Kind::String { "" } else { key.kind.unit() };
            vec![
                shown(&key.key),
                format!("db{}", key.database),
                key.kind.name().into(),
                elements,
                unit.into(),
                bytes(key.file_bytes),
                bytes(key.memory_bytes),
            ]
        })
        .collect();
    table(&["Biggest keys", "", "Type", "Elements", "", "File", "Memory"], &rows)
}

fn expiries(contents: &Contents) -> String {
    let expiring = contents.all.expiring;
    let rows: Vec<Vec<String>> = TIMES
        .iter()
        .zip(contents.times)
        .filter(|(_, count)| *count > 0)
        .map(|((_, name), count)| vec![name.to_string(), count.to_string(), percent(count, expiring)])
        .collect();
    table(&["Expires", "Keys", "Share"], &rows)
}

/// Columns of equal width; the first one and words stand left, figures right. Nothing for a table without rows.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let cell = |text: &str| clipped(text, NAME_CHARS_MAX);
    let width = |column: usize| {
        let cells = rows.iter().map(|row| cell(&row[column]).chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.enumerate().map(|(column, text)| {
            let (text, width) = (cell(text), widths[column]);
            let is_figure = column > 0 && (text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()));
            let is_head = head.get(column) == Some(&text.as_str()) && column > 0;
            if is_figure || is_head && is_figure_column(rows, column) {
                format!("{text:>width$}")
            } else {
                format!("{text:<width$}")
            }
        });
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut out = format!("\n{}", line(&mut head.iter().copied()));
    for row in rows {
        out += &line(&mut row.iter().map(String::as_str));
    }
    out
}

fn is_figure_column(rows: &[Vec<String>], column: usize) -> bool {
    rows.iter().all(|row| row[column].is_empty() || row[column].starts_with(|c: char| c.is_ascii_digit()))
}

/// At most so many characters, with dots for what is missing.
fn clipped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_string();
    }
    text.chars().take(most - 3).chain("...".chars()).collect()
}

fn percent(part: u64, whole: u64) -> String {
    let share = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    format!("{share:.1}%")
}

/// The same as one object; sizes are in bytes, times in ms.
pub fn json(contents: &Contents, name: &str, rows: usize) -> String {
    let named = |field: &str, name: String, sum: &Sum| {
        let mut object = json!(sum);
        object[field] = json!(name);
        object
    };
    let (prefixes, others, left_out) = contents.by_prefix(rows);
    let prefixes: Vec<Value> = prefixes.iter().map(|(prefix, sum)| named("prefix", shown(prefix), sum)).collect();
    let kinds: Vec<Value> = contents.kinds.iter().map(|(kind, sum)| named("type", kind.name().into(), sum)).collect();
    let databases: Vec<Value> =
        contents.databases.iter().map(|(database, sum)| named("database", database.to_string(), sum)).collect();
    let sizes: Vec<Value> =
        SIZES.iter().zip(&contents.sizes).map(|((_, name), sum)| named("memory", name.to_string(), sum)).collect();
    let expires: Vec<Value> =
        TIMES.iter().zip(contents.times).map(|((_, name), keys)| json!({ "when": name, "keys": keys })).collect();
    let biggest: Vec<Value> = contents
        .biggest()
        .iter()
        .map(|key| {
            json!({
                "key": shown(&key.key), "database": key.database, "type": key.kind.name(), "elements": key.elements,
                "file_bytes": key.file_bytes, "memory_bytes": key.memory_bytes,
            })
        })
        .collect();
    let headers: serde_json::Map<String, Value> =
        contents.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let object = json!({
        "file": name, "version": contents.version, "file_bytes": contents.file_bytes, "headers": headers,
        "read_at_ms": contents.now_ms, "all": contents.all, "types": kinds, "databases": databases,
        "prefixes": prefixes, "other_prefixes": { "sum": others, "known": left_out }, "sizes": sizes,
        "expires": expires, "biggest": biggest, "functions": contents.functions, "empty_keys": contents.empty_keys,
    });
    format!("{object:#}\n")
}
