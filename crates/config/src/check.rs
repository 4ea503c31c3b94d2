//! Rules for single values that their types don't express. The reasons are what clients are told.

/// Hosts' names are shorter than this.
const HOST_NAME_MAX: usize = 256;

pub fn any(_: &str) -> Result<(), &'static str> {
    Ok(())
}

pub fn no_defrag() -> Result<(), &'static str> {
    Err("Active defragmentation cannot be enabled: this server does not move values in memory")
}

pub fn db_file_name(name: &str) -> Result<(), &'static str> {
    if is_base_name(name) { Ok(()) } else { Err("dbfilename can't be a path, just a filename") }
}

pub fn append_file_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("appendfilename can't be empty"),
        _ if !is_base_name(name) => Err("appendfilename can't be a path, just a filename"),
        _ => Ok(()),
    }
}

pub fn append_dir_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("appenddirname can't be empty"),
        _ if !is_base_name(name) => Err("appenddirname can't be a path, just a dirname"),
        _ => Ok(()),
    }
}

fn is_base_name(name: &str) -> bool {
    !name.contains(['/', '\\'])
}

pub fn host_name(name: &str) -> Result<(), &'static str> {
    if name.len() >= HOST_NAME_MAX {
        return Err("Hostnames must be less than 256 characters");
    }
    if !name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'.') {
        return Err("Hostnames may only contain alphanumeric characters, hyphens or dots");
    }
    Ok(())
}

/// Addresses between blanks, at most 16, none of them a name: a page that is shown where nobody meant it is no small mistake.
pub fn addresses(text: &str) -> Result<(), &'static str> {
    match text.split_whitespace().all(|word| word.parse::<std::net::IpAddr>().is_ok()) {
        true if (1..=16).contains(&text.split_whitespace().count()) => Ok(()),
        _ => Err("argument must be up to 16 IP addresses"),
    }
}

pub fn proc_title(template: &str) -> Result<(), &'static str> {
    // What is always there counts, not what may be empty: a title of nothing is none.
    let value = |name: &str| match name {
        "title" | "unixsocket" | "server-mode" => Some(String::new()),
        "listen-addr" | "port" | "tls-port" | "config-file" => Some("x".to_string()),
        _ => None,
    };
    match super::expand_proc_title(template, value) {
        Some(title) if !title.is_empty() => Ok(()),
        _ => Err("template format is invalid or contains unknown variables"),
    }
}
