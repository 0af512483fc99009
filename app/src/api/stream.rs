//! What the server says to open pages, over the stream at [`EVENTS`](crate::path::EVENTS). It says that something has
//! changed, hardly what: pages ask for what they show, as they do after a form.

/// One message of the stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum News {
    /// The stream has begun.
    Here {
        /// How many notices are unread.
        unread: u32,
        /// Another one as soon as anything has changed; empty where nobody can tell.
        version: String,
    },
    /// Something that pages show has changed.
    Changed {
        /// How many notices are unread, where that may be another number than before.
        unread: Option<u32>,
        /// What happened, in a sentence to be read out.
        said: String,
    },
    /// The session has ended, and so does the stream.
    Ended,
}

const ENDED: &str = "ended";
const HERE: &str = "here ";

impl News {
    /// Pages show something else now, and nobody is told anything.
    pub const ROWS: Self = Self::Changed { unread: None, said: String::new() };

    /// As it travels: the number, and what follows it after a blank.
    pub fn to_text(&self) -> String {
        match self {
            Self::Here { unread, version } => [HERE, &unread.to_string(), " ", version].concat(),
            Self::Changed { unread, said } => {
                [unread.map(|unread| unread.to_string()).unwrap_or_default().as_str(), " ", said].concat()
            }
            Self::Ended => ENDED.to_owned(),
        }
    }

    /// The other way round. What a later version may say means that something has changed.
    pub fn from_text(text: &str) -> Self {
        if text == ENDED {
            return Self::Ended;
        }
        let begun = text.strip_prefix(HERE);
        let (unread, said) = begun.unwrap_or(text).split_once(' ').unwrap_or((text, ""));
        if let (Some(_), Ok(unread)) = (begun, unread.parse()) {
            return Self::Here { unread, version: said.to_owned() };
        }
        Self::Changed { unread: unread.parse().ok(), said: said.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::News;

    #[test]
    fn what_is_said_arrives_as_it_was_said() {
        for news in [
            News::ROWS,
            News::Ended,
            News::Here { unread: 3, version: "17.4".to_owned() },
            News::Here { unread: 0, version: String::new() },
            News::Changed { unread: Some(0), said: String::new() },
            News::Changed { unread: Some(12), said: "berlin: Not accepted any more.".to_owned() },
        ] {
            assert_eq!(News::from_text(&news.to_text()), news);
        }
    }

    #[test]
    fn what_nobody_understands_is_a_reason_to_look() {
        assert_eq!(News::from_text(""), News::ROWS);
        assert_eq!(News::from_text("{}"), News::ROWS);
    }
}
