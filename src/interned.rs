//! One generic table that stores each distinct value once and hands out typed ids.
//!
//! An [`Id<T>`] is four bytes, copies freely, and cannot be mistaken for the id of another kind of thing. Ids count up from
//! zero in the order in which values first came, so they can index a column.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use foldhash::fast::RandomState;
use indexmap::IndexSet;

/// The number of a value in the table that stores it.
pub struct Id<T> {
    index: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    /// The id with this number. Only meaningful together with the table that the number came from.
    #[must_use]
    pub const fn from_index(index: u32) -> Self {
        Self { index, of: PhantomData }
    }

    /// The number itself.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index
    }
}

impl<T> Eq for Id<T> {}

impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.index.cmp(&other.index)
    }
}

impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.index.hash(state);
    }
}

impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.index)
    }
}

/// A table of distinct values.
#[derive(Clone, Debug)]
pub struct Interner<T> {
    values: IndexSet<T, RandomState>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { values: IndexSet::default() }
    }
}

impl<T: Hash + Eq> Interner<T> {
    /// The id of a value, which is stored when it is new.
    ///
    /// A table holds at most 2³² − 1 values; the memory for that many is never there.
    pub fn intern(&mut self, value: T) -> Id<T> {
        let (index, _) = self.values.insert_full(value);
        Id::from_index(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// The id of a value, if it is stored.
    #[must_use]
    pub fn find(&self, value: &T) -> Option<Id<T>> {
        let index = self.values.get_index_of(value)?;
        Some(Id::from_index(u32::try_from(index).ok()?))
    }

    /// The value behind an id; `None` for an id of another table.
    #[must_use]
    pub fn get(&self, id: Id<T>) -> Option<&T> {
        self.values.get_index(id.index as usize)
    }

    /// How many distinct values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing has been stored yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The values in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.values.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_an_id() {
        let mut names = Interner::default();
        let first = names.intern("select");
        let second = names.intern("handle");
        assert_eq!(names.intern("select"), first);
        assert_ne!(first, second);
        assert_eq!(names.get(second), Some(&"handle"));
        assert_eq!(names.find(&"handle"), Some(second));
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn an_id_of_another_table_is_no_value() {
        let names: Interner<&str> = Interner::default();
        assert_eq!(names.get(Id::from_index(7)), None);
    }
}
