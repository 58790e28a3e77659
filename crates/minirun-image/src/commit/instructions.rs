//! Instructions of a Dockerfile that change how an image is run (`docker commit --change`).

mod words;

use serde_json::{Map, Value, json};

use crate::error::{ImageError, Result};
use crate::store::Wanted;

/// What is understood.
const KNOWN: &str = "CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME or WORKDIR";

/// Carries out instructions, one after the other, on an image's configuration, after what a bundle has in place of it.
///
/// # Errors
/// One is not known, or malformed.
pub(super) fn apply(configuration: &mut Value, wanted: &Wanted, instructions: &[String]) -> Result<()> {
    if configuration.is_object() && configuration["config"].is_null() {
        configuration["config"] = json!({});
    }
    let Some(config) = configuration.get_mut("config").and_then(Value::as_object_mut) else {
        return Err(ImageError::new("the image's configuration is not valid: expected an object"));
    };
    take_over(config, wanted)?;
    let mut has_cmd = false;
    for instruction in instructions {
        let text = instruction.trim();
        let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let name = name.to_ascii_uppercase();
        let done = one(config, &name, rest.trim(), has_cmd);
        done.map_err(|error| error.within(format!("--change {instruction:?}")))?;
        has_cmd |= name == "CMD";
    }
    let first = ["Entrypoint", "Cmd"].iter().find_map(|member| config.get(*member)?.as_array()?.first());
    match first.and_then(Value::as_str) {
        Some("") => {
            Err(ImageError::option("the first word of the image's command is empty (hint: --change 'CMD [...]')"))
        }
        _ => Ok(()),
    }
}

fn take_over(config: &mut Map<String, Value>, wanted: &Wanted) -> Result<()> {
    let Wanted { cmd, env, user, working_dir } = wanted;
    for (name, value) in env.iter().filter_map(|variable| variable.split_once('=')) {
        variable(config, name, value)?;
    }
    let members = [("User", user), ("WorkingDir", working_dir)];
    members
        .into_iter()
        .for_each(|(member, text)| text.iter().for_each(|text| set(config, member, text.as_str().into())));
    cmd.iter().for_each(|cmd| set(config, "Cmd", cmd.as_slice().into()));
    Ok(())
}

fn one(config: &mut Map<String, Value>, name: &str, rest: &str, has_cmd: bool) -> Result<()> {
    if rest.is_empty() {
        return Err(ImageError::option("it says nothing"));
    }
    match name {
        "CMD" => set(config, "Cmd", command(rest)?.into()),
        "ENTRYPOINT" => {
            set(config, "Entrypoint", command(rest)?.into());
            // The former command was meant for the former entry point.
            if !has_cmd {
                config.remove("Cmd");
            }
        }
        "ENV" => {
            for (name, value) in pairs(config, rest)? {
                variable(config, &name, &value)?;
            }
        }
        "LABEL" => {
            for (name, value) in pairs(config, rest)? {
                object(config, "Labels")?.insert(name, value.into());
            }
        }
        "EXPOSE" => {
            for port in words::split(rest, &environment(config))? {
                object(config, "ExposedPorts")?.insert(self::port(&port)?, json!({}));
            }
        }
        "VOLUME" => {
            let paths = match list(rest)? {
                Some(paths) => paths,
                None => words::split(rest, &environment(config))?,
            };
            for path in paths {
                crate::bundle::check_destination(&path)?;
                object(config, "Volumes")?.insert(path, json!({}));
            }
        }
        "USER" => set(config, "User", single(config, rest)?.into()),
        "STOPSIGNAL" => set(config, "StopSignal", single(config, rest)?.into()),
        "WORKDIR" => {
            let path = words::join(rest, &environment(config))?;
            let before = config.get("WorkingDir").and_then(Value::as_str).unwrap_or_default();
            let path = if path.starts_with('/') { path } else { format!("{before}/{path}") };
            set(config, "WorkingDir", plain(&path).into());
        }
        other => return Err(ImageError::option(format!("{other} is not supported (expected {KNOWN})"))),
    }
    Ok(())
}

fn set(config: &mut Map<String, Value>, member: &str, value: Value) {
    config.insert(member.to_owned(), value);
}

fn object<'a>(config: &'a mut Map<String, Value>, member: &str) -> Result<&'a mut Map<String, Value>> {
    let value = config.entry(member).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut().ok_or_else(|| ImageError::option(format!("the image's {member} is not an object")))
}

/// The image's variables, `NAME=VALUE`.
fn environment(config: &Map<String, Value>) -> Vec<String> {
    let env = config.get("Env").and_then(Value::as_array).into_iter().flatten();
    env.filter_map(|variable| variable.as_str().map(str::to_owned)).collect()
}

fn variable(config: &mut Map<String, Value>, name: &str, value: &str) -> Result<()> {
    let mut env = environment(config);
    let (start, text) = (format!("{name}="), format!("{name}={value}"));
    match env.iter_mut().find(|known| known.starts_with(&start)) {
        Some(known) => *known = text,
        None => env.push(text),
    }
    set(config, "Env", env.into());
    Ok(())
}

/// A command: a list of words as JSON, or a line for the shell.
fn command(rest: &str) -> Result<Vec<String>> {
    Ok(list(rest)?.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned(), rest.to_owned()]))
}

/// A list of strings as JSON; none if it is no list.
fn list(rest: &str) -> Result<Option<Vec<String>>> {
    if !rest.starts_with('[') {
        return Ok(None);
    }
    // A line for the shell may begin so: `[ -e /x ] && y`.
    match serde_json::from_str(rest) {
        Ok(list) => Ok(Some(list)),
        // accepts: text that is not JSON.
        Err(_) if rest.starts_with("[\"") => Err(ImageError::option("it is not a JSON list of strings")),
        // accepts: as above; then it is a line for the shell.
        Err(_) => Ok(None),
    }
}

fn single(config: &Map<String, Value>, rest: &str) -> Result<String> {
    match words::split(rest, &environment(config))?.as_slice() {
        [word] => Ok(word.clone()),
        words => Err(ImageError::option(format!("expected one word, found {}", words.len()))),
    }
}

/// `NAME=VALUE NAME=VALUE`, or the old form `NAME VALUE`, where the value is the rest of the line.
fn pairs(config: &Map<String, Value>, rest: &str) -> Result<Vec<(String, String)>> {
    let env = environment(config);
    let (first, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if !first.contains('=') {
        if value.trim().is_empty() {
            return Err(ImageError::option("expected NAME=VALUE"));
        }
        return Ok(vec![(first.to_owned(), words::join(value.trim(), &env)?)]);
    }
    let split = |word: &String| match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(ImageError::option(format!("{word:?}: expected NAME=VALUE"))),
    };
    words::split(rest, &env)?.iter().map(split).collect()
}

/// `PORT/PROTOCOL`; what is not said is TCP.
fn port(text: &str) -> Result<String> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let valid = number.parse::<u16>().is_ok_and(|port| port > 0);
    if !valid || !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(ImageError::option(format!("{text:?}: expected PORT or PORT/PROTOCOL, with tcp, udp or sctp")));
    }
    Ok(format!("{number}/{protocol}"))
}

/// An absolute path without dots.
fn plain(path: &str) -> String {
    format!("/{}", crate::files::plain_names(path).join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(instructions: &[&str]) -> Value {
        let mut configuration = json!({"config": {"Cmd": ["old"], "Env": ["PATH=/bin"], "WorkingDir": "/srv"}});
        let instructions: Vec<_> = instructions.iter().map(|text| (*text).to_owned()).collect();
        apply(&mut configuration, &Wanted::default(), &instructions).unwrap();
        configuration["config"].take()
    }

    #[test]
    fn instructions_change_the_configuration() {
        let config = changed(&[
            r#"CMD ["a", "b c"]"#,
            r#"ENTRYPOINT ["/bin/x"]"#,
            "ENV PATH=$PATH:/sbin A='b c' D=\"$E\"",
            "env OLD the rest",
            "LABEL a=1 \"b c\"=\"2 3\"",
            "EXPOSE 80 53/UDP",
            r#"VOLUME ["/data"]"#,
            "VOLUME /x /y",
            "USER 1:2",
            "WORKDIR a/../b",
            "STOPSIGNAL SIGQUIT",
        ]);
        let expected = json!({
            "Cmd": ["a", "b c"],
            "Entrypoint": ["/bin/x"],
            "Env": ["PATH=/bin:/sbin", "A=b c", "D=", "OLD=the rest"],
            "Labels": {"a": "1", "b c": "2 3"},
            "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
            "Volumes": {"/data": {}, "/x": {}, "/y": {}},
            "User": "1:2",
            "WorkingDir": "/srv/b",
            "StopSignal": "SIGQUIT",
        });
        assert_eq!(config, expected);
    }

    #[test]
    fn an_entry_point_takes_the_former_command_away() {
        assert_eq!(changed(&["ENTRYPOINT [\"x\"]"])["Cmd"], Value::Null);
        assert_eq!(changed(&["CMD echo $HOME"])["Cmd"], json!(["/bin/sh", "-c", "echo $HOME"]));
    }

    #[test]
    fn what_is_no_instruction_is_refused() {
        for text in
            ["", "RUN x", "CMD", "CMD [\"a]", "ENV A", "LABEL =a", "EXPOSE x", "EXPOSE 80/x", "USER a b", "ENV A='b"]
        {
            apply(&mut json!({}), &Wanted::default(), &[text.to_owned()]).unwrap_err();
        }
    }
}
