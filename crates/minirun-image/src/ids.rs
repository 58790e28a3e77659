//! The ids of a container, where they differ from the host's.

use minirun_plan::spec::IdMapping;

use crate::error::{ImageError, Result};

/// The id maps of a container's user namespace. Without maps its ids are those of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdMaps {
    /// Of users: `linux.uidMappings`.
    pub users: Vec<IdMapping>,
    /// Of groups: `linux.gidMappings`.
    pub groups: Vec<IdMapping>,
}

/// The container's id of an id of the host. `kind` names it in the error: user or group.
pub(crate) fn id_in_container(maps: &[IdMapping], id: u32, kind: &str) -> Result<u32> {
    if maps.is_empty() {
        return Ok(id);
    }
    let found = maps.iter().find_map(|map| {
        let offset = id.checked_sub(map.host_id).filter(|offset| *offset < map.size)?;
        map.container_id.checked_add(offset)
    });
    found.ok_or_else(|| ImageError::new(format!("it belongs to {kind} {id}, which the container does not have")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_in_the_container() {
        let map = |container_id, host_id, size| IdMapping { container_id, host_id, size };
        let maps = [map(0, 1000, 1), map(1, 100_000, 65_536)];
        for (host, container) in [(1000, 0), (100_000, 1), (165_535, 65_536)] {
            assert_eq!(id_in_container(&maps, host, "user").unwrap(), container);
        }
        assert_eq!(id_in_container(&[], 7, "user").unwrap(), 7);
        id_in_container(&maps, 0, "user").unwrap_err();
        id_in_container(&maps, 165_536, "user").unwrap_err();
    }
}
