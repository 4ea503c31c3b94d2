//! Circles in a graph: its strongly connected components.

use std::collections::{BTreeMap, BTreeSet};

/// Sets of nodes that reach each other, the largest first; who reaches nobody that comes back is alone.
pub fn components(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        graph.keys().map(|node| (node, reachable(graph, node))).collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (node, reach) in &reached {
        if seen.contains(node) {
            continue;
        }
        let with = reach.iter().filter(|other| *other != node && reached[**other].contains(node));
        let component: BTreeSet<&String> = with.copied().chain([*node]).collect();
        seen.extend(component.iter().copied());
        found.push(component.into_iter().cloned().collect::<Vec<_>>());
    }
    found.sort_by_key(|component| std::cmp::Reverse(component.len()));
    found
}

/// What a node reaches; itself only if it comes back.
pub fn reachable<'a>(graph: &'a BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&String> = graph[from].iter().collect();
    while let Some(node) = next.pop() {
        if graph.contains_key(node) && reached.insert(node) {
            next.extend(&graph[node]);
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_back_is_in_a_circle() {
        let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("e", "d"), ("f", "a"), ("g", "g")];
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in edges {
            graph.entry(from.into()).or_default().insert(to.into());
            graph.entry(to.into()).or_default();
        }
        let found: Vec<String> = components(&graph).iter().map(|component| component.join("")).collect();
        assert_eq!(found, ["abc", "de", "f", "g"]);
    }
}
