//! The collected problems of a configuration, not only the first one.

use std::fmt;

use crate::Origin;

/// One reason why a configuration cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The place in the configuration.
    pub origin: Origin,
    /// The problem, and the accepted values where that helps.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin.as_str().is_empty() {
            f.write_str(&self.text)
        } else {
            write!(f, "{}: {}", self.origin, self.text)
        }
    }
}

/// The problems found so far, and the warnings, which the specification wants logged but not refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems {
    problems: Vec<Problem>,
}

impl Problems {
    /// Returns an empty list.
    pub fn new() -> Problems {
        Problems::default()
    }

    /// Adds a problem.
    pub fn add(&mut self, origin: &Origin, text: impl Into<String>) {
        self.problems.push(Problem { origin: origin.clone(), text: text.into() });
    }

    /// Moves all problems of `other` to the end of this list.
    pub fn append(&mut self, mut other: Problems) {
        self.problems.append(&mut other.problems);
    }

    /// Returns the problems in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter()
    }

    /// Whether no problem was found.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Writes the problems in one line, joined by semicolons, because engines show the last line of a log.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
