//! Members of the control room's JSON that only some dialects have: which there are, and what they hold.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// A member that a dialect adds to its settings or to its tokens.
pub struct Member {
    /// Its name in JSON.
    pub name: &'static str,
    /// What it may hold.
    pub holds: Holds,
}

/// What a member may hold, and what it holds at the start.
#[derive(Clone, Copy)]
pub enum Holds {
    /// True or false; at the start this.
    Flag(bool),
    /// A number from 0; at the start this.
    Number(u64),
    /// A number from 0, or null; at the start null.
    MaybeNumber,
    /// Text, or null; at the start null.
    MaybeText,
    /// One of these words; at the start the first.
    Word(&'static [&'static str]),
}

impl Member {
    fn start(&self) -> Value {
        match self.holds {
            Holds::Flag(start) => json!(start),
            Holds::Number(start) => json!(start),
            Holds::MaybeNumber | Holds::MaybeText => Value::Null,
            Holds::Word(words) => json!(words.first()),
        }
    }

    fn takes(&self, value: &Value) -> bool {
        match self.holds {
            Holds::Flag(_) => value.is_boolean(),
            Holds::Number(_) => value.is_u64(),
            Holds::MaybeNumber => value.is_u64() || value.is_null(),
            Holds::MaybeText => value.is_string() || value.is_null(),
            Holds::Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        }
    }
}

/// The members of one object with their values.
#[derive(Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Own(Map<String, Value>);

impl Own {
    /// All of these members as they are at the start.
    pub fn start(members: &[Member]) -> Self {
        Self(members.iter().map(|member| (member.name.to_owned(), member.start())).collect())
    }

    /// Takes new values for some members, or says which one does not fit and changes nothing.
    pub fn change(&mut self, members: &[Member], changes: &Map<String, Value>) -> Result<(), String> {
        for (name, value) in changes {
            let Some(member) = members.iter().find(|member| member.name == name) else {
                return Err(format!("{name}: there is no such member"));
            };
            if !member.takes(value) {
                return Err(format!("{name}: cannot be {value}"));
            }
        }
        self.0.extend(changes.clone());
        Ok(())
    }

    /// Sets one member, whatever it may hold.
    pub fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// Whether this flag is set.
    pub fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    /// This number, unless it is null.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Value::as_u64)
    }

    /// This text or word, unless it is null.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Adds all members to an object.
    pub fn show_in(&self, shown: &mut Value) {
        if let Some(shown) = shown.as_object_mut() {
            shown.extend(self.0.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::{Holds, Member, Own};

    #[test]
    fn a_change_that_does_not_fit_changes_nothing() {
        let members = [
            Member { name: "strict", holds: Holds::Flag(true) },
            Member { name: "mode", holds: Holds::Word(&["plain", "odd"]) },
        ];
        let mut own = Own::start(&members);
        let object = |value: Value| -> Map<String, Value> { value.as_object().unwrap().clone() };
        assert!(own.change(&members, &object(json!({"strict": false, "mode": "wrong"}))).is_err());
        assert!(own.change(&members, &object(json!({"unknown": 1}))).is_err());
        assert!(own.flag("strict"));
        assert!(own.change(&members, &object(json!({"mode": "odd"}))).is_ok());
        assert_eq!(own.text("mode"), Some("odd"));
    }
}
