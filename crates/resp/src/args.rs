//! The arguments of one command.

/// Where an argument lies, from the first byte of its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub len: u32,
}

impl Span {
    /// What lies there.
    #[inline]
    fn of(self, bytes: &[u8]) -> &[u8] {
        let start = self.start as usize;
        &bytes[start..start + self.len as usize]
    }
}

/// The arguments of a command, its name first, borrowed from the bytes that arrived.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
    canonical: bool,
}

impl<'a> Args<'a> {
    /// `bytes` are the command as it arrived, `spans` lie within it; `canonical` says that they are what [`crate::append_command`] would write.
    #[inline]
    pub fn new(bytes: &'a [u8], spans: &'a [Span], canonical: bool) -> Args<'a> {
        Args { bytes, spans, canonical }
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `i`; 0 is the command's name. Panics when there is none, as a slice does.
    #[inline]
    pub fn at(&self, i: usize) -> &'a [u8] {
        self.spans[i].of(self.bytes)
    }

    #[inline]
    pub fn get(&self, i: usize) -> Option<&'a [u8]> {
        (i < self.spans.len()).then(|| self.at(i))
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone + use<'a> {
        let bytes = self.bytes;
        self.spans.iter().map(move |span| span.of(bytes))
    }

    /// The arguments from `first` on.
    pub fn from(&self, first: usize) -> Args<'a> {
        Args { bytes: self.bytes, spans: &self.spans[first.min(self.spans.len())..], canonical: false }
    }

    /// Whether argument `i` is `word`, in any case of letters.
    pub fn is(&self, i: usize, word: &str) -> bool {
        self.get(i).is_some_and(|a| a.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// The command's bytes, when they are an array of bulk strings in canonical form.
    pub fn wire(&self) -> Option<&'a [u8]> {
        self.canonical.then_some(self.bytes)
    }

    /// The bytes that [`spans`](Args::spans) are places in.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where each argument lies.
    pub fn spans(&self) -> &'a [Span] {
        self.spans
    }

    /// Appends the command as an array of bulk strings.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        if self.canonical {
            out.extend_from_slice(self.bytes);
        } else {
            crate::append_command(out, self.iter());
        }
    }

    pub fn to_owned(&self) -> OwnedArgs {
        OwnedArgs::new(self.iter())
    }
}

/// The arguments of a command that outlives the buffer that it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedArgs {
    bytes: Box<[u8]>,
    spans: Box<[Span]>,
}

impl OwnedArgs {
    /// Copies the arguments, in the form of an array of bulk strings. Of those that end beyond 4 GiB, as none does that was decoded, only the bytes are right.
    pub fn new<'a>(args: impl ExactSizeIterator<Item = &'a [u8]> + Clone) -> OwnedArgs {
        let mut bytes = Vec::with_capacity(16 + args.clone().map(|a| a.len() + 16).sum::<usize>());
        crate::append_command(&mut bytes, args.clone());
        let mut at = 1 + itoa::Buffer::new().format(args.len()).len() + 2;
        let spans = args
            .map(|a| {
                at += 1 + itoa::Buffer::new().format(a.len()).len() + 2;
                let span = Span { start: at as u32, len: a.len() as u32 };
                at += a.len() + 2;
                span
            })
            .collect();
        OwnedArgs { bytes: bytes.into(), spans }
    }

    /// From anything that holds the arguments.
    pub fn from_slices<T: AsRef<[u8]>>(args: &[T]) -> OwnedArgs {
        OwnedArgs::new(args.iter().map(|a| a.as_ref()))
    }

    #[inline]
    pub fn as_args(&self) -> Args<'_> {
        Args { bytes: &self.bytes, spans: &self.spans, canonical: true }
    }

    /// Bytes that this takes.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.spans.len() * size_of::<Span>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_may_end_beyond_four_gib() {
        // The system gives pages that nobody writes to no memory.
        let bytes = vec![0; (4 << 30) + 100];
        let spans = [Span { start: u32::MAX - 5, len: 50 }];
        let args = Args::new(&bytes, &spans, false);
        assert_eq!(args.at(0), [0; 50]);
        assert_eq!(args.iter().next(), Some([0; 50].as_slice()));
    }

    #[test]
    fn owned_arguments_are_those_that_were_given() {
        let long = vec![b'x'; 1000];
        let args = OwnedArgs::from_slices(&[b"SET".as_slice(), b"", &long]);
        assert_eq!(args.as_args().iter().collect::<Vec<_>>(), [b"SET".as_slice(), b"", &long]);
        let mut out = Vec::new();
        args.as_args().append_to(&mut out);
        assert!(out.starts_with(b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$1000\r\nxxx"));
        let mut again = Vec::new();
        args.as_args().from(0).append_to(&mut again);
        assert_eq!(out, again);
    }
}
