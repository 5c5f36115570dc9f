//! Who holds what, who waits for what, and the cycles in it: the memory of the deadlock detector.
//!
//! A *party* is whoever can hold and wait (a thread, a task), a *resource* whatever can be held (a lock). A party that
//! waits cannot go on before **all** who hold what it waits for have let go of it. So a cycle of such waits never ends
//! by itself, unless one of them has a limit: a limited wait is part of no cycle.

use std::collections::{HashMap, HashSet};

/// A thread or a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Party(pub u64);

/// What can be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource(pub u64);

/// One who holds something.
#[derive(Debug)]
pub struct Holding<T> {
    /// Who.
    pub party: Party,
    /// Together with others (a reader), or alone.
    pub shared: bool,
    /// What the caller wants to remember of it.
    pub detail: T,
    next: u32,
}

/// Where those who hold one resource stand in [`Holdings`]; the resource keeps it. The default: nobody does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head(u64);

/// Everything that is held. Taking and letting go cost no search: the holders of a resource are a list, whose head the
/// resource keeps.
#[derive(Debug)]
pub struct Holdings<T> {
    places: Vec<Place<T>>,
    free: u32,
    len: usize,
    /// Counts the clearings: a head of an earlier time is nobody's.
    epoch: u32,
}

#[derive(Debug)]
enum Place<T> {
    Held(Holding<T>),
    Free(u32),
}

const NOWHERE: u32 = u32::MAX;

impl Head {
    /// As a number, for an atomic.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// From [`Head::to_u64`].
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

impl<T> Default for Holdings<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Holdings<T> {
    /// Nothing is held.
    #[must_use]
    pub const fn new() -> Self {
        Self { places: Vec::new(), free: NOWHERE, len: 0, epoch: 0 }
    }

    /// How many holdings there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    const fn head_at(&self, place: u32) -> Head {
        if place == NOWHERE { Head(0) } else { Head(((self.epoch as u64) << 32) | (place as u64 + 1)) }
    }

    const fn first(&self, head: Head) -> u32 {
        if head.0 >> 32 != self.epoch as u64 || head.0 as u32 == 0 { NOWHERE } else { head.0 as u32 - 1 }
    }

    fn get(&self, place: u32) -> Option<&Holding<T>> {
        match self.places.get(place as usize) {
            Some(Place::Held(holding)) => Some(holding),
            _ => None,
        }
    }

    /// One more holds the resource of `head`: its head from here on.
    #[must_use = "the resource keeps its head"]
    pub fn enter(&mut self, head: Head, party: Party, shared: bool, detail: T) -> Head {
        let holding = Holding { party, shared, detail, next: self.first(head) };
        let place = self.free;
        self.len += 1;
        if let Some(found) = self.places.get_mut(place as usize) {
            if let Place::Free(next) = *found {
                self.free = next;
            }
            *found = Place::Held(holding);
            return self.head_at(place);
        }
        self.places.push(Place::Held(holding));
        self.head_at((self.places.len() - 1) as u32)
    }

    /// The one whom the head names lets go: the head from here on, and what had been remembered.
    #[must_use = "the resource keeps its head, and the detail is the caller's to drop"]
    pub fn leave(&mut self, head: Head) -> (Head, Option<Holding<T>>) {
        let place = self.first(head);
        match self.vacate(place) {
            Some(holding) => (self.head_at(holding.next), Some(holding)),
            None => (Head(0), None),
        }
    }

    /// `party` lets go. If it holds nothing of this, somebody else's share has come back, nobody knows whose: then
    /// all holders are forgotten, since nothing may be said of them any more.
    #[must_use = "the resource keeps its head, and the details are the caller's to drop"]
    pub fn leave_as(&mut self, head: Head, party: Party) -> (Head, Vec<Holding<T>>) {
        let (mut before, mut place) = (NOWHERE, self.first(head));
        while let Some(holding) = self.get(place) {
            let next = holding.next;
            if holding.party != party {
                (before, place) = (place, next);
                continue;
            }
            let left = self.vacate(place).into_iter().collect();
            let Some(Place::Held(holding)) = self.places.get_mut(before as usize) else {
                return (self.head_at(next), left);
            };
            holding.next = next;
            return (head, left);
        }
        (Head(0), self.leave_all(head))
    }

    /// All holders of a resource let go.
    #[must_use = "the details are the caller's to drop"]
    pub fn leave_all(&mut self, head: Head) -> Vec<Holding<T>> {
        let (mut head, mut left) = (head, Vec::new());
        while let (rest, Some(holding)) = self.leave(head) {
            left.push(holding);
            head = rest;
        }
        left
    }

    fn vacate(&mut self, place: u32) -> Option<Holding<T>> {
        let found = self.places.get_mut(place as usize)?;
        if matches!(found, Place::Free(_)) {
            return None;
        }
        let Place::Held(holding) = std::mem::replace(found, Place::Free(self.free)) else { return None };
        self.free = place;
        self.len -= 1;
        Some(holding)
    }

    /// Those who hold the resource of `head`.
    pub fn holders(&self, head: Head) -> impl Iterator<Item = &Holding<T>> {
        let mut place = self.first(head);
        std::iter::from_fn(move || {
            let holding = self.get(place)?;
            place = holding.next;
            Some(holding)
        })
    }

    /// Everything that is held, by whomever.
    pub fn iter(&self) -> impl Iterator<Item = &Holding<T>> {
        self.places.iter().filter_map(|place| match place {
            Place::Held(holding) => Some(holding),
            Place::Free(_) => None,
        })
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Holding<T>> {
        self.places.iter_mut().filter_map(|place| match place {
            Place::Held(holding) => Some(holding),
            Place::Free(_) => None,
        })
    }

    /// Forgets everything; heads that are still kept say "nobody" from here on.
    #[must_use = "the details are the caller's to drop"]
    pub fn clear(&mut self) -> Vec<Holding<T>> {
        let places = std::mem::take(&mut self.places);
        (self.free, self.len, self.epoch) = (NOWHERE, 0, self.epoch.wrapping_add(1));
        let held = |place| if let Place::Held(holding) = place { Some(holding) } else { None };
        places.into_iter().filter_map(held).collect()
    }
}

/// One wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Counts the waits.
    pub serial: u64,
    /// For what.
    pub resource: Resource,
    /// It wants to share the resource (to read), not to have it alone.
    pub shared: bool,
    /// It ends by itself after a time.
    pub limited: bool,
}

/// Who waits for what at present. (A thread can have several waits, the later ones in handlers that interrupt the
/// earlier ones.)
#[derive(Debug, Default)]
pub struct Waits {
    by_party: HashMap<Party, Vec<Wait>>,
    last_serial: u64,
}

impl Waits {
    /// Nobody waits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `party` begins to wait: the number of its wait.
    pub fn begin(&mut self, party: Party, resource: Resource, shared: bool, limited: bool) -> u64 {
        self.last_serial += 1;
        let wait = Wait { serial: self.last_serial, resource, shared, limited };
        self.by_party.entry(party).or_default().push(wait);
        wait.serial
    }

    /// A wait has ended.
    pub fn end(&mut self, party: Party, serial: u64) {
        let Some(waits) = self.by_party.get_mut(&party) else { return };
        waits.retain(|wait| wait.serial != serial);
        if waits.is_empty() {
            self.by_party.remove(&party);
        }
    }

    /// What a party waits for.
    #[must_use]
    pub fn of(&self, party: Party) -> &[Wait] {
        self.by_party.get(&party).map_or(&[], Vec::as_slice)
    }

    /// Who waits, the longest first.
    #[must_use]
    pub fn parties(&self) -> Vec<Party> {
        let mut parties: Vec<_> = self.by_party.iter().map(|(party, waits)| (waits[0].serial, *party)).collect();
        parties.sort_unstable();
        parties.into_iter().map(|(_, party)| party).collect()
    }

    /// Who waits without limit to have a resource alone, since before the wait `serial`.
    #[must_use]
    pub fn ahead_of(&self, serial: u64, resource: Resource) -> Vec<Party> {
        let blocks = |wait: &Wait| wait.resource == resource && !wait.shared && !wait.limited && wait.serial < serial;
        let mut parties: Vec<_> =
            self.by_party.iter().filter(|(_, waits)| waits.iter().any(blocks)).map(|(party, _)| *party).collect();
        parties.sort_unstable();
        parties
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_party.is_empty()
    }
}

/// Why one party cannot go on without another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It waits, in this wait, for what the other one holds, or stands in line for before it.
    Waits(Wait),
    /// It needs the other one itself: a task that it awaits, the thread that runs its loop.
    Needs,
}

/// What a search asks. The answers may change between two questions: whoever finds a cycle looks at it again.
pub trait Surroundings {
    /// Whom a party cannot go on without, and why.
    fn blockers(&mut self, party: Party) -> Vec<(Party, Because)>;
}

/// A cycle of parties: each cannot go on without the next, and the last not without the first.
pub type Cycle = Vec<(Party, Because)>;

/// The shortest cycle that goes through `start`.
pub fn cycle_through(start: Party, around: &mut impl Surroundings) -> Option<Cycle> {
    // Breadth first; each party is reached from another one.
    let mut reached: HashMap<Party, (Party, Because)> = HashMap::new();
    let mut seen: HashSet<Party> = HashSet::from([start]);
    let mut front = vec![start];
    while !front.is_empty() {
        let mut next = Vec::new();
        for party in front {
            for (blocker, because) in around.blockers(party) {
                if blocker == start {
                    return Some(path(start, (party, because), &reached));
                }
                if seen.insert(blocker) {
                    reached.insert(blocker, (party, because));
                    next.push(blocker);
                }
            }
        }
        front = next;
    }
    None
}

fn path(start: Party, last: (Party, Because), reached: &HashMap<Party, (Party, Because)>) -> Cycle {
    let mut cycle = vec![last];
    let mut at = last.0;
    while at != start
        && let Some(before) = reached.get(&at)
    {
        cycle.push(*before);
        at = before.0;
    }
    cycle.reverse();
    cycle
}

/// Whom a wait is blocked by, out of those who hold its resource: (party, whether it shares it).
#[must_use]
pub fn blockers_of(wait: &Wait, holders: &[(Party, bool)], waits: &Waits) -> Vec<Party> {
    if wait.limited {
        return Vec::new();
    }
    if !wait.shared {
        return holders.iter().map(|(party, _)| *party).collect();
    }
    let alone: Vec<Party> = holders.iter().filter(|(_, shared)| !shared).map(|(party, _)| *party).collect();
    if !alone.is_empty() || holders.is_empty() {
        return alone;
    }
    // Others share it at present: one who wants it alone has come before.
    waits.ahead_of(wait.serial, wait.resource)
}
