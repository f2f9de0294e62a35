//! Values that go into statements and come out of them.

use jiff::Timestamp;

use crate::store::StoreError;

/// A value of a statement or a row. An absent one has a type too: PostgreSQL wants to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Value {
    /// A whole number, a time in milliseconds, or 1 and 0 for yes and no.
    Integer(Option<i64>),
    /// A text.
    Text(Option<String>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Integer(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(Some(number.into()))
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Self::Integer(Some(is.into()))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

/// An identity.
impl From<uuid::Uuid> for Value {
    fn from(uuid: uuid::Uuid) -> Self {
        Self::Text(Some(uuid.to_string()))
    }
}

/// A document.
impl From<&serde_json::Value> for Value {
    fn from(document: &serde_json::Value) -> Self {
        Self::Text(Some(document.to_string()))
    }
}

/// A row, read from its first column to its last: each call takes the next one.
#[derive(Debug)]
pub(in crate::store) struct Row(std::vec::IntoIter<Value>);

impl Row {
    /// A row of these columns.
    pub(super) fn new(columns: Vec<Value>) -> Self {
        Self(columns.into_iter())
    }

    /// A number, a time or a yes or no that must be there.
    pub(in crate::store) fn integer(&mut self) -> Result<i64, StoreError> {
        self.optional_integer()?
            .ok_or_else(|| corrupt("number", "NULL"))
    }

    /// A number that may be absent.
    pub(in crate::store) fn optional_integer(&mut self) -> Result<Option<i64>, StoreError> {
        match self.0.next() {
            Some(Value::Integer(number)) => Ok(number),
            Some(Value::Text(None)) => Ok(None),
            other => Err(corrupt("number", &format!("{other:?}"))),
        }
    }

    /// A number that is not negative and not larger than its type.
    pub(in crate::store) fn count<T: TryFrom<i64>>(&mut self) -> Result<T, StoreError> {
        let number = self.integer()?;
        T::try_from(number).map_err(|_| corrupt("number", &number.to_string()))
    }

    /// Yes or no.
    pub(in crate::store) fn is(&mut self) -> Result<bool, StoreError> {
        Ok(self.integer()? != 0)
    }

    /// A text that must be there.
    pub(in crate::store) fn text(&mut self) -> Result<String, StoreError> {
        self.optional_text()?.ok_or_else(|| corrupt("text", "NULL"))
    }

    /// A text that may be absent.
    pub(in crate::store) fn optional_text(&mut self) -> Result<Option<String>, StoreError> {
        match self.0.next() {
            Some(Value::Text(text)) => Ok(text),
            Some(Value::Integer(None)) => Ok(None),
            other => Err(corrupt("text", &format!("{other:?}"))),
        }
    }

    /// A text with a meaning of its own.
    pub(in crate::store) fn parsed<T: std::str::FromStr>(
        &mut self,
        what: &'static str,
    ) -> Result<T, StoreError> {
        let text = self.text()?;
        text.parse().map_err(|_| corrupt(what, &text))
    }

    /// One of CodeBuild's names.
    pub(in crate::store) fn named<T: serde::de::DeserializeOwned>(
        &mut self,
        what: &'static str,
    ) -> Result<T, StoreError> {
        let text = self.text()?;
        serde_json::from_value(text.as_str().into()).map_err(|_| corrupt(what, &text))
    }

    /// A document.
    pub(in crate::store) fn json<T: serde::de::DeserializeOwned>(
        &mut self,
        what: &'static str,
    ) -> Result<T, StoreError> {
        let text = self.text()?;
        // The document may hold people's variables: only its beginning is told.
        serde_json::from_str(&text).map_err(|_| corrupt(what, &text))
    }

    /// A time.
    pub(in crate::store) fn time(&mut self) -> Result<Timestamp, StoreError> {
        let millis = self.integer()?;
        timestamp(millis)
    }

    /// A time that may be absent.
    pub(in crate::store) fn optional_time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.optional_integer()?.map(timestamp).transpose()
    }
}

/// Milliseconds as a time.
pub(in crate::store) fn timestamp(millis: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(millis).map_err(|_| corrupt("time", &millis.to_string()))
}

fn corrupt(what: &'static str, value: &str) -> StoreError {
    StoreError::Corrupt {
        what,
        value: value.chars().take(40).collect(),
    }
}
