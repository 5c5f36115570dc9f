//! The wait graph against a search through all paths, over random histories; and its promises one by one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use tideloop_core::wait_graph::{
    Because, Head, Holdings, Party, Resource, Surroundings, Waits, blockers_of, cycle_through,
};

const PARTIES: u64 = 6;
const RESOURCES: usize = 6;

/// Locks, those who hold them, those who wait.
#[derive(Default)]
struct World {
    heads: [Head; RESOURCES],
    holdings: Holdings<usize>,
    waits: Waits,
    needs: BTreeMap<Party, Party>,
}

impl World {
    fn take(&mut self, party: u64, resource: usize, shared: bool) {
        self.heads[resource] = self.holdings.enter(self.heads[resource], Party(party), shared, resource);
    }

    fn wait(&mut self, party: u64, resource: usize) -> u64 {
        self.waits.begin(Party(party), Resource(resource as u64), false, false)
    }

    fn cycle(&mut self, party: u64) -> Option<Vec<u64>> {
        let cycle = cycle_through(Party(party), self)?;
        Some(cycle.into_iter().map(|(party, _)| party.0).collect())
    }
}

impl Surroundings for World {
    fn blockers(&mut self, party: Party) -> Vec<(Party, Because)> {
        let mut blockers = Vec::new();
        for wait in self.waits.of(party) {
            let head = self.heads[wait.resource.0 as usize];
            let holders: Vec<_> = self.holdings.holders(head).map(|held| (held.party, held.shared)).collect();
            let of_wait = blockers_of(wait, &holders, &self.waits);
            blockers.extend(of_wait.into_iter().map(|blocker| (blocker, Because::Waits(*wait))));
        }
        blockers.extend(self.needs.get(&party).map(|needed| (*needed, Because::Needs)));
        blockers
    }
}

#[test]
fn two_who_take_two_locks_in_opposite_order_are_a_cycle_of_two() {
    let mut world = World::default();
    world.take(1, 0, false);
    world.take(2, 1, false);
    world.wait(1, 1);
    assert_eq!(world.cycle(1), None);
    world.wait(2, 0);
    assert_eq!(world.cycle(2), Some(vec![2, 1]));
}

#[test]
fn one_who_takes_its_own_lock_again_is_a_cycle_of_one() {
    let mut world = World::default();
    world.take(1, 0, false);
    world.wait(1, 0);
    assert_eq!(world.cycle(1), Some(vec![1]));
}

#[test]
fn a_wait_with_a_limit_is_part_of_no_cycle() {
    let mut world = World::default();
    world.take(1, 0, false);
    world.take(2, 1, false);
    world.waits.begin(Party(1), Resource(1), false, true);
    world.wait(2, 0);
    assert_eq!(world.cycle(2), None);
}

#[test]
fn a_lock_that_somebody_else_releases_is_held_no_more() {
    let mut world = World::default();
    world.take(1, 0, false);
    world.take(2, 1, false);
    world.wait(1, 1);
    let (head, left) = world.holdings.leave(world.heads[0]);
    world.heads[0] = head;
    assert_eq!(left.map(|held| held.party), Some(Party(1)));
    world.wait(2, 0);
    assert_eq!(world.cycle(2), None);
}

#[test]
fn a_writer_waits_for_every_reader() {
    let mut world = World::default();
    for reader in 1..=3 {
        world.take(reader, 0, true);
    }
    world.take(4, 1, false);
    world.wait(2, 1);
    world.wait(4, 0);
    assert_eq!(world.cycle(4), Some(vec![4, 2]));
}

#[test]
fn a_reader_behind_a_waiting_writer_waits_for_it_and_not_for_other_readers() {
    let mut world = World::default();
    world.take(1, 0, true);
    world.take(2, 1, false);
    let writer = world.wait(3, 0);
    world.waits.begin(Party(2), Resource(0), true, false);
    world.wait(1, 1);
    assert_eq!(world.cycle(1), Some(vec![1, 2, 3]));
    world.waits.end(Party(3), writer);
    assert_eq!(world.cycle(1), None);
}

#[test]
fn a_reader_that_others_released_is_forgotten_with_all_the_others() {
    let mut world = World::default();
    world.take(1, 0, true);
    world.take(2, 0, true);
    let (head, left) = world.holdings.leave_as(world.heads[0], Party(2));
    assert_eq!(left.len(), 1);
    let (head, left) = world.holdings.leave_as(head, Party(9));
    assert_eq!(left.into_iter().map(|held| held.party).collect::<Vec<_>>(), [Party(1)]);
    assert_eq!(world.holdings.holders(head).count(), 0);
    assert!(world.holdings.is_empty());
}

#[test]
fn heads_from_before_a_clearing_say_that_nobody_holds_it() {
    let mut world = World::default();
    world.take(1, 0, false);
    assert_eq!(world.holdings.clear().len(), 1);
    let stale = world.heads[0];
    world.take(2, 1, false);
    assert_eq!(world.holdings.holders(stale).count(), 0);
    assert!(world.holdings.leave(stale).1.is_none());
    assert_eq!(world.holdings.len(), 1);
}

#[test]
fn the_shortest_cycle_is_found() {
    let mut world = World::default();
    world.take(1, 0, true);
    world.take(2, 0, true);
    world.take(3, 1, false);
    world.needs.insert(Party(1), Party(2));
    world.wait(2, 1);
    world.needs.insert(Party(2), Party(3));
    world.wait(3, 0);
    assert_eq!(world.cycle(3), Some(vec![3, 2]));
}

#[derive(Clone, Debug)]
enum Step {
    Take { party: u64, resource: usize, shared: bool },
    LetGo { resource: usize },
    LetGoAs { party: u64, resource: usize },
    Wait { party: u64, resource: usize, shared: bool, limited: bool },
    Stop { party: u64 },
    Need { party: u64, needed: u64 },
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (party, resource) = (|| 0..PARTIES, || 0..RESOURCES);
    let step = prop_oneof![
        12 => (party(), resource(), any::<bool>())
            .prop_map(|(party, resource, shared)| Step::Take { party, resource, shared }),
        4 => resource().prop_map(|resource| Step::LetGo { resource }),
        4 => (party(), resource()).prop_map(|(party, resource)| Step::LetGoAs { party, resource }),
        12 => (party(), resource(), any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(party, resource, shared, limited)| Step::Wait { party, resource, shared, limited }),
        6 => party().prop_map(|party| Step::Stop { party }),
        1 => (party(), party()).prop_map(|(party, needed)| Step::Need { party, needed }),
        1 => Just(Step::Clear),
    ];
    prop::collection::vec(step, 0..80)
}

/// The same world, as simply as can be.
#[derive(Default)]
struct Model {
    held: Vec<(u64, usize, bool)>,
    waiting: Vec<(u64, u64, usize, bool, bool)>,
    needs: BTreeMap<u64, u64>,
}

impl Model {
    fn blocked_by(&self, party: u64, other: u64) -> bool {
        self.needs.get(&party) == Some(&other)
            || self.waiting.iter().filter(|wait| wait.0 == party && !wait.4).any(|wait| self.blocks(wait, other))
    }

    fn blocks(&self, &(_, serial, resource, shared, _): &(u64, u64, usize, bool, bool), other: u64) -> bool {
        let holders: Vec<_> = self.held.iter().filter(|held| held.1 == resource).collect();
        let alone = holders.iter().any(|held| !held.2);
        if !shared || alone || holders.is_empty() {
            return holders.iter().any(|held| held.0 == other && (!shared || !held.2));
        }
        self.waiting.iter().any(|wait| wait.0 == other && wait.1 < serial && wait.2 == resource && !wait.3 && !wait.4)
    }

    /// The length of the shortest cycle, by following every path.
    fn shortest(&self, path: &mut Vec<u64>) -> Option<usize> {
        let last = *path.last().unwrap();
        if self.blocked_by(last, path[0]) {
            return Some(path.len());
        }
        let mut best: Option<usize> = None;
        for next in 0..PARTIES {
            if path.contains(&next) || !self.blocked_by(last, next) {
                continue;
            }
            path.push(next);
            let found = self.shortest(path);
            path.pop();
            best = best.into_iter().chain(found).min();
        }
        best
    }
}

fn apply(step: &Step, world: &mut World, model: &mut Model) {
    match *step {
        Step::Take { party, resource, shared } => {
            world.take(party, resource, shared);
            model.held.push((party, resource, shared));
        }
        Step::LetGo { resource } => {
            let (head, left) = world.holdings.leave(world.heads[resource]);
            world.heads[resource] = head;
            let last = model.held.iter().rposition(|held| held.1 == resource).map(|at| model.held.remove(at));
            assert_eq!(left.map(|held| (held.party.0, held.detail, held.shared)), last);
        }
        Step::LetGoAs { party, resource } => {
            let (head, left) = world.holdings.leave_as(world.heads[resource], Party(party));
            world.heads[resource] = head;
            if let Some(at) = model.held.iter().rposition(|held| held.1 == resource && held.0 == party) {
                model.held.remove(at);
                assert_eq!(left.len(), 1);
            } else {
                model.held.retain(|held| held.1 != resource);
            }
        }
        Step::Wait { party, resource, shared, limited } => {
            let serial = world.waits.begin(Party(party), Resource(resource as u64), shared, limited);
            model.waiting.push((party, serial, resource, shared, limited));
        }
        Step::Stop { party } => {
            if let Some(at) = model.waiting.iter().rposition(|wait| wait.0 == party) {
                let (party, serial, ..) = model.waiting.remove(at);
                world.waits.end(Party(party), serial);
            }
        }
        Step::Need { party, needed } => {
            world.needs.insert(Party(party), Party(needed));
            model.needs.insert(party, needed);
        }
        Step::Clear => {
            assert_eq!(world.holdings.clear().len(), model.held.len());
            model.held.clear();
        }
    }
}

proptest! {
    #[test]
    fn it_finds_a_cycle_through_a_party_exactly_where_a_search_of_all_paths_does(steps in steps()) {
        let (mut world, mut model) = (World::default(), Model::default());
        for step in &steps {
            apply(step, &mut world, &mut model);
            prop_assert_eq!(world.holdings.len(), model.held.len());
        }
        for party in 0..PARTIES {
            let found = world.cycle(party);
            prop_assert_eq!(found.as_ref().map(Vec::len), model.shortest(&mut vec![party]));
            if let Some(cycle) = found {
                let shifted = cycle.iter().skip(1).chain(cycle.first());
                for (one, next) in cycle.iter().zip(shifted) {
                    prop_assert!(model.blocked_by(*one, *next), "{} is not blocked by {}", one, next);
                }
            }
        }
    }
}
