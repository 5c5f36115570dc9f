//! Registrations: what a token from the poller stands for.
//!
//! A slab. A token is a slot's index and the generation that the slot had when the token was made, so an event that
//! arrives late, after its registration was removed and the slot reused, finds nothing instead of a stranger.
//!
//! Generations come from one counter for the whole slab, not one per slot: so slots can be forgotten when the slab
//! shrinks, and a reused slot still never repeats a generation (before 2³² further registrations have been made).
//! The counter skips 0 and `u32::MAX`: tokens with those in their high half are never given out, and are free for the
//! owner's own descriptors (wake fd, timer fd).

/// Slots that an emptied slab keeps.
const SLOTS_KEPT_MIN: usize = 64;
/// End of the list of vacant slots.
const NO_SLOT: u32 = u32::MAX;
const GENERATION_FIRST: u32 = 1;
const GENERATION_LAST: u32 = u32::MAX - 1;

/// The name of a registration: generation in the high half, index in the low half. Fits a poller's user data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u64);

impl Token {
    /// The token that was given to the poller as this number.
    #[inline]
    #[must_use]
    pub const fn from_u64(raw: u64) -> Self {
        Self(raw)
    }

    /// As a number, to be given to the poller.
    #[inline]
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    const fn new(index: u32, generation: u32) -> Self {
        Self((generation as u64) << 32 | index as u64)
    }

    const fn index(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }

    const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

#[derive(Debug)]
enum Slot<T> {
    Taken { generation: u32, item: T },
    Vacant { next: u32 },
}

/// A slab of items that are found by [`Token`].
#[derive(Debug)]
pub struct Registrations<T> {
    slots: Vec<Slot<T>>,
    first_vacant: u32,
    len: usize,
    next_generation: u32,
}

impl<T> Default for Registrations<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Registrations<T> {
    /// An empty slab without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: Vec::new(), first_vacant: NO_SLOT, len: 0, next_generation: GENERATION_FIRST }
    }

    /// Keep an item; the token finds it until it is removed.
    pub fn insert(&mut self, item: T) -> Token {
        let generation = self.take_generation();
        let taken = Slot::Taken { generation, item };
        self.len += 1;
        if let Some(slot) = self.slots.get_mut(self.first_vacant as usize) {
            let index = self.first_vacant;
            if let Slot::Vacant { next } = *slot {
                self.first_vacant = next;
            }
            *slot = taken;
            return Token::new(index, generation);
        }
        // A process has at most 2³¹ descriptors, so the index always fits.
        let index = u32::try_from(self.slots.len()).unwrap_or(NO_SLOT);
        self.slots.push(taken);
        Token::new(index, generation)
    }

    /// The item, unless it has been removed.
    #[inline]
    #[must_use]
    pub fn get(&self, token: Token) -> Option<&T> {
        match self.slots.get(token.index()) {
            Some(Slot::Taken { generation, item }) if *generation == token.generation() => Some(item),
            _ => None,
        }
    }

    /// The item, to be changed in place, unless it has been removed.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        match self.slots.get_mut(token.index()) {
            Some(Slot::Taken { generation, item }) if *generation == token.generation() => Some(item),
            _ => None,
        }
    }

    /// Take the item out; the token is void from here on.
    pub fn remove(&mut self, token: Token) -> Option<T> {
        self.get(token)?;
        let vacant = Slot::Vacant { next: self.first_vacant };
        let removed = std::mem::replace(self.slots.get_mut(token.index())?, vacant);
        self.first_vacant = (token.0 & 0xffff_ffff) as u32;
        self.len -= 1;
        if self.len == 0 {
            self.forget_slots();
        }
        match removed {
            Slot::Taken { item, .. } => Some(item),
            Slot::Vacant { .. } => None,
        }
    }

    /// Take everything out; every token is void from here on.
    #[must_use = "the items are handed back so that they can be dropped in a safe place"]
    pub fn drain(&mut self) -> Vec<T> {
        let slots = std::mem::take(&mut self.slots);
        self.first_vacant = NO_SLOT;
        self.len = 0;
        slots
            .into_iter()
            .filter_map(|slot| match slot {
                Slot::Taken { item, .. } => Some(item),
                Slot::Vacant { .. } => None,
            })
            .collect()
    }

    /// The number of registrations.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every registration's item, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Taken { item, .. } => Some(item),
            Slot::Vacant { .. } => None,
        })
    }

    /// Slots for which there is memory: for tests and reports.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    fn take_generation(&mut self) -> u32 {
        let generation = self.next_generation;
        self.next_generation = if generation == GENERATION_LAST { GENERATION_FIRST } else { generation + 1 };
        generation
    }

    /// All slots are vacant. Starting over keeps the low ones in use, and gives the memory of a burst back.
    fn forget_slots(&mut self) {
        self.slots.clear();
        self.slots.shrink_to(SLOTS_KEPT_MIN);
        self.first_vacant = NO_SLOT;
    }
}
