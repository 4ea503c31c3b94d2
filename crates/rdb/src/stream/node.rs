//! A listpack of a stream's entries, taken apart and put together.
//!
//! What comes from a file is looked at element by element before anything is made of it.

use rivulet_keyspace::value::listpack::{Builder, Iter};
use rivulet_keyspace::value::stream::{Entry, Id, Stream};
use rivulet_keyspace::value::{Elem, ListPack};

use crate::error::Problem;

/// Flags of an entry.
const DELETED: i64 = 1;
const SAME_NAMES: i64 = 2;

/// Elements of an entry beside its names and values: flags, ms, seq, and with names of its own their count.
const ELEMENTS: usize = 3;
const ELEMENTS_WITH_NAMES: usize = 4;

const BROKEN: Problem = Problem::Corrupt("Stream listpack integrity check failed.");

/// The elements of a listpack, one after the other.
struct Elems<'a>(Iter<'a>);

impl<'a> Elems<'a> {
    fn elem(&mut self) -> Result<Elem<'a>, Problem> {
        self.0.next().ok_or(BROKEN)
    }

    fn int(&mut self) -> Result<i64, Problem> {
        match self.elem()? {
            Elem::Int(n) => Ok(n),
            Elem::Bytes(_) => Err(BROKEN),
        }
    }

    /// How many there are of something.
    fn count(&mut self) -> Result<usize, Problem> {
        usize::try_from(self.int()?).map_err(|_| BROKEN)
    }
}

/// Appends the entries of a listpack to a stream. `first_id` is what their ids are told from.
///
/// # Errors
/// The listpack is not a stream's, or its ids are not above those that the stream has.
pub fn append_all(stream: &mut Stream, first_id: Id, pack: &ListPack) -> Result<(), Problem> {
    const ORDER: Problem = Problem::Corrupt("Stream entries are not in the order of their IDs");
    let mut elems = Elems(pack.iter());
    let counts = (elems.count()?, elems.count()?);
    let names = (0..elems.count()?).map(|_| elems.elem()).collect::<Result<Vec<_>, _>>()?;
    if elems.int()? != 0 {
        return Err(BROKEN);
    }
    let (mut live, mut deleted, mut fields) = (0, 0, Vec::new());
    while let Some(flags) = elems.0.next() {
        let Elem::Int(flags) = flags else { return Err(BROKEN) };
        let delta = read_entry(flags, &mut elems, &names, &mut fields)?;
        if flags & DELETED != 0 {
            deleted += 1;
            continue;
        }
        let id = Id::new(first_id.ms.wrapping_add(delta.ms), first_id.seq.wrapping_add(delta.seq));
        stream.append_from_file(id, &fields[..], live == 0).map_err(|_| ORDER)?;
        live += 1;
    }
    if (live, deleted) == counts { Ok(()) } else { Err(BROKEN) }
}

/// Reads an entry's fields, and answers its id as a distance.
fn read_entry<'a>(
    flags: i64,
    elems: &mut Elems<'a>,
    names: &[Elem<'a>],
    fields: &mut Vec<(Elem<'a>, Elem<'a>)>,
) -> Result<Id, Problem> {
    let delta = Id::new(elems.int()? as u64, elems.int()? as u64);
    fields.clear();
    let elements = if flags & SAME_NAMES != 0 {
        for &name in names {
            fields.push((name, elems.elem()?));
        }
        names.len() + ELEMENTS
    } else {
        let count = elems.count()?;
        for _ in 0..count {
            fields.push((elems.elem()?, elems.elem()?));
        }
        2 * count + ELEMENTS_WITH_NAMES
    };
    if elems.count()? == elements { Ok(delta) } else { Err(BROKEN) }
}

/// The entries of a node as a listpack, and the id that theirs are told from. At least one of them is not deleted.
pub fn pack(entries: &[Entry<'_>], builder: &mut Builder) -> (Id, ListPack) {
    let int = |builder: &mut Builder, n: i64| builder.push(itoa::Buffer::new().format(n).as_bytes());
    let first = entries[0];
    let deleted = entries.iter().filter(|entry| entry.is_dead()).count();
    int(builder, (entries.len() - deleted) as i64);
    int(builder, deleted as i64);
    int(builder, first.common_names().len() as i64);
    first.common_names().for_each(|name| name.with(|name| builder.push(name)));
    int(builder, 0);
    for entry in entries {
        let same_names = entry.has_common_names() && !entry.is_dead();
        int(builder, i64::from(entry.is_dead()) * DELETED + i64::from(same_names) * SAME_NAMES);
        int(builder, entry.id.ms.wrapping_sub(first.id.ms) as i64);
        int(builder, entry.id.seq.wrapping_sub(first.id.seq) as i64);
        // Of a deleted entry nothing is left but its id.
        let fields = if entry.is_dead() { None } else { Some(entry.fields()) };
        let count = fields.as_ref().map_or(0, ExactSizeIterator::len);
        if !same_names {
            int(builder, count as i64);
        }
        for (name, value) in fields.into_iter().flatten() {
            if !same_names {
                name.with(|name| builder.push(name));
            }
            value.with(|value| builder.push(value));
        }
        let elements = if same_names { count + ELEMENTS } else { 2 * count + ELEMENTS_WITH_NAMES };
        int(builder, elements as i64);
    }
    (first.id, builder.finish())
}
