//! Reads an RDB file and writes it again: `rewrite IN OUT [version 9-12] [plain]`. With `plain` nothing is compressed.

use std::error::Error;
use std::fs::File;
use std::io::Write;

use rivulet_rdb::{Aux, Event, Meta, Options, Reader, Saver, Unsupported, Version, Writer};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, from, to, rest @ ..] = arguments.as_slice() else {
        return Err("usage: rewrite IN OUT [version] [plain]".into());
    };
    let number = rest.first().map_or(Ok(Version::DEFAULT.number()), |text| text.parse())?;
    let version = Version::new(number).ok_or("versions 9 to 12 can be written")?;
    let compress = rest.get(1).is_none_or(|word| word != "plain");
    let options = Options { unsupported: Unsupported::Skip, ..Options::default() };
    let mut reader = Reader::new(File::open(from)?, options);
    let aux = Aux {
        redis_version: "7.0.15",
        ctime_s: 1_700_000_000,
        used_memory: 0,
        replication: None,
        aof_base: false,
        diverged: false,
    };
    let mut saver = Saver::new(File::create(to)?, Writer::new(version, compress), true, &aux);
    let mut db = 0;
    loop {
        match reader.next()? {
            Event::SelectDb(n) => db = n,
            Event::ResizeDb { keys, expires } => saver.database(db, keys, expires)?,
            Event::Function(code) => saver.function(&code)?,
            Event::Entry(entry) => {
                let meta = Meta { deadline_ms: entry.deadline_ms, idle_s: entry.idle_s, freq: entry.freq };
                saver.entry(&entry.key, &entry.value.as_ref(), &meta)?;
            }
            Event::Skipped { key, value_type, .. } => eprintln!("left out: {} (type {value_type})", key.escape_ascii()),
            Event::Eof(_) => break,
            _ => {}
        }
    }
    saver.finish()?.flush()?;
    Ok(())
}
