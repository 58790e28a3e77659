//! The ids that an ordinary user may map, besides its own.

/// The ids that the administrator has granted to this user: the first, and how many (subuid(5)).
pub fn granted(file: &str) -> Option<(u32, u32)> {
    let uid = nix::unistd::geteuid();
    // accepts: any error; ids are granted to a number as well.
    let name = nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    // accepts: any error; a user to whom none are granted has the own one, and more are refused.
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let who = fields.next()?;
        (Some(who) == name.as_deref() || who == uid.to_string())
            .then(|| Some((fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?)))?
    })
}
