//! What becomes of the references that groups have to entries that are deleted: KEEPREF, DELREF and ACKED.
//!
//! Replicas are told with XDEL and XACK, which all of them know.

use rivulet_keyspace::Stream;
use rivulet_keyspace::value::stream::{Id, Name};
use rivulet_resp::OwnedArgs;

use super::ids;
use crate::ctx::Ctx;

/// What happens to what is pending of an entry that is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum References {
    /// It stays.
    #[default]
    Keep,
    /// It goes as well, in all groups.
    Delete,
    /// Only entries are deleted that all groups have read and acknowledged.
    Acknowledged,
}

impl References {
    /// The word at argument `at`, if it is one of these.
    pub fn parse(ctx: &Ctx<'_>, at: usize) -> Option<References> {
        let words =
            [("keepref", References::Keep), ("delref", References::Delete), ("acked", References::Acknowledged)];
        words.iter().find(|(word, _)| ctx.args.is(at, word)).map(|(_, references)| *references)
    }
}

/// Whether a group has still to read the entry, or has not acknowledged it.
pub(super) fn is_referenced(stream: &Stream, id: Id) -> bool {
    let mut groups = stream.groups().into_iter().flat_map(|groups| groups.iter());
    groups.any(|group| group.last_id < id || group.pending().get(&id).is_some())
}

/// Takes entries out of what is pending in all groups; answers which were in each.
pub(super) fn drop_all(stream: &mut Stream, ids: &[Id]) -> Vec<(Name, Vec<Id>)> {
    let names: Vec<Name> =
        stream.groups().into_iter().flat_map(|groups| groups.iter()).map(|group| group.name.clone()).collect();
    let drop_in = |name: Name| {
        let dropped = stream.change_group(&name, |group, _| {
            ids.iter().copied().filter(|id| group.acknowledge(*id)).collect::<Vec<Id>>()
        });
        dropped.filter(|dropped| !dropped.is_empty()).map(|dropped| (name, dropped))
    };
    names.into_iter().filter_map(drop_in).collect()
}

/// `XDEL key id …`, if there are ids.
pub(super) fn deletion(key: &[u8], ids: &[Id]) -> Option<OwnedArgs> {
    let command = with_ids(&[b"XDEL", key], ids);
    (!ids.is_empty()).then_some(command)
}

/// `XACK key group id …`
pub(super) fn acknowledgement(key: &[u8], group: &[u8], ids: &[Id]) -> OwnedArgs {
    with_ids(&[b"XACK", key, group], ids)
}

fn with_ids(front: &[&[u8]], ids: &[Id]) -> OwnedArgs {
    let texts: Vec<Vec<u8>> = ids.iter().map(|id| ids::text(*id)).collect();
    let words: Vec<&[u8]> = front.iter().copied().chain(texts.iter().map(Vec::as_slice)).collect();
    OwnedArgs::from_slices(&words)
}
