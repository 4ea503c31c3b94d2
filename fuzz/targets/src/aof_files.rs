//! Append-only files, their manifests and checksums: the same items however the bytes arrive, places that hold together, and a manifest or
//! checksums that are written again read the same.

use rivulet_aof::annotation::Annotation;
use rivulet_aof::manifest::{BaseFormat, Manifest};
use rivulet_aof::scan::{ItemKind, Place, ScanError, Scanner};
use rivulet_aof::sums::{self, Block, Records};

pub fn run(bytes: &[u8]) {
    let whole = scan(bytes, bytes.len().max(1));
    for step in [1, 2, 3, 7, 64] {
        assert_eq!(scan(bytes, step), whole, "in pieces of {step}");
    }
    let blocks = sums::parse(bytes);
    assert!(blocks.is_empty() || bytes.starts_with(&written(&blocks)));
    if let Ok(manifest) = Manifest::parse(bytes) {
        // Without files nothing is written, and nothing is no manifest.
        let again = Manifest::parse(&manifest.to_bytes());
        assert!(again.as_ref() == Ok(&manifest) || manifest.data().count() + manifest.history.len() == 0);
    }
}

fn written(blocks: &[Block]) -> Vec<u8> {
    let mut bytes = Records::head().to_vec();
    let mut records = Records::default();
    blocks.iter().for_each(|block| records.append(*block, &mut bytes));
    bytes
}

/// Each item's arguments or line with the places after it, and how it ended.
type Scan = (Vec<(Vec<Vec<u8>>, Place, Place)>, Result<(), ScanError>);

fn scan(bytes: &[u8], step: usize) -> Scan {
    let mut scanner = Scanner::new(Place::default());
    let (mut buffer, mut items) = (Vec::new(), Vec::new());
    for chunk in bytes.chunks(step) {
        buffer.extend_from_slice(chunk);
        loop {
            let words = match scanner.next(&buffer) {
                Ok(Some(item)) => match item.kind {
                    ItemKind::Command { args, .. } => args.iter().map(<[u8]>::to_vec).collect(),
                    ItemKind::Annotation { line, .. } => vec![line.to_vec()],
                },
                Ok(None) => break,
                Err(error) => {
                    assert!(error.unit_end.file <= error.at && error.at <= bytes.len() as u64);
                    return (items, Err(error));
                }
            };
            let (place, unit_end) = (scanner.place(), scanner.unit_end());
            assert!(unit_end.file <= place.file && unit_end.stream <= place.stream && place.stream <= place.file);
            items.push((words, place, unit_end));
        }
        buffer.drain(..scanner.consumed());
        scanner.rebase();
    }
    (items, scanner.finish(&buffer))
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut file = Vec::new();
    Annotation::Timestamp(1_700_000_000).append_to(&mut file);
    let transaction: [&[&str]; 5] = [&["SELECT", "0"], &["MULTI"], &["SET", "a", "b\r\n"], &["DEL", "c"], &["EXEC"]];
    for words in transaction {
        rivulet_resp::append_command(&mut file, words.iter().map(|word| word.as_bytes()));
    }
    Annotation::Own(14).append_to(&mut file);
    rivulet_resp::append_command(&mut file, [&b"PING"[..]].into_iter());
    let mut manifest = Manifest::default();
    for _ in 0..3 {
        manifest.next_base("appendonly.aof", BaseFormat::Rdb);
        manifest.retire_incr(1);
        manifest.next_incr("an \"odd\" name");
    }
    let blocks = [Block { end: 7, sum: 1 }, Block { end: 9, sum: 2 }, Block { end: 262_000, sum: u64::MAX }];
    vec![file, manifest.to_bytes(), written(&blocks)]
}
