use std::collections::{BTreeMap, HashSet};

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};
use types::parse_json;

use super::records::Record;

/// What one column of a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    UserId,
    /// The whole profile, as JSON.
    Profile,
    /// One attribute, by the keys that lead to it.
    Attribute(Vec<String>, Kind),
    /// Ids separated by `;`, or JSON: `lists` or `tenants`.
    Ids(&'static str),
    /// A member of a user as JSON.
    Json(&'static str),
    Ignored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    Number,
    Boolean,
    Json,
}

pub(super) const USER_ID: &str = "user_id";
const IDS: [&str; 2] = ["lists", "tenants"];
const JSONS: [&str; 4] = [
    "preferences",
    "recipient_preferences",
    "quiet_hours",
    "tokens",
];
/// Columns of a file: far more than there are of anything, and few enough to compare with each other.
const COLUMNS_MAX: usize = 4_096;
/// What a column is ignored by.
const NOTHING: &str = "-";

/// The columns that hold everything about a user.
pub(super) const ALL: [&str; 8] = [
    USER_ID,
    "profile",
    "lists",
    "tenants",
    "preferences",
    "recipient_preferences",
    "quiet_hours",
    "tokens",
];

impl Target {
    /// `user_id`, `profile`, `profile.<path>`, `lists`, `tenants`, `preferences`, `tokens`,
    /// `recipient_preferences`, `quiet_hours`, or `-` for nothing; an attribute may end in `:number`,
    /// `:boolean`, `:json` or `:string`.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let named = |names: &[&'static str]| names.iter().copied().find(|name| *name == text);
        if let Some(name) = named(&IDS) {
            return Ok(Self::Ids(name));
        }
        if let Some(name) = named(&JSONS) {
            return Ok(Self::Json(name));
        }
        match text {
            USER_ID => return Ok(Self::UserId),
            "profile" => return Ok(Self::Profile),
            NOTHING => return Ok(Self::Ignored),
            _ => {}
        }
        let Some(path) = text.strip_prefix("profile.") else {
            bail!("`{text}` is nothing that a column can hold");
        };
        let (path, kind) = match path.rsplit_once(':') {
            Some((path, "string")) => (path, Kind::String),
            Some((path, "number")) => (path, Kind::Number),
            Some((path, "boolean")) => (path, Kind::Boolean),
            Some((path, "json")) => (path, Kind::Json),
            _ => (path, Kind::String),
        };
        let keys: Vec<String> = path.split('.').map(str::to_owned).collect();
        if keys.iter().any(String::is_empty) {
            bail!("`{text}` has an empty part in its path");
        }
        Ok(Self::Attribute(keys, kind))
    }

    /// Whether both would write the same, or one a part of the other. A whole profile and attributes
    /// go together: an attribute's own column counts.
    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ignored, _) => false,
            (Self::Attribute(keys, _), Self::Attribute(others, _)) => {
                keys.starts_with(others) || others.starts_with(keys)
            }
            _ => self == other,
        }
    }

    /// What a column of this name holds when nobody says it: what it is called, else an attribute.
    fn by_name(name: &str) -> anyhow::Result<Self> {
        match name {
            "id" => Ok(Self::UserId),
            _ if ALL.contains(&name) || name.starts_with("profile.") => Self::parse(name),
            _ => Self::parse(&format!("profile.{name}")),
        }
    }
}

/// The columns of a file, in order.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    names: Vec<String>,
    targets: Vec<Target>,
}

/// A cell that does not hold what its column says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadCell {
    pub(super) column: Option<String>,
    pub(super) message: String,
}

impl Columns {
    /// The columns of a header, as the mapping says; `column=target` each.
    pub(super) fn of(names: Vec<String>, mapping: &[String]) -> anyhow::Result<Self> {
        if names.len() > COLUMNS_MAX {
            bail!("the header has more than {COLUMNS_MAX} columns");
        }
        let mut mapped = BTreeMap::new();
        for pair in mapping {
            let (column, target) = pair
                .rsplit_once('=')
                .with_context(|| format!("`{pair}` is not of the form COLUMN=TARGET"))?;
            if !names.iter().any(|name| name == column) {
                bail!("the file has no column `{column}`");
            }
            if let Some(kind) = unknown_kind(target) {
                bail!("`{kind}` in `{pair}` is none of :string, :number, :boolean and :json");
            }
            if mapped.insert(column, Target::parse(target)?).is_some() {
                bail!("the column `{column}` is mapped twice");
            }
        }
        let mut targets: Vec<Target> = Vec::new();
        let mut seen = HashSet::new();
        for (place, name) in names.iter().enumerate() {
            // Spreadsheets leave columns without a name behind.
            if name.is_empty() {
                targets.push(Target::Ignored);
                continue;
            }
            if !seen.insert(name) {
                bail!("the file has two columns `{name}`");
            }
            let target = mapped.remove(name.as_str());
            let target = target.map_or_else(|| Target::by_name(name), Ok);
            let target = target.with_context(|| format!("column {} `{name}`", place + 1))?;
            if let Some(other) = targets.iter().position(|other| other.overlaps(&target)) {
                bail!(
                    "the columns `{}` and `{name}` hold the same, or one a part of the other",
                    names[other]
                );
            }
            targets.push(target);
        }
        if !targets.contains(&Target::UserId) {
            let header = names.join("`, `");
            bail!(
                "no column holds the user id: call one `user_id`, or say --map COLUMN=user_id; the \
                 header is `{header}`, split at the --delimiter"
            );
        }
        Ok(Self { names, targets })
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The user that a record describes. An empty cell says nothing.
    pub(super) fn user(&self, record: &Record) -> Result<Value, BadCell> {
        let mut cells = Vec::with_capacity(self.names.len());
        for value in record.values() {
            let text = std::str::from_utf8(value).map_err(|_| BadCell {
                column: self.names.get(cells.len()).cloned(),
                message: "not UTF-8".to_owned(),
            })?;
            cells.push(text);
        }
        self.user_of(&cells)
    }

    fn user_of(&self, cells: &[&str]) -> Result<Value, BadCell> {
        let (held, wanted) = (cells.len(), self.names.len());
        if held < wanted {
            return Err(BadCell {
                column: Some(self.names[held].clone()),
                message: format!("the row has {held} columns where the header has {wanted}"),
            });
        }
        if held > wanted {
            return Err(BadCell {
                column: None,
                message: format!("the row has {held} columns where the header has {wanted}"),
            });
        }
        let mut user = Map::new();
        // An object without members is a profile too.
        let mut profile: Option<Map<String, Value>> = None;
        let columns = self.names.iter().zip(&self.targets);
        for (place, (cell, (name, target))) in (1..).zip(cells.iter().zip(columns)) {
            if cell.is_empty() {
                continue;
            }
            let bad = |message: String| BadCell {
                column: Some(name.clone()),
                message,
            };
            let json = || -> Result<Value, BadCell> {
                parse_json(cell.as_bytes()).map_err(|error| bad(format!("not JSON: {error}")))
            };
            match target {
                Target::Ignored if name.is_empty() => {
                    return Err(bad(format!(
                        "there is a value in column {place}, which has no name"
                    )));
                }
                Target::Ignored => {}
                Target::UserId => drop(user.insert(USER_ID.to_owned(), (*cell).into())),
                Target::Profile => {
                    let Value::Object(object) = json()? else {
                        return Err(bad("not an object".to_owned()));
                    };
                    merge(profile.get_or_insert_default(), object);
                }
                Target::Attribute(keys, kind) => {
                    let value = match kind {
                        Kind::String => Value::from(*cell),
                        Kind::Number => {
                            let number = parse_json(cell.trim().as_bytes()).ok();
                            let number = number.filter(Value::is_number);
                            number.ok_or_else(|| bad(format!("`{cell}` is not a number")))?
                        }
                        Kind::Boolean => match cell.trim().to_ascii_lowercase().as_str() {
                            "true" | "1" | "yes" => true.into(),
                            "false" | "0" | "no" => false.into(),
                            _ => return Err(bad(format!("`{cell}` is neither true nor false"))),
                        },
                        Kind::Json => json()?,
                    };
                    set(profile.get_or_insert_default(), keys, value).map_err(bad)?;
                }
                Target::Ids(member) => {
                    let ids = if cell.starts_with('[') {
                        json()?
                    } else {
                        let ids = cell.split(';').map(str::trim).filter(|id| !id.is_empty());
                        ids.collect()
                    };
                    user.insert((*member).to_owned(), ids);
                }
                Target::Json(member) => drop(user.insert((*member).to_owned(), json()?)),
            }
        }
        if !user.contains_key(USER_ID) {
            let place = self.targets.iter().position(|it| *it == Target::UserId);
            return Err(BadCell {
                column: place.map(|place| self.names[place].clone()),
                message: "there is no user id".to_owned(),
            });
        }
        if let Some(profile) = profile {
            user.insert("profile".to_owned(), profile.into());
        }
        Ok(user.into())
    }

    /// The cells of a user. Read back with the same columns they say the same, but for attributes that
    /// are not of the kind of their column.
    pub(super) fn cells(&self, user: &Value) -> Vec<String> {
        let cell = |target: &Target| match target {
            Target::Ignored => String::new(),
            Target::UserId => text(&user[USER_ID]),
            Target::Profile => text(&user["profile"]),
            Target::Attribute(keys, kind) => {
                let mut keys = keys.iter();
                let found = keys.try_fold(&user["profile"], |at, key| at.get(key));
                match (found, kind) {
                    (None, _) => String::new(),
                    (Some(value), Kind::Json) => value.to_string(),
                    (Some(value), Kind::String | Kind::Number | Kind::Boolean) => text(value),
                }
            }
            Target::Ids(member) => ids(&user[*member]),
            Target::Json(member) => text(&user[*member]),
        };
        self.targets.iter().map(cell).collect()
    }
}

/// What stands behind the last colon of an attribute's path and is no kind of value.
fn unknown_kind(target: &str) -> Option<&str> {
    let (_, kind) = target.strip_prefix("profile.")?.rsplit_once(':')?;
    (!["string", "number", "boolean", "json"].contains(&kind)).then_some(kind)
}

/// A text as itself, nothing as nothing, anything else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Ids separated by `;` where that says everything, else JSON.
fn ids(entries: &Value) -> String {
    let Some(array) = entries.as_array() else {
        return String::new();
    };
    let plain = |entry: &Value| {
        let object = entry.as_object()?;
        let id = object.get("list_id").or_else(|| object.get("tenant_id"))?;
        let id = id.as_str()?;
        let odd = id.contains(';') || id.starts_with('[') || id.trim() != id;
        (object.len() == 1 && !odd).then(|| id.to_owned())
    };
    let plain: Option<Vec<String>> = array.iter().map(plain).collect();
    plain.map_or_else(|| entries.to_string(), |ids| ids.join(";"))
}

/// Merges an object into another; what is set by its own column stays.
fn merge(target: &mut Map<String, Value>, object: Map<String, Value>) {
    for (key, value) in object {
        match (target.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => merge(inner, value),
            (Some(_), _) => {}
            (None, value) => drop(target.insert(key, value)),
        }
    }
}

fn set(profile: &mut Map<String, Value>, keys: &[String], value: Value) -> Result<(), String> {
    let Some((last, above)) = keys.split_last() else {
        return Ok(());
    };
    let mut at = profile;
    for key in above {
        let entry = at
            .entry(key.as_str())
            .or_insert_with(|| Value::Object(Map::new()));
        at = entry
            .as_object_mut()
            .ok_or_else(|| format!("`{key}` holds something else already"))?;
    }
    match (at.get_mut(last), value) {
        (Some(Value::Object(inner)), Value::Object(value)) => merge(inner, value),
        (_, value) => drop(at.insert(last.clone(), value)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn columns(header: &[&str], mapping: &[&str]) -> Columns {
        let owned = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        Columns::of(owned(header), &owned(mapping)).expect("columns")
    }

    fn refused(header: &[&str], mapping: &[&str]) -> String {
        let owned = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let refused = Columns::of(owned(header), &owned(mapping));
        format!("{:#}", refused.expect_err("no columns"))
    }

    #[test]
    fn columns_go_by_their_names_and_by_the_mapping() {
        let columns = columns(
            &[
                "id",
                "email",
                "Age",
                "profile.address.city",
                "lists",
                "Notes",
            ],
            &["Age=profile.age:number", "Notes=-"],
        );
        let user = columns.user_of(&["ada", "a@x", "42", "Paris", "news; beta;", "x"]);
        assert_eq!(
            user,
            Ok(json!({
                "user_id": "ada",
                "profile": {"email": "a@x", "age": 42, "address": {"city": "Paris"}},
                "lists": ["news", "beta"],
            }))
        );
        let sparse = columns.user_of(&["bob", "", "", "", "", ""]);
        assert_eq!(sparse, Ok(json!({"user_id": "bob"})));
    }

    #[test]
    fn what_is_wrong_with_a_header_is_said() {
        for (header, mapping, wrong) in [
            (&["email"][..], &[][..], "no column holds the user id"),
            (&["user_id", "a", "a"], &[], "two columns `a`"),
            (&["user_id", "id"], &[], "hold the same"),
            (
                &["user_id", "age", "Age"],
                &["Age=profile.age:number"],
                "`age` and `Age` hold the same",
            ),
            (
                &["user_id", "profile.a.b", "a"],
                &[],
                "one a part of the other",
            ),
            (&["user_id", "a"], &["a=-", "a=lists"], "mapped twice"),
            (&["user_id", "a"], &["b=-"], "no column `b`"),
            (
                &["user_id", "a"],
                &["a=nothing"],
                "nothing that a column can hold",
            ),
            (&["user_id", "a"], &["a"], "COLUMN=TARGET"),
            (&["user_id", "a..b"], &[], "empty part"),
            (&["user_id", "a"], &["a=profile.a:date"], "`date` in"),
        ] {
            let said = refused(header, mapping);
            assert!(said.contains(wrong), "{said}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_row_is_said_with_its_column() {
        let columns = columns(
            &["user_id", "n", "b", "tokens"],
            &["n=profile.n:number", "b=profile.b:boolean"],
        );
        let bad = |cells: &[&str]| {
            let bad = columns.user_of(cells).expect_err("a bad row");
            (bad.column.unwrap_or_default(), bad.message)
        };
        let row = |held: usize| format!("the row has {held} columns where the header has 4");
        assert_eq!(bad(&["ada", "1"]), ("b".to_owned(), row(2)));
        assert_eq!(bad(&["ada", "1", "", "", "x"]), (String::new(), row(5)));
        assert_eq!(bad(&["", "1", "", ""]).0, "user_id");
        assert_eq!(bad(&["ada", "one", "", ""]).0, "n");
        assert_eq!(bad(&["ada", "\"1\"", "", ""]).0, "n");
        assert_eq!(bad(&["ada", "1", "maybe", ""]).0, "b");
        assert_eq!(bad(&["ada", "1", "yes", "["]).0, "tokens");
        let unnamed = Columns::of(vec!["user_id".to_owned(), String::new()], &[]).expect("columns");
        assert!(unnamed.user_of(&["ada", ""]).is_ok());
        assert!(unnamed.user_of(&["ada", "x"]).is_err());
    }

    #[test]
    fn a_user_is_read_back_as_it_was_written() {
        let all = columns(&ALL, &[]);
        for user in [
            json!({"user_id": "ada"}),
            json!({"user_id": "eve", "profile": {}}),
            json!({
                "user_id": "bob",
                "profile": {"email": "b@x", "n": 1, "deep": {"a": [1, "x"]}},
                "lists": [{"list_id": "news"}, {"list_id": "odd", "preferences": {"categories": {}}}],
                "tenants": [{"tenant_id": "a;b"}],
                "preferences": [{"topic_id": "t", "status": "OPTED_IN"}],
                "quiet_hours": {"time_zone": "UTC"},
                "tokens": [{"token": "x", "provider_key": "apn"}],
            }),
        ] {
            let cells = all.cells(&user);
            let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
            assert_eq!(all.user_of(&cells), Ok(user));
        }
        let typed = columns(&["user_id", "profile.x:json", "profile.n:number"], &[]);
        let user = json!({"user_id": "ada", "profile": {"n": 1, "x": "Paris"}});
        let cells = typed.cells(&user);
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        assert_eq!(typed.user_of(&cells), Ok(user));
        let short = json!({"user_id": "c", "lists": [{"list_id": "a"}, {"list_id": "b"}]});
        assert_eq!(all.cells(&short)[2], "a;b");
    }
}
