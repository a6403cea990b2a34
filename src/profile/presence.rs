//! Who was there when: how many requests to each endpoint were in flight, how many users were active, at any moment.
//!
//! A stay begins and ends; sorted by time, beginnings and ends tell everything. A stay has its first moment in it and not
//! its last, as a phase has: a sample taken when the answer was complete is not the request's. Knows neither requests nor
//! users: only stays, in numbered groups.

use crate::clock::Moment;

/// The bit that tells an end from a beginning; below it stands the group. Ends come first: who leaves as another comes was
/// never there beside it.
const BEGINS: u32 = 1 << 31;
/// Edges between two places where the counts of all groups are kept, at least: as far is gone step by step.
const SPAN: usize = 4096;

/// A stay of somebody, or something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stay {
    /// In which group; the groups count up from 0.
    pub group: u32,
    /// Its first moment.
    pub from: Moment,
    /// The moment that ends it, which is not in it.
    pub to: Moment,
}

/// Sorted beginnings and ends: 32 bytes a stay.
#[derive(Clone, Debug, Default)]
pub struct Presence {
    edges: Vec<Edge>,
    groups: usize,
    /// Edges between two entries of `counts`.
    span: usize,
    /// How many of each group are there before every `span`-th edge; less than a byte an edge.
    counts: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    moment: Moment,
    change: u32,
}

impl Edge {
    const fn group(self) -> usize {
        (self.change & !BEGINS) as usize
    }

    const fn begins(self) -> bool {
        self.change & BEGINS != 0
    }
}

/// How many are there at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present<'a> {
    /// Of each group.
    pub groups: &'a [u32],
    /// Of all of them.
    pub all: u32,
}

impl Present<'_> {
    /// Whether somebody of the first group is there: where groups are of the wanted and of the others, a wanted one.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.groups.first().is_some_and(|count| *count > 0)
    }

    /// Whether somebody of another group is there.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.groups.iter().skip(1).any(|count| *count > 0)
    }
}

/// How many were there in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// On average over time.
    pub mean: f64,
    /// At most at once.
    pub most: u32,
    /// For which share of the time there was at least one.
    pub share: f64,
}

/// How many of each group were there in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shares {
    /// Of each group.
    pub groups: Vec<Share>,
    /// Of all of them.
    pub all: Share,
}

impl Presence {
    /// Puts stays in order, in O(n log n). Those that take no time, or are in no group, are left out.
    #[must_use]
    pub fn of(stays: impl IntoIterator<Item = Stay>, groups: usize) -> Self {
        let groups = groups.min(BEGINS as usize);
        let mut edges = Vec::new();
        for Stay { group, from, to } in stays {
            if from < to && (group as usize) < groups {
                edges.extend([Edge { moment: from, change: group | BEGINS }, Edge { moment: to, change: group }]);
            }
        }
        edges.sort_unstable();
        let span = SPAN.max(16 * groups);
        let (mut counts, mut now) = (Vec::new(), vec![0_u32; groups]);
        for part in edges.chunks(span) {
            counts.extend_from_slice(&now);
            for edge in part {
                step(&mut now[edge.group()], edge.begins());
            }
        }
        Self { edges, groups, span, counts }
    }

    /// Whether nobody was there ever.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }

    /// The first moment at which anybody was there, and the one from which nobody was.
    #[must_use]
    pub fn span(&self) -> Option<(Moment, Moment)> {
        Some((self.edges.first()?.moment, self.edges.last()?.moment))
    }

    /// Each change of how many there are in all: when, and whether somebody came.
    pub fn changes(&self) -> impl Iterator<Item = (Moment, bool)> {
        self.edges.iter().map(|edge| (edge.moment, edge.begins()))
    }

    /// How many were there between two moments.
    #[must_use]
    pub fn during(&self, from: Moment, to: Moment) -> Shares {
        let mut cursor = PresenceCursor::new(self);
        let present = cursor.at(from);
        let mut sums: Vec<Sum> = present.groups.iter().map(|count| Sum::new(*count, from)).collect();
        let mut all = Sum::new(present.all, from);
        let later = self.edges.get(cursor.next..).unwrap_or_default();
        for edge in later.iter().take_while(|edge| edge.moment < to) {
            sums[edge.group()].step(*edge);
            all.step(*edge);
        }
        Shares { groups: sums.into_iter().map(|sum| sum.share(from, to)).collect(), all: all.share(from, to) }
    }
}

const fn step(count: &mut u32, begins: bool) {
    *count = if begins { count.saturating_add(1) } else { count.saturating_sub(1) };
}

/// How many there are of something, summed up over time.
struct Sum {
    count: u32,
    most: u32,
    since: Moment,
    seconds: f64,
    occupied: f64,
}

impl Sum {
    const fn new(count: u32, since: Moment) -> Self {
        Self { count, most: count, since, seconds: 0.0, occupied: 0.0 }
    }

    fn step(&mut self, edge: Edge) {
        self.go_on(edge.moment);
        step(&mut self.count, edge.begins());
        self.most = self.most.max(self.count);
    }

    fn go_on(&mut self, to: Moment) {
        let gap = to.since(self.since).as_secs_f64();
        self.seconds += gap * f64::from(self.count);
        self.occupied += if self.count > 0 { gap } else { 0.0 };
        self.since = to;
    }

    fn share(mut self, from: Moment, to: Moment) -> Share {
        let length = to.since(from).as_secs_f64();
        if length <= 0.0 {
            return Share::default();
        }
        self.go_on(to);
        Share { mean: self.seconds / length, most: self.most, share: (self.occupied / length).min(1.0) }
    }
}

/// Tells of one moment after another who was there.
#[derive(Clone, Debug)]
pub struct PresenceCursor<'a> {
    presence: &'a Presence,
    /// The stretch in which `counts` is the answer; its end is not in it.
    from: Moment,
    to: Moment,
    /// The edge that ends it.
    next: usize,
    counts: Vec<u32>,
    all: u32,
}

impl<'a> PresenceCursor<'a> {
    /// A cursor at the beginning of time.
    #[must_use]
    pub fn new(presence: &'a Presence) -> Self {
        let (from, counts) = (Moment::default(), vec![0; presence.groups]);
        Self { presence, from, to: from, next: 0, counts, all: 0 }
    }

    /// How many were there at a moment. Moments may come in any order; one near the one before takes no time.
    pub fn at(&mut self, moment: Moment) -> Present<'_> {
        if moment < self.from || moment >= self.to {
            self.seek(moment);
        }
        Present { groups: &self.counts, all: self.all }
    }

    fn seek(&mut self, moment: Moment) {
        if !self.go(moment) {
            self.jump(moment);
        }
        let edge = |at: Option<usize>| at.and_then(|at| self.presence.edges.get(at)).map(|edge| edge.moment);
        self.from = edge(self.next.checked_sub(1)).unwrap_or_default();
        // The far end of time is in no stretch, and is looked up each time.
        self.to = edge(Some(self.next)).unwrap_or(Moment::from_nanos(u64::MAX));
    }

    /// Goes there edge by edge, forward or back; `false` when it is far.
    fn go(&mut self, moment: Moment) -> bool {
        let edges = &self.presence.edges;
        for _ in 0..=self.presence.span {
            if let Some(edge) = edges.get(self.next).filter(|edge| edge.moment <= moment) {
                self.next += 1;
                step(&mut self.counts[edge.group()], edge.begins());
                step(&mut self.all, edge.begins());
            } else if let Some(edge) = self.next.checked_sub(1).map(|at| edges[at]).filter(|edge| edge.moment > moment)
            {
                self.next -= 1;
                step(&mut self.counts[edge.group()], !edge.begins());
                step(&mut self.all, !edge.begins());
            } else {
                return true;
            }
        }
        false
    }

    /// Looks for the nearest place where all is known.
    fn jump(&mut self, moment: Moment) {
        let Presence { edges, groups, span, counts } = self.presence;
        let target = edges.partition_point(|edge| edge.moment <= moment);
        let known = (target / span).min((counts.len() / groups.max(&1)).saturating_sub(1));
        self.counts.copy_from_slice(&counts[known * groups..(known + 1) * groups]);
        self.all = self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count));
        self.next = known * span;
        for edge in &edges[self.next..target] {
            step(&mut self.counts[edge.group()], edge.begins());
            step(&mut self.all, edge.begins());
        }
        self.next = target;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    const fn stay(group: u32, from: u64, to: u64) -> Stay {
        Stay { group, from: at(from), to: at(to) }
    }

    #[test]
    fn the_first_moment_is_in_a_stay_and_the_last_is_not() {
        let presence = Presence::of([stay(0, 10, 20), stay(1, 20, 30), stay(0, 15, 15), stay(7, 0, 99)], 2);
        let mut cursor = PresenceCursor::new(&presence);
        let told = [9, 10, 19, 20, 29, 30, 10, u64::MAX].map(|moment| {
            let present = cursor.at(at(moment));
            (present.groups.to_vec(), present.all)
        });
        let expected = [[0, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 0], [1, 0], [0, 0]];
        assert_eq!(told, expected.map(|groups| (groups.to_vec(), groups.iter().sum())));
    }

    #[test]
    fn a_stretch_of_time_is_summed_up() {
        let presence = Presence::of([stay(0, 0, 50), stay(0, 25, 50), stay(0, 50, 75), stay(1, 90, 200)], 2);
        let shares = presence.during(at(0), at(100));
        assert_eq!(shares.groups[0], Share { mean: 1.0, most: 2, share: 0.75 });
        assert_eq!(shares.groups[1], Share { mean: 0.1, most: 1, share: 0.1 });
        assert_eq!((shares.all.most, (shares.all.share * 100.0).round()), (2, 85.0));
        // What goes on at the edges counts for the part inside.
        assert_eq!(presence.during(at(40), at(50)).groups[0], Share { mean: 2.0, most: 2, share: 1.0 });
        assert_eq!(presence.during(at(50), at(50)).all, Share::default());
        assert_eq!(Presence::default().during(at(0), at(9)), Shares::default());
    }

    fn any_stays() -> impl Strategy<Value = Vec<Stay>> {
        let stay = (0..4_u32, 0..90_u64, 0..30_u64).prop_map(|(group, from, length)| stay(group, from, from + length));
        proptest::collection::vec(stay, 0..60)
    }

    proptest! {
        #[test]
        fn the_cursor_tells_what_counting_tells(
            stays in any_stays(),
            moments in proptest::collection::vec(0..130_u64, 0..60),
        ) {
            let presence = Presence::of(stays.iter().copied(), 3);
            let mut cursor = PresenceCursor::new(&presence);
            for moment in moments.into_iter().map(at) {
                let there = |group| move |stay: &&Stay| stay.group == group && stay.from <= moment && moment < stay.to;
                let expected: Vec<u32> = (0..3)
                    .map(|group| u32::try_from(stays.iter().filter(there(group)).count()).expect("few"))
                    .collect();
                let present = cursor.at(moment);
                prop_assert_eq!(present.groups, &expected);
                prop_assert_eq!(present.all, expected.iter().sum::<u32>());
            }
        }

        #[test]
        fn a_stretch_is_the_sum_of_its_moments(stays in any_stays(), from in 0..100_u64, length in 1..40_u64) {
            let presence = Presence::of(stays, 4);
            let mut cursor = PresenceCursor::new(&presence);
            let counts: Vec<u32> = (from..from + length).map(|moment| cursor.at(at(moment)).all).collect();
            let shares = presence.during(at(from), at(from + length)).all;
            let length = f64::from(u32::try_from(length).expect("short"));
            prop_assert!((shares.mean - f64::from(counts.iter().sum::<u32>()) / length).abs() < 1e-9);
            let occupied = u32::try_from(counts.iter().filter(|count| **count > 0).count()).expect("few");
            prop_assert!((shares.share - f64::from(occupied) / length).abs() < 1e-9);
            prop_assert_eq!(shares.most, counts.into_iter().max().unwrap_or(0));
        }

        #[test]
        fn far_away_is_told_like_near_by(moments in proptest::collection::vec(0..60_000_u64, 1..40)) {
            // Long enough for several places where all is known: at every moment two of five groups.
            let stays = (0..20_000_u32).map(|number| stay(number % 5, u64::from(number) * 3, u64::from(number) * 3 + 6));
            let presence = Presence::of(stays, 5);
            let mut cursor = PresenceCursor::new(&presence);
            for moment in moments {
                let present = cursor.at(at(moment));
                let last = usize::try_from(moment / 3).expect("small");
                prop_assert_eq!(present.groups[last % 5], 1);
                prop_assert_eq!(present.all, if last == 0 { 1 } else { 2 });
            }
        }
    }
}
