//! A container's ids, where they are others than the host's.

use crate::error::{ImageError, Result};

/// Which ids of the host a container's ids are: pairs of the first ones, in the container and on the host, and how many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids {
    /// Of users. Nothing means that they are the same.
    pub users: Vec<[u32; 3]>,
    /// Of groups.
    pub groups: Vec<[u32; 3]>,
}

impl Ids {
    /// The container's id of one of the host's.
    pub(crate) fn inside(maps: &[[u32; 3]], id: u32, what: &str) -> Result<u32> {
        if maps.is_empty() {
            return Ok(id);
        }
        let found = maps.iter().find_map(|[inside, outside, count]| {
            let offset = id.checked_sub(*outside).filter(|offset| offset < count)?;
            inside.checked_add(offset)
        });
        found.ok_or_else(|| ImageError::new(format!("it belongs to {what} {id}, which the container does not have")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_in_the_container() {
        let maps = [[0, 1000, 1], [1, 100_000, 65_536]];
        for (outside, inside) in [(1000, 0), (100_000, 1), (165_535, 65_536)] {
            assert_eq!(Ids::inside(&maps, outside, "user").unwrap(), inside);
        }
        assert_eq!(Ids::inside(&[], 7, "user").unwrap(), 7);
        Ids::inside(&maps, 0, "user").unwrap_err();
        Ids::inside(&maps, 165_536, "user").unwrap_err();
    }
}
