//! What the program promises, seen from outside. A file a promise, or a family of them.

mod conformance;
