//! A map that keeps the order of the file.

use crate::span::Spanned;

/// Names and values in the order of the file; every name stands once.
#[derive(Debug, Clone, PartialEq)]
pub struct Map<T> {
    entries: Vec<(Spanned<String>, T)>,
}

impl<T> Map<T> {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.entries
            .iter()
            .find(|(key, _)| key.value == name)
            .map(|(_, value)| value)
    }

    /// Names and values, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, (Spanned<String>, T)> {
        self.entries.iter()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<T> Default for Map<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
        }
    }
}

/// The caller sees to it that no name comes twice.
impl<T> FromIterator<(Spanned<String>, T)> for Map<T> {
    fn from_iter<I: IntoIterator<Item = (Spanned<String>, T)>>(entries: I) -> Self {
        Self {
            entries: entries.into_iter().collect(),
        }
    }
}

impl<'m, T> IntoIterator for &'m Map<T> {
    type Item = &'m (Spanned<String>, T);
    type IntoIter = std::slice::Iter<'m, (Spanned<String>, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
