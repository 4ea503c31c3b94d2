//! LCS: the longest common subsequence of two strings.

use rivulet_keyspace::EntryRef;
use rivulet_resp::{Args, Reply};

use crate::ctx::Ctx;
use crate::fail::{Fail, SYNTAX};
use crate::parse;

/// How LCS answers.
#[derive(Default)]
struct LcsOptions {
    len: bool,
    ranges: bool,
    match_len_min: i64,
    with_match_len: bool,
}

impl LcsOptions {
    fn parse(args: Args<'_>) -> Result<LcsOptions, Fail> {
        let mut options = LcsOptions::default();
        let mut i = 3;
        while i < args.len() {
            if args.is(i, "idx") {
                options.ranges = true;
            } else if args.is(i, "len") {
                options.len = true;
            } else if args.is(i, "withmatchlen") {
                options.with_match_len = true;
            } else if args.is(i, "minmatchlen") && i + 1 < args.len() {
                options.match_len_min = parse::int(args.at(i + 1))?.max(0);
                i += 1;
            } else {
                return Err(SYNTAX);
            }
            i += 1;
        }
        if options.len && options.ranges {
            return Err(Fail::new("ERR If you want both the length and indexes, please just use IDX."));
        }
        Ok(options)
    }
}

pub(super) fn lcs(ctx: &mut Ctx<'_>) -> Result<(), Fail> {
    let (key_a, key_b) = (ctx.key(1), ctx.key(2));
    let text_of = |entry: Option<EntryRef<'_>>| entry.map(|e| e.string().map(|s| s.to_vec()));
    let (a, b) = (text_of(ctx.db.read(key_a)), text_of(ctx.db.read(key_b)));
    let (Some(a), Some(b)) = (a.unwrap_or_else(|| Some(Vec::new())), b.unwrap_or_else(|| Some(Vec::new()))) else {
        return Err(Fail::new("ERR The specified keys must contain string values"));
    };
    let options = LcsOptions::parse(ctx.args)?;
    if a.len().max(b.len()) >= u32::MAX as usize - 1 {
        return Err(Fail::new("ERR String too long for LCS"));
    }
    // What a table of lengths takes; that is Redis's limit, though less is needed here.
    if (a.len() as u128 + 1) * (b.len() as u128 + 1) * 4 > u128::from(ctx.db.settings.bulk_len_max) {
        return Err(Fail::new("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"));
    }
    let table = LcsTable::new(&a, &b, !options.len);
    if options.len {
        ctx.reply.int(i64::from(table.len));
    } else if options.ranges {
        reply_ranges(&mut ctx.reply, &table.ranges(&a, &b), table.len, &options);
    } else {
        ctx.reply.bulk(&table.text(&a, &b));
    }
    Ok(())
}

/// How the longest common subsequence is found: for each pair of positions whether to go back in the first string or in the second.
struct LcsTable {
    len: u32,
    /// A bit for each pair, by rows of the first string: set to go back in the first.
    back_in_first: Vec<u64>,
    columns: usize,
}

/// A run that is the same in both strings, by its first and last positions.
#[derive(Debug, PartialEq, Eq)]
struct CommonRange {
    a: (usize, usize),
    b: (usize, usize),
}

impl LcsTable {
    fn new(a: &[u8], b: &[u8], with_path: bool) -> LcsTable {
        let columns = b.len();
        let mut back_in_first = vec![0; if with_path { (a.len() * columns).div_ceil(64) } else { 0 }];
        // The lengths of the row above, turned into those of this row.
        let mut lengths = vec![0u32; columns + 1];
        for (i, &from_a) in a.iter().enumerate() {
            let mut diagonal = 0;
            for (j, &from_b) in b.iter().enumerate() {
                let above = lengths[j + 1];
                let left = lengths[j];
                lengths[j + 1] = if from_a == from_b { diagonal + 1 } else { above.max(left) };
                if with_path && above > left {
                    let bit = i * columns + j;
                    back_in_first[bit / 64] |= 1 << (bit % 64);
                }
                diagonal = above;
            }
        }
        LcsTable { len: lengths[columns], back_in_first, columns }
    }

    /// The pairs of equal bytes, from the last to the first.
    fn walk(&self, a: &[u8], b: &[u8], mut pair: impl FnMut(usize, usize)) {
        let (mut i, mut j) = (a.len(), b.len());
        while i > 0 && j > 0 {
            let bit = (i - 1) * self.columns + j - 1;
            if a[i - 1] == b[j - 1] {
                pair(i - 1, j - 1);
                (i, j) = (i - 1, j - 1);
            } else if self.back_in_first[bit / 64] >> (bit % 64) & 1 == 1 {
                i -= 1;
            } else {
                j -= 1;
            }
        }
    }

    fn text(&self, a: &[u8], b: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.len as usize);
        self.walk(a, b, |i, _| text.push(a[i]));
        text.reverse();
        text
    }

    /// The common runs, the last first.
    fn ranges(&self, a: &[u8], b: &[u8]) -> Vec<CommonRange> {
        let mut ranges: Vec<CommonRange> = Vec::new();
        self.walk(a, b, |i, j| match ranges.last_mut() {
            Some(run) if run.a.0 == i + 1 && run.b.0 == j + 1 => (run.a.0, run.b.0) = (i, j),
            _ => ranges.push(CommonRange { a: (i, i), b: (j, j) }),
        });
        ranges
    }
}

fn reply_ranges(reply: &mut Reply<'_>, ranges: &[CommonRange], len: u32, options: &LcsOptions) {
    let len_of = |range: &CommonRange| (range.a.1 - range.a.0 + 1) as i64;
    let shown = || ranges.iter().filter(|r| len_of(r) >= options.match_len_min);
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(shown().count());
    for range in shown() {
        reply.array(if options.with_match_len { 3 } else { 2 });
        for (first, last) in [range.a, range.b] {
            reply.array(2);
            reply.int(first as i64);
            reply.int(last as i64);
        }
        if options.with_match_len {
            reply.int(len_of(range));
        }
    }
    reply.bulk(b"len");
    reply.int(i64::from(len));
}
