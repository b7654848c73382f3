//! Comparing the recent distinguished roots of two people (section "Detecting Forks").

use overt_protocol::user::TreeView;
use overt_protocol::wire::HashValue;

/// What two people's views of the recent distinguished log entries say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// They are of one log, with so many roots in common.
    Same(usize),
    /// They are not of one log.
    Split,
    /// Nothing: no log entry is recent for both.
    Apart,
}

/// Compares two views, each of all recent distinguished log entries, left to right.
pub fn compare(mine: &[TreeView], theirs: &[TreeView]) -> Comparison {
    let roots = |views: &[TreeView]| views.iter().map(|view| view.root).collect::<Vec<_>>();
    let common = overlap(&roots(mine), &roots(theirs));
    if common > 0 {
        return Comparison::Same(common);
    }
    // Which entries are distinguished is the log's, not the viewer's.
    let begins_in = |a: &[TreeView], b: &[TreeView]| {
        let (first, last) = (b.first(), b.last());
        let range = first.zip(last).map(|(f, l)| f.position()..=l.position());
        let begin = a.first().map(TreeView::position);
        range.is_some_and(|range| begin.is_some_and(|begin| range.contains(&begin)))
    };
    match begins_in(mine, theirs) || begins_in(theirs, mine) {
        true => Comparison::Split,
        false => Comparison::Apart,
    }
}

/// How many roots two lists have in common where they lie over each other, if they agree on all of
/// them: the comparison of section "Detecting Forks", for lists of any lengths, since a young log
/// has shown different people different numbers of entries.
pub fn overlap(a: &[HashValue], b: &[HashValue]) -> usize {
    let ends_at = |earlier: &[HashValue], later: &[HashValue]| {
        (0..earlier.len())
            .map(|skipped| {
                let common = earlier.len().saturating_sub(skipped).min(later.len());
                let agree = earlier
                    .iter()
                    .skip(skipped)
                    .zip(later)
                    .all(|(mine, theirs)| mine == theirs);
                if agree { common } else { 0 }
            })
            .max()
            .unwrap_or(0)
    };
    ends_at(a, b).max(ends_at(b, a))
}

#[cfg(test)]
mod tests {
    use overt_protocol::distinguished::compare_roots;

    use super::*;

    fn view(position: u64, root: u8) -> TreeView {
        TreeView {
            size: position + 1,
            root: [root; 32],
            full_subtrees: Vec::new(),
            frontier: Vec::new(),
        }
    }

    fn views(views: &[(u64, u8)]) -> Vec<TreeView> {
        views.iter().map(|(p, root)| view(*p, *root)).collect()
    }

    #[test]
    fn views_of_one_log_overlap() {
        let log = views(&[(1, 1), (4, 4), (7, 7), (9, 9), (12, 12)]);
        for (from, to) in [(0, 5), (0, 2), (3, 5), (4, 5), (1, 4)] {
            let part = &log[from..to];
            assert_eq!(compare(&log, part), Comparison::Same(to - from));
            assert_eq!(compare(part, &log), Comparison::Same(to - from));
        }
        assert_eq!(compare(&log[..3], &log[2..]), Comparison::Same(1));
        assert_eq!(compare(&log[..2], &log[2..]), Comparison::Apart);
        assert_eq!(compare(&log, &[]), Comparison::Apart);
    }

    #[test]
    fn views_of_two_logs_do_not() {
        let mine = views(&[(1, 1), (4, 4), (7, 7)]);
        for theirs in [
            // Another root, another distinguished entry, and both from the beginning.
            views(&[(1, 1), (4, 4), (7, 70), (9, 90)]),
            views(&[(1, 1), (4, 4), (6, 60), (9, 90)]),
            views(&[(4, 40), (7, 70), (9, 90)]),
            views(&[(3, 30), (5, 50)]),
        ] {
            assert_eq!(compare(&mine, &theirs), Comparison::Split);
            assert_eq!(compare(&theirs, &mine), Comparison::Split);
        }
    }

    #[test]
    fn lists_of_one_length_are_compared_as_the_draft_does() {
        let lists: Vec<Vec<HashValue>> = (0..81u32)
            .map(|n| (0..4).map(|i| [(n / 3u32.pow(i) % 3) as u8; 32]).collect())
            .collect();
        for (a, b) in lists.iter().flat_map(|a| lists.iter().map(move |b| (a, b))) {
            assert_eq!(overlap(a, b) > 0, compare_roots(a, b).is_ok());
        }
    }
}
