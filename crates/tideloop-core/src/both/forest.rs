//! Items by rank, for those whose order only foreign code knows, which may not run while they are held.
//!
//! They lie in trees, where none goes before its parent: a pairing heap that need not be one tree. Putting an item in is
//! a tree more, and needs no comparison; so does putting one back. Taking the first out needs one tree: two roots are
//! compared, the loser becomes a child of the winner, and so on. Each comparison (a [`Duel`]) may be made elsewhere,
//! with the forest left to others meanwhile: what came of it counts if both are still roots then, and if not, whoever
//! took one of them has got on. So nobody is ever kept out, and nothing is lost by a comparison that fails.
//!
//! Trees of one size are joined as they are put in, so that no node gets many children and no one call much to do.
//! Items of equal rank keep the order in which they came.

use std::collections::VecDeque;

use super::queue::{Buffer, Popped};

/// No place.
const NOWHERE: u32 = u32::MAX;

/// What can be told about two items without foreign code.
pub trait Ranked {
    /// Whether `later` goes before `self`, which came before it. `None`: only foreign code can tell.
    fn goes_after(&self, later: &Self) -> Option<bool>;
}

/// The buffer of `PriorityQueue`. See the module.
#[derive(Debug)]
pub struct Forest<T> {
    nodes: Vec<Node<T>>,
    first_vacant: u32,
    /// The trees, the small ones last.
    roots: VecDeque<u32>,
    len: usize,
    next_number: i64,
    /// Numbers of those that were put back: before all others.
    last_number_before: i64,
}

#[derive(Debug)]
struct Node<T> {
    /// None where the place is vacant; then `next` is the next vacant one.
    item: Option<T>,
    /// When it came.
    number: i64,
    /// Its tree has at least two to the power of this many nodes.
    rank: u8,
    first_child: u32,
    /// The next child of the same parent.
    next: u32,
}

/// An item, as long as it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    place: u32,
    number: i64,
}

/// A comparison to be made: does the later one go first?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "nothing is known before the two have been compared"]
pub struct Duel {
    /// The one that came first, and goes first unless the other one is less.
    pub earlier: Id,
    /// The other one.
    pub later: Id,
}

impl<T> Default for Forest<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Forest<T> {
    /// One without items.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            nodes: Vec::new(),
            first_vacant: NOWHERE,
            roots: VecDeque::new(),
            len: 0,
            next_number: 0,
            last_number_before: 0,
        }
    }

    /// The item, if it is still in.
    #[must_use]
    pub fn get(&self, id: Id) -> Option<&T> {
        self.nodes.get(id.place as usize).filter(|node| node.number == id.number)?.item.as_ref()
    }

    /// All items, to look at.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.nodes.iter().filter_map(|node| node.item.as_ref())
    }

    /// Takes all items out.
    #[must_use = "items are dropped outside"]
    pub fn drain(&mut self) -> Vec<T> {
        self.roots.clear();
        self.len = 0;
        self.first_vacant = NOWHERE;
        std::mem::take(&mut self.nodes).into_iter().filter_map(|node| node.item).collect()
    }

    /// The root of the last tree, which is a small one.
    #[must_use]
    pub fn last_root(&self) -> Option<Id> {
        self.roots.back().map(|place| self.id(*place))
    }

    /// What came of a duel.
    pub fn conclude(&mut self, duel: Duel, later_first: bool) {
        if let (Some(earlier), Some(later)) = (self.root(duel.earlier), self.root(duel.later)) {
            self.join(earlier, later, later_first);
        }
    }

    /// What came of a duel on the way to one tree.
    pub fn conclude_and_turn(&mut self, duel: Duel, later_first: bool) {
        self.conclude(duel, later_first);
        self.turn();
    }

    /// The next two come to the end, so that trees of one size meet.
    fn turn(&mut self) {
        if self.roots.len() > 1 {
            self.roots.rotate_right(1);
        }
    }

    /// Puts in an item that has been compared with a root: it may go under that, or that under it.
    pub fn push_beside(&mut self, item: T, root: Id, item_first: bool) {
        self.push_node(item, None);
        let Some(mine) = self.roots.len().checked_sub(1) else { return };
        let Some(theirs) = self.root(root) else { return };
        // Under a bigger one it would be one child of many.
        if self.rank_at(theirs) == 0 {
            self.join(theirs, mine, item_first);
        }
    }

    /// The roots at two positions: the loser becomes a child of the winner.
    fn join(&mut self, earlier: usize, later: usize, later_first: bool) {
        let (winner, loser) = if later_first { (later, earlier) } else { (earlier, later) };
        let (Some(&winner_place), Some(&loser_place)) = (self.roots.get(winner), self.roots.get(loser)) else { return };
        if winner_place == loser_place {
            return;
        }
        let loser_rank = self.nodes[loser_place as usize].rank;
        let node = &mut self.nodes[winner_place as usize];
        if node.rank == loser_rank {
            node.rank = node.rank.saturating_add(1);
        } else {
            node.rank = node.rank.max(loser_rank);
        }
        let sibling = std::mem::replace(&mut node.first_child, loser_place);
        self.nodes[loser_place as usize].next = sibling;
        // The winner stays where the one nearer to the front was.
        if let Some(place) = self.roots.get_mut(winner.min(loser)) {
            *place = winner_place;
        }
        self.roots.remove(winner.max(loser));
    }

    fn push_node(&mut self, item: T, number: Option<i64>) {
        let number = number.unwrap_or_else(|| {
            self.next_number += 1;
            self.next_number
        });
        let node = Node { item: Some(item), number, rank: 0, first_child: NOWHERE, next: NOWHERE };
        let place = if let Some(vacant) = self.nodes.get_mut(self.first_vacant as usize) {
            let place = self.first_vacant;
            self.first_vacant = vacant.next;
            // It is vacant: nothing is dropped here.
            *vacant = node;
            place
        } else {
            self.nodes.push(node);
            (self.nodes.len() - 1) as u32
        };
        self.roots.push_back(place);
        self.len += 1;
    }

    /// Takes the only root out; its children become roots.
    fn pop_root(&mut self) -> Option<T> {
        let place = self.roots.pop_back()?;
        let node = &mut self.nodes[place as usize];
        let item = node.item.take();
        let mut child = std::mem::replace(&mut node.first_child, NOWHERE);
        node.next = self.first_vacant;
        self.first_vacant = place;
        // The youngest child is the biggest; the small ones come last.
        while child != NOWHERE {
            self.roots.push_back(child);
            child = std::mem::replace(&mut self.nodes[child as usize].next, NOWHERE);
        }
        self.len -= 1;
        if self.len == 0 {
            self.nodes.clear();
            self.nodes.shrink_to(NODES_KEPT_MAX);
            self.first_vacant = NOWHERE;
        }
        item
    }

    fn id(&self, place: u32) -> Id {
        Id { place, number: self.nodes[place as usize].number }
    }

    /// Where among the roots it is.
    fn root(&self, id: Id) -> Option<usize> {
        let position = self.roots.iter().rposition(|place| *place == id.place)?;
        (self.id(id.place) == id).then_some(position)
    }

    fn rank_at(&self, position: usize) -> u8 {
        self.roots.get(position).map_or(0, |place| self.nodes[*place as usize].rank)
    }

    /// The roots at two positions, and what they are.
    fn duel(&self, one: usize, other: usize) -> Option<(Duel, usize, usize)> {
        let (first, second) = (self.id(*self.roots.get(one)?), self.id(*self.roots.get(other)?));
        Some(if first.number < second.number {
            (Duel { earlier: first, later: second }, one, other)
        } else {
            (Duel { earlier: second, later: first }, other, one)
        })
    }
}

/// Places that an emptied forest keeps.
const NODES_KEPT_MAX: usize = 16;

impl<T: Ranked> Forest<T> {
    /// Joins trees until there is one; a duel that only foreign code can decide is left.
    pub fn unite(&mut self) -> Option<Duel> {
        while self.roots.len() > 1 {
            let last = self.roots.len() - 1;
            let duel = self.fight(last - 1, last);
            if duel.is_some() {
                return duel;
            }
            self.turn();
        }
        None
    }

    /// Joins the last trees as long as they are of one size; a duel that only foreign code can decide is left.
    pub fn balance(&mut self) -> Option<Duel> {
        loop {
            let last = self.roots.len().checked_sub(1)?;
            let before = last.checked_sub(1)?;
            if self.rank_at(last) != self.rank_at(before) {
                return None;
            }
            let duel = self.fight(before, last);
            if duel.is_some() {
                return duel;
            }
        }
    }

    /// Joins two trees, unless only foreign code can tell how.
    fn fight(&mut self, one: usize, other: usize) -> Option<Duel> {
        let (duel, earlier, later) = self.duel(one, other)?;
        let items = self.get(duel.earlier).zip(self.get(duel.later));
        match items.and_then(|(earlier, later)| earlier.goes_after(later)) {
            Some(later_first) => {
                self.join(earlier, later, later_first);
                None
            }
            None => Some(duel),
        }
    }
}

impl<T: Ranked> Buffer for Forest<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.push_node(item, None);
    }

    fn pop(&mut self) -> Popped<T> {
        if self.unite().is_some() {
            return Popped::Undecided;
        }
        self.pop_root().map_or(Popped::Empty, Popped::Item)
    }

    fn put_back(&mut self, item: T, _number: u64) {
        self.last_number_before -= 1;
        self.push_node(item, Some(self.last_number_before));
    }

    fn len(&self) -> usize {
        self.len
    }
}
