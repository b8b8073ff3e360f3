//! Values that know what they were made from, so that a reload can tell what is still the same.
//!
//! Whoever makes one gives its parts and a plain function, which can keep nothing of its surroundings: what is
//! no part cannot reach the value, so two with equal parts are equal, and a part cannot be forgotten.

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;

/// Parts that can be held against those of another value, whatever their type is.
trait Parts: Any + Send + Sync {
    fn equal(&self, other: &dyn Any) -> bool;
    fn any(&self) -> &dyn Any;
}

impl<P: PartialEq + Send + Sync + 'static> Parts for P {
    fn equal(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<P>().is_some_and(|other| other == self)
    }

    fn any(&self) -> &dyn Any {
        self
    }
}

/// A value with the parts that it was made from; equal to another of equal parts.
#[derive(Clone)]
pub struct Made<T> {
    value: T,
    parts: Arc<dyn Parts>,
}

impl<T> Made<T> {
    /// Makes a value from its parts.
    pub fn of<P: PartialEq + Send + Sync + 'static>(parts: P, make: fn(&P) -> T) -> Self {
        Self { value: make(&parts), parts: Arc::new(parts) }
    }

    /// Makes a value from its parts, if they are fit for one.
    pub fn try_of<P: PartialEq + Send + Sync + 'static, E>(parts: P, make: fn(&P) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self { value: make(&parts)?, parts: Arc::new(parts) })
    }

    /// A value that says that it was made from these parts.
    #[cfg(test)]
    pub(crate) fn pretended<P: PartialEq + Send + Sync + 'static>(parts: P, value: T) -> Self {
        Self { value, parts: Arc::new(parts) }
    }

    /// The value, and what holds its parts for later.
    pub(crate) fn split(self) -> (T, Made<()>) {
        (self.value, Made { value: (), parts: self.parts })
    }

    /// Whether the other was made from equal parts.
    pub(crate) fn equals<U>(&self, other: &Made<U>) -> bool {
        // The one in the box, and not the box.
        let (own, other) = (&*self.parts, &*other.parts);
        own.equal(other.any())
    }
}

impl<T> PartialEq for Made<T> {
    fn eq(&self, other: &Self) -> bool {
        self.equals(other)
    }
}

impl<T> Deref for Made<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// What there is one of while the program runs, and which is equal to itself alone.
#[derive(Debug)]
pub struct Shared<T>(pub Arc<T>);

impl<T> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_from_the_same_is_the_same() {
        let made = |name: &str, size: u32| Made::of((name.to_owned(), size), |(name, size)| format!("{name}{size}"));
        assert!(made("a", 1) == made("a", 1) && made("a", 1) != made("a", 2) && made("a", 1) != made("b", 1));
        assert_eq!(*made("a", 1), "a1");
        // One that is a part of another counts with its own parts.
        let outer = |size| Made::of((made("a", size), 5), |(inner, _)| inner.len());
        assert!(outer(1) == outer(1) && outer(1) != outer(2));
        // Equal values of other parts are no reason to keep the old one.
        assert!(!Made::of(1_u8, |_| ()).equals(&Made::of(1_u16, |_| ())));
        assert_eq!(Made::try_of("x", |text: &&str| text.parse::<u8>().map_err(|_| "no number")).err(), Some("no number"));
        let one = Arc::new(1);
        assert!(Shared(Arc::clone(&one)) == Shared(one) && Shared(Arc::new(1)) != Shared(Arc::new(1)));
    }
}
