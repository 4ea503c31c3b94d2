//! What a file holds: pages, of which those that were never written are zeros and take no room.

use std::sync::Arc;

const PAGE: usize = 4096;

type Page = Arc<[u8; PAGE]>;

/// The bytes of a file. A copy of it costs a pointer for each page.
#[derive(Clone, Debug, Default)]
pub struct Content {
    pages: Vec<Option<Page>>,
    len: usize,
}

/// The parts of pages that some bytes are in: the page, from where in it, and how many.
fn parts(at: usize, count: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let end = at + count;
    (at / PAGE..end.div_ceil(PAGE)).map(move |page| {
        let from = at.max(page * PAGE);
        (page, from % PAGE, end.min((page + 1) * PAGE) - from)
    })
}

impl Content {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that are not there become zeros; those beyond are gone.
    pub fn set_len(&mut self, len: usize) {
        if len < self.len {
            // What is beyond the end is zeros, should it grow again.
            let rest = (len.div_ceil(PAGE) * PAGE).min(self.len);
            self.fill(len, rest - len);
        }
        self.pages.resize(len.div_ceil(PAGE), None);
        self.len = len;
    }

    fn grow(&mut self, end: usize) {
        if end > self.len {
            self.set_len(end);
        }
    }

    pub fn write(&mut self, at: usize, mut bytes: &[u8]) {
        self.grow(at + bytes.len());
        for (page, from, count) in parts(at, bytes.len()) {
            let (first, rest) = bytes.split_at(count);
            let page = self.pages[page].get_or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(page)[from..from + count].copy_from_slice(first);
            bytes = rest;
        }
    }

    pub fn write_zeros(&mut self, at: usize, count: usize) {
        self.grow(at + count);
        self.fill(at, count);
    }

    fn fill(&mut self, at: usize, count: usize) {
        for (page, from, count) in parts(at, count) {
            let page = &mut self.pages[page];
            match page {
                Some(_) if count == PAGE => *page = None,
                Some(page) => Arc::make_mut(page)[from..from + count].fill(0),
                None => {}
            }
        }
    }

    /// Reads bytes that are there.
    pub fn read(&self, at: usize, mut bytes: &mut [u8]) {
        for (page, from, count) in parts(at, bytes.len()) {
            let (first, rest) = bytes.split_at_mut(count);
            match &self.pages[page] {
                Some(page) => first.copy_from_slice(&page[from..from + count]),
                None => first.fill(0),
            }
            bytes = rest;
        }
    }

    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        self.read(0, &mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    #[test]
    fn it_holds_what_plain_bytes_would() {
        let mut rng = Rng::with_seed(1);
        let (mut content, mut plain) = (Content::default(), Vec::new());
        for _ in 0..5_000 {
            let (at, count, value) = (rng.usize(..3 * PAGE), rng.usize(..2 * PAGE), rng.u8(..));
            let what = rng.u8(..4);
            if what > 0 && plain.len() < at + count {
                plain.resize(at + count, 0);
            }
            match what {
                0 => {
                    content.set_len(at);
                    plain.resize(at, 0);
                }
                1 => {
                    content.write_zeros(at, count);
                    plain[at..at + count].fill(0);
                }
                _ => {
                    content.write(at, &vec![value; count]);
                    plain[at..at + count].fill(value);
                }
            }
            assert_eq!(content.to_vec(), plain);
        }
    }
}
