//! SENTINEL SET: what holds for one master. Options take effect one after the other; at the first bad one it stops, as in Redis.

use super::{Call, Done, MS_MAX, Outcome, integer};
use crate::configuration::check_script;
use crate::events::Level;
use crate::link::At;
use crate::sentinel::Sentinel;

const DENIED: &str = "ERR Reconfiguration of scripts path is denied for security reasons. Check the deny-scripts-reconfig configuration directive in your Sentinel configuration";

/// Options whose value nobody is shown.
const SECRET: [&str; 2] = ["auth-pass", "hello-secret"];

pub fn set(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    let name = call.text(2);
    sentinel.named(&name)?;
    let mut i = 3;
    while i < call.args.len() {
        let option = call.text(i).to_ascii_lowercase();
        let takes = if option == "rename-command" { 2 } else { 1 };
        if i + takes >= call.args.len() {
            return Err(unknown(&call.text(i)));
        }
        let values: Vec<&[u8]> = (i + 1..=i + takes).map(|i| call.args.at(i)).collect();
        sentinel.set_option(&name, &option, &call.text(i), &values)?;
        sentinel.is_dirty = true;
        let is_secret = SECRET.contains(&option.as_str());
        let shown = values
            .iter()
            .map(|value| if is_secret { "******".to_string() } else { String::from_utf8_lossy(value).into_owned() });
        let text = format!(" {} {}", call.text(i), shown.collect::<Vec<_>>().join(" "));
        sentinel.event(Level::Warning, "+set", &At::master(&name), &text);
        i += takes + 1;
    }
    call.reply.ok();
    Ok(Done::Promised)
}

fn unknown(option: &str) -> String {
    format!("ERR Unknown option or number of arguments for SENTINEL SET '{option}'")
}

impl Sentinel {
    fn set_option(&mut self, name: &str, option: &str, as_given: &str, values: &[&[u8]]) -> Result<(), String> {
        let value = values[0];
        let text = String::from_utf8_lossy(value).into_owned();
        let bad = |value: &str| format!("ERR Invalid argument '{value}' for SENTINEL SET '{as_given}'");
        let at_least = |min: i64| {
            let number = integer(value).filter(|number| *number >= min).and_then(|number| u64::try_from(number).ok());
            number.map(|number| number.min(MS_MAX)).ok_or_else(|| bad(&text))
        };
        let count = |min| u32::try_from(at_least(min)?).map_err(|_| bad(&text));
        let optional = (!value.is_empty()).then(|| value.to_vec());
        let (denies, can_run) = (self.globals.denies_script_changes, self.can_run);
        let script = |error: &str| match text.as_str() {
            _ if denies => Err(DENIED.to_string()),
            "" => Ok(None),
            path => check_script(can_run, path, error).map(|()| Some(path.to_string())),
        };
        let Some(master) = self.masters.get_mut(name) else { return Err(bad(&text)) };
        let settings = &mut master.settings;
        match option {
            "down-after-milliseconds" => settings.down_after_ms = at_least(1)?,
            "failover-timeout" => settings.failover_timeout_ms = at_least(1)?,
            "parallel-syncs" => settings.parallel_syncs = count(1)?,
            "quorum" => settings.quorum = count(1)?,
            "master-reboot-down-after-period" | "primary-reboot-down-after-period" => {
                settings.reboot_down_after_ms = at_least(0)?;
            }
            "forget-after" => settings.forget_after_ms = at_least(0)?,
            "strict-failover" => match text.to_ascii_lowercase().as_str() {
                "yes" => settings.is_strict = true,
                "no" => settings.is_strict = false,
                _ => return Err(bad(&text)),
            },
            "hello-secret" => settings.secret = optional,
            "notification-script" => {
                settings.notification_script = script("ERR Notification script seems non existing or non executable")?;
            }
            "client-reconfig-script" => {
                settings.reconfig_script =
                    script("ERR Client reconfiguration script seems non existing or non executable")?;
            }
            "auth-pass" => settings.auth_pass = optional,
            "auth-user" => settings.auth_user = optional,
            "rename-command" => {
                let new = String::from_utf8_lossy(values[1]).into_owned();
                if text.is_empty() || new.is_empty() {
                    return Err(bad(if new.is_empty() { &new } else { &text }));
                }
                settings.renamed.remove(&text.to_ascii_lowercase());
                if !text.eq_ignore_ascii_case(&new) {
                    settings.renamed.insert(text.to_ascii_lowercase(), new);
                }
            }
            _ => return Err(unknown(as_given)),
        }
        if matches!(option, "auth-pass" | "auth-user") {
            self.disconnect_servers(name);
        }
        self.wake_ms = self.now_ms;
        Ok(())
    }

    /// The master and its replicas are connected again, with what it takes now.
    fn disconnect_servers(&mut self, name: &str) {
        let Some(master) = self.masters.get(name) else { return };
        let replicas = master.replicas.values().map(|replica| replica.instance.link);
        let forgotten = master.forgotten.values().map(|forgotten| forgotten.instance.link);
        let links: Vec<_> = std::iter::once(master.instance.link).chain(replicas).chain(forgotten).collect();
        links.into_iter().for_each(|link| self.disconnect(link));
    }
}
