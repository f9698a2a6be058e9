use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::server::{Address, Server, encoded};
use crate::output;

/// Why somebody is in an audience or not: each condition of the rule with what it found.
#[derive(Debug, Args)]
pub(crate) struct Options {
    audience_id: String,
    user_id: String,
    /// As it was at this position or time (RFC 3339).
    #[arg(long, value_name = "POSITION|TIME")]
    as_of: Option<String>,
    #[command(flatten)]
    address: Address,
    /// As one JSON object, as also whenever nobody looks at a terminal.
    #[arg(long)]
    json: bool,
}

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let as_of = self.as_of.as_deref().map(encoded);
        let as_of = as_of.map_or_else(String::new, |it| format!("&as_of={it}"));
        let path = format!(
            "/v1/explain?audience_id={}&user_id={}{as_of}",
            encoded(&self.audience_id),
            encoded(&self.user_id),
        );
        let explained: Value = Server::at(&self.address)?.get(&path)?;
        if self.json || !output::is_terminal() {
            output::data_json(&explained)?;
            return Ok(ExitCode::SUCCESS);
        }
        let member = explained["member"].as_bool().unwrap_or_default();
        let is = if member { "is" } else { "is not" };
        let since = match explained["since"].as_u64() {
            Some(since) => format!(" since position {since}"),
            None => String::new(),
        };
        output::data(&format!(
            "{} {is} in {}{since}",
            self.user_id, self.audience_id
        ))?;
        if explained["has_profile"] == false {
            output::data("without a profile nobody is in any audience")?;
        }
        show(&explained["rule"], 0)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The rule as a tree, each part with its result.
fn show(rule: &Value, depth: usize) -> anyhow::Result<()> {
    if rule.is_null() {
        return output::data("it has no rule");
    }
    let indent = "  ".repeat(depth);
    let mark = match rule["result"].as_bool() {
        Some(true) => "yes",
        Some(false) => "no ",
        None => "   ",
    };
    let operator = rule["operator"].as_str().unwrap_or_default();
    let mut parts = ["filters", "rules"].into_iter();
    let parts = parts.find_map(|name| rule[name].as_array());
    match parts {
        Some(parts) => {
            output::data(&format!("{mark} {indent}{operator}"))?;
            parts.iter().try_for_each(|part| show(part, depth + 1))
        }
        None => output::data(&format!(
            "{mark} {indent}{} {operator} {}   (found {})",
            rule["path"].as_str().unwrap_or_default(),
            rule["operand"],
            rule["value"],
        )),
    }
}
