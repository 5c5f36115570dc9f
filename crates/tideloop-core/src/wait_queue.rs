//! The wait queue: who waits for a lock, an event, a place in a queue, in the order in which they came.
//!
//! A doubly linked list inside of a slab, so that a waiter leaves from anywhere at no cost that grows, as one does whose
//! task is cancelled. [`WaitQueue::push`] gives a [`Ticket`]; it finds its waiter until that is removed, and never
//! another one, whose ticket has another number. Tickets are also how one walks along a queue that may change meanwhile
//! (waking a waiter may run foreign code): [`first`](WaitQueue::first), then [`after`](WaitQueue::after).
//!
//! A queue that nobody has waited in is one empty pointer; most locks are never contended. Memory stays when the last
//! waiter leaves, for the next one, unless there was a crowd.

/// Places that an emptied queue keeps.
const PLACES_KEPT_MAX: usize = 16;
/// No place: the end of a list. More waiters than places have numbers do not fit into memory.
const NOWHERE: u32 = u32::MAX;

/// What a waiter is found by: its place and its number.
/// One word, which is cheaper to hand on than two halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

impl Ticket {
    #[inline]
    const fn new(place: u32, number: u32) -> Self {
        Self((number as u64) << 32 | place as u64)
    }

    #[inline]
    const fn place(self) -> usize {
        (self.0 & u32::MAX as u64) as usize
    }

    #[inline]
    const fn number(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

#[derive(Debug)]
struct Place<T> {
    /// None where the place is vacant; then `next` is the next vacant one.
    waiter: Option<T>,
    number: u32,
    previous: u32,
    next: u32,
}

#[derive(Debug)]
struct Places<T> {
    places: Vec<Place<T>>,
    first: u32,
    last: u32,
    first_vacant: u32,
    len: u32,
    next_number: u32,
}

/// Waiters in the order in which they came.
#[derive(Debug)]
pub struct WaitQueue<T> {
    /// None until somebody waits.
    inner: Option<Box<Places<T>>>,
}

impl<T> Default for WaitQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> WaitQueue<T> {
    /// A queue without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { inner: None }
    }

    /// Whether nobody has waited here so far.
    #[inline]
    #[must_use]
    pub const fn is_unused(&self) -> bool {
        self.inner.is_none()
    }

    /// How many wait.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| inner.len as usize)
    }

    /// Whether nobody waits.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a waiter at the end.
    #[inline]
    pub fn push(&mut self, waiter: T) -> Ticket {
        self.inner.get_or_insert_with(|| Box::new(Places::new())).push(waiter)
    }

    /// Takes a waiter out, wherever it stands; `None` if it has left before.
    #[inline]
    pub fn remove(&mut self, ticket: Ticket) -> Option<T> {
        self.inner.as_mut()?.remove(ticket)
    }

    /// Takes the first waiter out.
    #[inline]
    pub fn pop_first(&mut self) -> Option<T> {
        let ticket = self.first()?;
        self.remove(ticket)
    }

    /// The ticket's waiter, unless it has left.
    #[inline]
    #[must_use]
    pub fn get(&self, ticket: Ticket) -> Option<&T> {
        self.inner.as_ref()?.taken(ticket)?.waiter.as_ref()
    }

    /// The ticket's waiter, to be changed in place, unless it has left.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, ticket: Ticket) -> Option<&mut T> {
        let inner = self.inner.as_mut()?;
        inner.taken(ticket)?;
        inner.places.get_mut(ticket.place())?.waiter.as_mut()
    }

    /// The ticket of the one who has waited longest.
    #[inline]
    #[must_use]
    pub fn first(&self) -> Option<Ticket> {
        let inner = self.inner.as_ref()?;
        inner.ticket_of(inner.first)
    }

    /// The ticket of the one who came next after this one; `None` at the end, and if this one has left.
    #[inline]
    #[must_use]
    pub fn after(&self, ticket: Ticket) -> Option<Ticket> {
        let inner = self.inner.as_ref()?;
        inner.ticket_of(inner.taken(ticket)?.next)
    }

    /// All waiters, the one who has waited longest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::successors(self.first(), |ticket| self.after(*ticket)).filter_map(|ticket| self.get(ticket))
    }

    /// Takes everybody out, in order.
    #[must_use = "the waiters are handed back so that they can be dropped in a safe place"]
    pub fn drain(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.pop_first()).collect()
    }

    /// Places for which there is memory: for tests and reports.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| inner.places.capacity())
    }
}

impl<T> Places<T> {
    fn new() -> Self {
        Self { places: Vec::new(), first: NOWHERE, last: NOWHERE, first_vacant: NOWHERE, len: 0, next_number: 0 }
    }

    #[inline]
    fn taken(&self, ticket: Ticket) -> Option<&Place<T>> {
        let place = self.places.get(ticket.place())?;
        (place.number == ticket.number() && place.waiter.is_some()).then_some(place)
    }

    #[inline]
    fn ticket_of(&self, place: u32) -> Option<Ticket> {
        let number = self.places.get(place as usize)?.number;
        Some(Ticket::new(place, number))
    }

    #[inline]
    fn push(&mut self, waiter: T) -> Ticket {
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        let previous = self.last;
        let taken = Place { waiter: Some(waiter), number, previous, next: NOWHERE };
        let at = if let Some(place) = self.places.get_mut(self.first_vacant as usize) {
            let at = self.first_vacant;
            self.first_vacant = place.next;
            // It is vacant: nothing is dropped here.
            *place = taken;
            at
        } else {
            let at = u32::try_from(self.places.len()).unwrap_or(NOWHERE);
            self.places.push(taken);
            at
        };
        match self.places.get_mut(previous as usize) {
            Some(place) => place.next = at,
            None => self.first = at,
        }
        self.last = at;
        self.len += 1;
        Ticket::new(at, number)
    }

    #[inline]
    fn remove(&mut self, ticket: Ticket) -> Option<T> {
        self.taken(ticket)?;
        let vacant = self.places.get_mut(ticket.place())?;
        let waiter = vacant.waiter.take();
        let (previous, next) = (vacant.previous, vacant.next);
        vacant.next = self.first_vacant;
        self.first_vacant = ticket.place() as u32;
        match self.places.get_mut(previous as usize) {
            Some(place) => place.next = next,
            None => self.first = next,
        }
        match self.places.get_mut(next as usize) {
            Some(place) => place.previous = previous,
            None => self.last = previous,
        }
        self.len -= 1;
        if self.len == 0 && self.places.len() > PLACES_KEPT_MAX {
            self.forget_crowd();
        }
        waiter
    }

    /// All places are vacant. Numbers go on, so that old tickets still find nobody.
    #[cold]
    fn forget_crowd(&mut self) {
        self.places.clear();
        self.places.shrink_to(PLACES_KEPT_MAX);
        self.first_vacant = NOWHERE;
    }
}
